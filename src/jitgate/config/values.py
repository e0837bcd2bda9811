"""Values of settings, out of what TOML holds. Each refuses what it does not understand, with the name of the setting.

All take what stands in the file and the setting's name, and raise Invalid.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jitgate.core import duration, prefixes
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.core.places import check_address, check_place, check_ports
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import check_name, check_resource_group, check_subscription
from jitgate.core.topics import Topic

_NAMESPACE = re.compile(r"\w[\w.-]{0,62}", re.ASCII)
_SYSLOG = re.compile(r"(?P<way>udp|tcp)://(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where a syslog server listens. `way` is udp or tcp."""

    way: str
    host: str
    port: int


def read_text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Invalid(path, f"{value!r:.60} is not a text", allowed='a text in quotes, such as "web-1"')
    return value.strip()


def read_issuer(value: Any, path: str) -> str:
    """The URL of an OpenID Connect issuer, which has to prove itself wherever it is (Discovery, 3)."""
    text = read_text(value, path)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Invalid(path, f"{text!r:.80} is not accepted", allowed='"https://HOST[:PORT][/PATH]"')
    return text


def read_name(value: Any, path: str) -> str:
    return check_name(read_text(value, path), path)


def read_subscription(value: Any, path: str) -> str:
    return check_subscription(read_text(value, path), path)


def read_resource_group(value: Any, path: str) -> str:
    return check_resource_group(read_text(value, path), path)


def read_place(value: Any, path: str) -> str:
    return check_place(read_text(value, path), path)


def read_ports(value: Any, path: str) -> tuple[int, int]:
    return check_ports(read_text(value, path), path)


def read_namespace(value: Any, path: str) -> str:
    name = read_text(value, path)
    if not _NAMESPACE.fullmatch(name):
        raise Invalid(path, f"{name!r:.80} cannot name a namespace", allowed="a name that 'ip netns list' shows")
    return name


def read_texts(value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Invalid(path, f"{value!r:.60} is not a list", allowed='a list of texts, such as ["a", "b"]')
    return tuple(read_text(each, f"{path}[{index}]") for index, each in enumerate(value))


def read_prefixes(value: Any, path: str) -> tuple[Prefix, ...]:
    return tuple(prefixes.canonical(each, f"{path}[{index}]") for index, each in enumerate(read_texts(value, path)))


def read_addresses(value: Any, path: str) -> tuple[str, ...]:
    return tuple(read_address(each, f"{path}[{index}]") for index, each in enumerate(read_texts(value, path)))


def read_address(value: Any, path: str) -> str:
    return check_address(read_text(value, path), path)


def read_tags(value: Any, path: str) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise Invalid(path, f"{value!r:.60} is not a table", allowed='{ name = "value" }')
    return {name: read_text(each, f"{path}.{name}") for name, each in value.items()}


def read_os(value: Any, path: str) -> OperatingSystem:
    try:
        return OperatingSystem(value)
    except ValueError:
        raise Invalid(path, f"{value!r:.60} is not accepted", allowed='"windows", "linux" or "unknown"') from None


def choice(*choices: str) -> Callable[[Any, str], str]:
    """Reads one of some words."""

    def read(value: Any, path: str) -> str:
        if value not in choices:
            raise Invalid(path, f"{value!r:.60} is not accepted", allowed=", ".join(f'"{each}"' for each in choices))
        return str(value)

    return read


def whole(least: int, most: int) -> Callable[[Any, str], int]:
    """Whole numbers, both ends included."""

    def read(value: Any, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(path, f"{value!r:.60} is not accepted", allowed=f"a whole number, {least} to {most}")
        return value

    return read


def so_many(unit: timedelta, least: int, most: int) -> Callable[[Any, str], timedelta]:
    """A length of time as a whole number of units, both ends included."""
    number = whole(least, most)
    return lambda value, path: number(value, path) * unit


def span(least: str, most: str) -> Callable[[Any, str], timedelta]:
    """A length of time in the short way to write one, both ends included."""

    def read(value: Any, path: str) -> timedelta:
        length = duration.parse_short(read_text(value, path), path).length
        if not duration.parse_short(least, path).length <= length <= duration.parse_short(most, path).length:
            raise Invalid(path, f"{value} is not accepted", allowed=f'"{least}" to "{most}"')
        return length

    return read


def read_topics(value: Any, path: str) -> frozenset[Topic]:
    found = read_texts(value, path)
    known = {str(topic): topic for topic in Topic}
    for index, each in enumerate(found):
        if each not in known:
            raise Invalid(f"{path}[{index}]", f"{each!r:.60} is no topic", allowed=", ".join(known))
    return frozenset(known[each] for each in found)


def read_absolute_path(value: Any, path: str) -> Path:
    found = Path(read_text(value, path))
    if not found.is_absolute():
        raise Invalid(path, f"{value!r:.80} depends on where jitgate is started", allowed="a path that begins with /")
    return found


def read_https(value: Any, path: str) -> str:
    """A URL that nobody on the way can read or answer for; plain HTTP only to this very machine."""
    text = read_text(value, path)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    plain = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or plain) or parts.username or parts.fragment:
        raise Invalid(path, f"{text!r:.80} is not accepted", allowed="https://HOST/PATH")
    return text


def read_base_url(value: Any, path: str) -> str:
    return read_https(value, path).rstrip("/")


def read_syslog(value: Any, path: str) -> SyslogAddress:
    text = read_text(value, path)
    found = _SYSLOG.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise Invalid(path, f"{text!r:.80} is not accepted", allowed="udp://HOST:PORT or tcp://HOST:PORT")
    return SyslogAddress(found["way"], found["host"].strip("[]"), int(found["port"]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
