"""What an Azure connector can be told. Secrets are named by their files; none stands in a setting."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jitgate.core.errors import Invalid
from jitgate.core.resource_id import check_subscription, key

CLOUDS: Mapping[str, tuple[str, str]] = {
    "public": ("https://management.azure.com", "https://login.microsoftonline.com"),
    "usgov": ("https://management.usgovcloudapi.net", "https://login.microsoftonline.us"),
    "china": ("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
}
"""Per cloud, Azure Resource Manager and the authority that signs in."""
CREDENTIALS = ("default", "managed", "workload", "environment", "cli", "secret", "certificate", "none")
LONGEST = 400
_MOST_SUBSCRIPTIONS = 200


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Azure is, as whom to ask it, and what may be done.

    `subscriptions`  those beside the connector's own
    `lets_bastion_in`  whether Azure Bastion is let through to protected ports
    `mapped_ports`   the ports of an Azure Firewall that are handed out
    """

    subscriptions: tuple[str, ...] = ()
    endpoint: str = CLOUDS["public"][0]
    authority: str = CLOUDS["public"][1]
    audience: str = ""
    credential: str = "default"
    tenant: str = ""
    client: str = ""
    secret_file: str = ""
    certificate_file: str = ""
    lets_bastion_in: bool = False
    mapped_ports: tuple[int, int] = (20000, 29999)

    @property
    def scope(self) -> str:
        """What a token is asked for."""
        return (self.audience or self.endpoint).rstrip("/") + "/.default"


def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings as they are kept: all known, all of the right form. Raises Invalid."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        reader = _READERS.get(name)
        if reader is None:
            raise Invalid(f"settings.{name}", "there is no such setting", allowed=", ".join(_READERS))
        kept[name] = reader(value, f"settings.{name}")
    _check_together(kept)
    return kept


def read(kept: Mapping[str, Any]) -> Settings:
    """Settings that were kept."""
    endpoint, authority = CLOUDS[kept.get("cloud", "public")]
    low, _, high = kept.get("mapped_ports", "20000-29999").partition("-")
    return Settings(
        subscriptions=tuple(kept.get("subscriptions", ())),
        endpoint=kept.get("endpoint", endpoint).rstrip("/"),
        authority=kept.get("authority", authority),
        audience=kept.get("audience", ""),
        credential=kept.get("credential", "default"),
        tenant=kept.get("tenant", ""),
        client=kept.get("client", ""),
        secret_file=kept.get("secret_file", ""),
        certificate_file=kept.get("certificate_file", ""),
        lets_bastion_in=kept.get("bastion", "warn") == "allow",
        mapped_ports=(int(low), int(high)),
    )


def subscription_of(scope: str) -> str:
    """The subscription that a scope is in: scopes are groups, firewalls or machines, by their ids."""
    return key(scope).removeprefix("/subscriptions/").partition("/")[0]


def places(scope: str) -> frozenset[str]:
    """The subscription that a scope is in."""
    return frozenset({subscription_of(scope)})


def is_loopback(url: str) -> bool:
    """Whether a URL is plain HTTP to this very machine, as tests and the demo have it."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _check_together(kept: Mapping[str, Any]) -> None:
    credential = kept.get("credential", "default")
    needs = {"secret": ("tenant", "client", "secret_file"), "certificate": ("tenant", "client", "certificate_file")}
    for name in needs.get(credential, ()):
        if name not in kept:
            raise Invalid(f"settings.{name}", f"the credential {credential!r} needs it", allowed="a text")
    if credential == "none" and not is_loopback(kept.get("endpoint", "")):
        allowed = ", ".join(CREDENTIALS[:-1])
        raise Invalid("settings.credential", "only an endpoint on this machine is asked without one", allowed=allowed)


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST or not value.isprintable():
        raise Invalid(field, f"{value!r:.60} is not accepted", allowed=f"a text of at most {LONGEST} characters")
    return value.strip()


def _one_of(choices: Sequence[str]) -> Callable[[Any, str], str]:
    def read_choice(value: Any, field: str) -> str:
        if value not in choices:
            raise Invalid(field, f"{value!r:.60} is not accepted", allowed=", ".join(choices))
        return str(value)

    return read_choice


def _url(value: Any, field: str) -> str:
    text = _text(value, field)
    parts = urlsplit(text)
    is_safe = (parts.scheme == "https" and bool(parts.hostname)) or is_loopback(text)
    if not is_safe or parts.username or parts.query or parts.fragment:
        raise Invalid(field, f"{text!r:.80} is not accepted", allowed="https://HOST")
    return text


def _file(value: Any, field: str) -> str:
    text = _text(value, field)
    if not text.startswith("/"):
        raise Invalid(field, f"{text!r:.80} is not accepted", allowed="the path of a file, beginning with /")
    return text


def _subscriptions(value: Any, field: str) -> list[str]:
    """A list, or a text with commas, as the command line has it."""
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_SUBSCRIPTIONS:
        raise Invalid(field, f"{value!r:.60} is not accepted", allowed=f"1 to {_MOST_SUBSCRIPTIONS} GUIDs")
    return [check_subscription(str(each).strip(), field) for each in found]


def _ports(value: Any, field: str) -> str:
    text = _text(value, field)
    low, _, high = text.partition("-")
    if not (low.isdigit() and high.isdigit() and 1024 <= int(low) <= int(high) <= 64000):
        raise Invalid(field, f"{text!r:.60} is not accepted", allowed="LOW-HIGH, within 1024-64000")
    return text


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "subscriptions": _subscriptions,
    "cloud": _one_of(tuple(CLOUDS)),
    "endpoint": _url,
    "authority": _url,
    "audience": _url,
    "credential": _one_of(CREDENTIALS),
    "tenant": _text,
    "client": _text,
    "secret_file": _file,
    "certificate_file": _file,
    "bastion": _one_of(("warn", "allow")),
    "mapped_ports": _ports,
}
