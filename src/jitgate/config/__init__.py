"""``jitgate.toml``: what an installation may choose. Read once, at start, into values that do not change.

Whatever is not understood is refused: a setting that was misspelt must not silently mean its default.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from jitgate.config.gateways import Gateway, check_gateways, read_gateway
from jitgate.config.table import (
    SyslogAddress,
    Table,
    read_absolute_path,
    read_addresses,
    read_https,
    read_issuer,
    read_longest_access,
    read_namespace,
    read_prefixes,
    read_short_while,
    read_syslog,
    read_tags,
    read_text,
    read_texts,
    read_topics,
    read_whole,
)
from jitgate.core.errors import Invalid
from jitgate.core.policy import LONGEST_ACCESS
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import check_name, check_resource_group, check_subscription, key
from jitgate.core.topics import Topic

LARGEST_BODY = 512 * 1024
_MOST_HISTORY_DAYS = 3650
_MOST_RETENTION_DAYS = 36500


@dataclass(frozen=True, slots=True)
class Installation:
    """Where machines outside the clouds are filed. `subscription`: None for the one made at first start."""

    subscription: str | None = None
    resource_group: str = "jitgate"


@dataclass(frozen=True, slots=True)
class Server:
    """The web server.

    `trusted_proxies`  whose word about the caller's address is taken
    `allowed_hosts`    names that clients may call the server by, besides its own
    `max_body`         the largest request, in bytes
    `url`              where people reach the server; None: notifications name no address
    """

    trusted_proxies: tuple[Prefix, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = LARGEST_BODY
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Limits on what policies may say, how long ended requests stay listed, and when to remind of an end."""

    history: timedelta = timedelta(days=30)
    longest_access: timedelta = LONGEST_ACCESS
    remind_before: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Notify:
    """A receiver of notifications. Either `url` and `secret_file` (a signed webhook), or `apprise_file`."""

    name: str
    url: str | None = None
    secret_file: Path | None = None
    apprise_file: Path | None = None
    events: frozenset[Topic] = frozenset(Topic)


@dataclass(frozen=True, slots=True)
class Record:
    """How long the record is kept, and where its signed heads are sent.

    `retention`  None: events are kept for ever
    `heads_file`, `heads_webhook`, `heads_syslog`  None: not sent there
    """

    retention: timedelta | None = None
    heads_file: Path | None = None
    heads_webhook: str | None = None
    heads_syslog: SyslogAddress | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """`url`: None for the SQLite file in the data directory."""

    url: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """A Linux machine, or a network namespace, whose firewall the local agent holds.

    `namespace`     None: the machine that jitgate runs on
    `always_allow`  sources that no protection ever shuts out
    `addresses`     told to people as where to connect; empty: what the agent finds
    """

    name: str
    namespace: str | None = None
    always_allow: tuple[Prefix, ...] = ()
    addresses: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody whose signed tokens are believed: an OpenID Connect provider.

    `audience`     None: tokens of programs are not taken
    `client_id`    None: people do not sign in there
    `client_secret_file`, `ca_file`  None: none
    """

    name: str
    url: str
    audience: str | None = None
    client_id: str | None = None
    client_secret_file: str | None = None
    scopes: str = "openid profile email"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    leeway: timedelta = timedelta(seconds=60)
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """How long people stay signed in: `session` in all, `idle` without doing anything, `command_line` after a login."""

    session: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(minutes=60)
    command_line: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    hosts: tuple[Host, ...]
    installation: Installation = field(default_factory=Installation)
    server: Server = field(default_factory=Server)
    access: Access = field(default_factory=Access)
    record: Record = field(default_factory=Record)
    store: Store = field(default_factory=Store)
    notify: tuple[Notify, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    sign_in: SignIn = field(default_factory=SignIn)
    issuers: tuple[Issuer, ...] = ()


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
        table = Table(tomllib.loads(text), "")
    except tomllib.TOMLDecodeError as error:
        raise Invalid("jitgate.toml", str(error), allowed="TOML, as on toml.io") from None
    gateways = tuple(map(read_gateway, table.tables("gateway")))
    this_one = () if gateways else (Host(this_machine),)
    config = Config(
        hosts=tuple(map(_host, table.tables("host"))) or this_one,
        installation=_installation(table.table("installation")),
        server=_server(table.table("server")),
        access=_access(table.table("access")),
        record=_record(table.table("record")),
        store=_store(table.table("store")),
        notify=tuple(map(_notify, table.tables("notify"))),
        gateways=gateways,
        sign_in=_sign_in(table.table("sign_in")),
        issuers=tuple(map(_issuer, table.tables("issuer"))),
    )
    table.finish()
    _check_each_once(config.hosts)
    _check_names(config.notify)
    check_gateways(config.gateways, [host.name for host in config.hosts])
    _check_issuers(config.issuers)
    return config


def _installation(table: Table) -> Installation:
    found = Installation(
        subscription=table.take(
            "subscription", None, lambda value, path: check_subscription(read_text(value, path), path)
        ),
        resource_group=table.take(
            "resource_group", "jitgate", lambda value, path: check_resource_group(read_text(value, path), path)
        ),
    )
    table.finish()
    return found


def _server(table: Table) -> Server:
    found = Server(
        trusted_proxies=table.take("trusted_proxies", (), read_prefixes),
        allowed_hosts=table.take("allowed_hosts", (), read_texts),
        max_body=table.take("max_body", LARGEST_BODY, lambda value, path: read_whole(value, path, 1 << 16, 1 << 26)),
        url=table.take("url", None, lambda value, path: read_https(value, path).rstrip("/")),
    )
    table.finish()
    return found


def _access(table: Table) -> Access:
    found = Access(
        history=timedelta(
            days=table.take("history_days", 30, lambda value, path: read_whole(value, path, 1, _MOST_HISTORY_DAYS))
        ),
        longest_access=table.take("longest_access", LONGEST_ACCESS, read_longest_access),
        remind_before=table.take("remind_before", timedelta(minutes=10), read_short_while),
    )
    table.finish()
    return found


def _record(table: Table) -> Record:
    days = table.take("retention_days", None, lambda value, path: read_whole(value, path, 1, _MOST_RETENTION_DAYS))
    found = Record(
        retention=None if days is None else timedelta(days=days),
        heads_file=table.take("heads_file", None, read_absolute_path),
        heads_webhook=table.take("heads_webhook", None, read_https),
        heads_syslog=table.take("heads_syslog", None, read_syslog),
    )
    table.finish()
    return found


def _store(table: Table) -> Store:
    found = Store(url=table.take("url", None, read_text))
    table.finish()
    return found


def _sign_in(table: Table) -> SignIn:
    def hours(value: Any, path: str) -> int:
        return read_whole(value, path, 1, 24 * 30)

    found = SignIn(
        session=timedelta(hours=table.take("session_hours", 12, hours)),
        idle=timedelta(minutes=table.take("idle_minutes", 60, lambda value, path: read_whole(value, path, 5, 60 * 24))),
        command_line=timedelta(hours=table.take("command_line_hours", 12, hours)),
    )
    table.finish()
    return found


def _issuer(table: Table) -> Issuer:
    found = Issuer(
        name=table.require("name", lambda value, path: check_name(read_text(value, path), path)),
        url=table.require("url", read_issuer),
        audience=table.take("audience", None, read_text),
        client_id=table.take("client_id", None, read_text),
        client_secret_file=table.take("client_secret_file", None, read_text),
        scopes=table.take("scopes", "openid profile email", read_text),
        name_claim=table.take("name_claim", "preferred_username", read_text),
        groups_claim=table.take("groups_claim", "groups", read_text),
        leeway=timedelta(seconds=table.take("leeway", 60, lambda value, path: read_whole(value, path, 0, 300))),
        ca_file=table.take("ca_file", None, read_text),
    )
    table.finish()
    return found


def _check_issuers(issuers: tuple[Issuer, ...]) -> None:
    """Two of one name could not be told apart, and a token of two audiences would be for nobody in particular."""
    for index, issuer in enumerate(issuers):
        path = f"issuer[{index}]"
        if any(key(issuer.name) == key(other.name) or issuer.url == other.url for other in issuers[:index]):
            raise Invalid(f"{path}.name", "this name or url stands there twice", allowed="each name and url once")
        if issuer.audience is None and issuer.client_id is None:
            raise Invalid(f"{path}.audience", "nobody could sign in by it", allowed="audience, client_id, or both")
        if issuer.audience == issuer.client_id:
            message = "an id token, which any web page of the client gets, would count as an access token"
            raise Invalid(f"{path}.audience", message, allowed="another audience than client_id")


def _host(table: Table) -> Host:
    found = Host(
        name=table.require("name", lambda value, path: check_name(read_text(value, path), path)),
        namespace=table.take("namespace", None, read_namespace),
        always_allow=table.take("always_allow", (), read_prefixes),
        addresses=table.take("addresses", (), read_addresses),
        tags=table.take("tags", {}, read_tags),
    )
    table.finish()
    return found


def _notify(table: Table) -> Notify:
    found = Notify(
        name=table.require("name", lambda value, path: check_name(read_text(value, path), path)),
        url=table.take("url", None, read_https),
        secret_file=table.take("secret_file", None, read_absolute_path),
        apprise_file=table.take("apprise_file", None, read_absolute_path),
        events=table.take("events", frozenset(Topic), read_topics),
    )
    table.finish()
    if (found.url is None) == (found.apprise_file is None) or (found.url is None) != (found.secret_file is None):
        raise Invalid(
            table.name("url"), "where to tell is not said, or twice", allowed="url and secret_file, or apprise_file"
        )
    return found


def _check_names(receivers: tuple[Notify, ...]) -> None:
    """Two receivers of one name would share their place in the record."""
    names: dict[str, int] = {}
    for index, receiver in enumerate(receivers):
        earlier = names.setdefault(key(receiver.name), index)
        if earlier != index:
            what = f"{receiver.name!r} is already notify[{earlier}]"
            raise Invalid(f"notify[{index}].name", what, allowed="each name once")


def _check_each_once(hosts: tuple[Host, ...]) -> None:
    """Two hosts of one name could not be told apart, and two in one namespace would fight over its firewall."""
    names: dict[str, int] = {}
    namespaces: dict[str | None, int] = {}
    for index, host in enumerate(hosts):
        earlier = names.setdefault(key(host.name), index)
        if earlier != index:
            raise Invalid(f"host[{index}].name", f"{host.name!r} is already host[{earlier}]", allowed="each name once")
        earlier = namespaces.setdefault(host.namespace, index)
        if earlier != index:
            what = host.namespace or "the machine itself"
            raise Invalid(f"host[{index}].namespace", f"{what} is already host[{earlier}]", allowed="each place once")
