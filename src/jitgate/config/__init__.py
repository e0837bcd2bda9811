"""``jitgate.toml``: what an installation may choose. Read once, at start, into values that do not change.

::

    settings, gateways  each table of the file, with its settings
    schema              what a setting is, and how a table of them is read
    values              what may stand for one
    template            the file of the first start, made from these
    parts               what one replica of several does

Whatever is not understood is refused: a setting that was misspelt must not silently mean its default.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from jitgate.config.gateways import Gateway, check_gateways
from jitgate.config.schema import load, section, sections
from jitgate.config.settings import (
    Access,
    Host,
    Installation,
    Issuer,
    Log,
    Metrics,
    Notify,
    Record,
    Server,
    SignIn,
    Store,
    Tracing,
)
from jitgate.core.errors import Invalid
from jitgate.core.resource_id import key


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    installation: Installation = section(Installation)
    server: Server = section(Server)
    access: Access = section(Access)
    record: Record = section(Record)
    store: Store = section(Store)
    log: Log = section(Log)
    metrics: Metrics = section(Metrics)
    tracing: Tracing = section(Tracing)
    sign_in: SignIn = section(SignIn)
    issuers: tuple[Issuer, ...] = sections(
        Issuer,
        "issuer",
        "OpenID Connect providers, such as Entra ID, Keycloak, Okta or Google, whose signed tokens are believed"
        " ([how to](../how-to/sign-in.md)). Each needs `audience`, `client_id`, or both, and they differ.",
    )
    notify: tuple[Notify, ...] = sections(
        Notify,
        "notify",
        "Who is [told what happens](../how-to/notifications.md), once for each receiver: signed webhooks, or whatever"
        " Apprise knows (Slack, Teams, e-mail).",
    )
    hosts: tuple[Host, ...] = sections(
        Host,
        "host",
        "The machines whose firewall this jitgate holds, once for each. Without any host or gateway: the machine that"
        " it runs on, under its own name. With one or more, only those: list the machine itself too, if it is to stay."
        " Being listed changes nothing on a machine; `jitgate enable` protects it. Hosts and gateways count where"
        " `jitgate serve` runs with `--role all`, the default, or `worker`; `web` and `agents`"
        " [leave them to others](../how-to/run-several-replicas.md#split-the-work).",
    )
    gateways: tuple[Gateway, ...] = sections(
        Gateway,
        "gateway",
        "TCP gateways on this machine, once for each, with the machines behind it: ports that lead to machines which"
        " cannot run an agent, while somebody has a grant ([how to](../how-to/gateway.md)). Where gateways and no hosts"
        " are listed, this machine itself is not protected.",
    )


def read(path: Path, this_machine: str) -> Config:
    """The configuration in a file. `this_machine` is protected under that name unless hosts or gateways are listed.

    Raises Invalid, naming the setting.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), this_machine)
    except UnicodeDecodeError as error:
        raise Invalid(path.name, f"byte {error.start} is not UTF-8", allowed="TOML, which is UTF-8 text") from None
    except OSError as error:
        raise Invalid(
            str(path), f"it cannot be read: {error.strerror}", allowed="a file that jitgate may read"
        ) from None


def parse(text: str, this_machine: str) -> Config:
    """The configuration in a TOML text. Raises Invalid, naming the setting."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid("jitgate.toml", str(error), allowed="TOML, as on toml.io") from None
    config = load(Config, values)
    if not config.hosts and not config.gateways:
        config = replace(config, hosts=(Host(this_machine),))
    _check_issuers(config.issuers)
    _check_names("notify", config.notify)
    _check_names("host", config.hosts)
    _check_places(config.hosts)
    _check_names("gateway", config.gateways)
    check_gateways(config.gateways, [host.name for host in config.hosts])
    return config


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def _check_names(table: str, named: Iterable[_Named]) -> None:
    """Two of one name could not be told apart, and would share their place on record."""
    names: dict[str, int] = {}
    for index, each in enumerate(named):
        earlier = names.setdefault(key(each.name), index)
        if earlier != index:
            what = f"{each.name!r} is already {table}[{earlier}]"
            raise Invalid(f"{table}[{index}].name", what, allowed="each name once")


def _check_issuers(issuers: tuple[Issuer, ...]) -> None:
    """Two of one name, or of one URL, could not be told apart."""
    for index, issuer in enumerate(issuers):
        if any(key(issuer.name) == key(other.name) or issuer.url == other.url for other in issuers[:index]):
            what = "this name or url stands there twice"
            raise Invalid(f"issuer[{index}].name", what, allowed="each name and url once")


def _check_places(hosts: tuple[Host, ...]) -> None:
    """Two hosts in one namespace would fight over its firewall."""
    namespaces: dict[str | None, int] = {}
    for index, host in enumerate(hosts):
        earlier = namespaces.setdefault(host.namespace, index)
        if earlier != index:
            what = host.namespace or "the machine itself"
            raise Invalid(f"host[{index}].namespace", f"{what} is already host[{earlier}]", allowed="each place once")
