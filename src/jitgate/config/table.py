"""Reading TOML: each setting once, with a message that names it; and no setting that nobody asked for."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from jitgate.core import duration, prefixes
from jitgate.core.errors import Invalid
from jitgate.core.policy import SHORTEST_ACCESS
from jitgate.core.prefixes import Prefix
from jitgate.core.topics import Topic

MOST_ACCESS = timedelta(days=30)
MOST_REMINDER = timedelta(days=1)
_NAMESPACE = re.compile(r"\w[\w.-]{0,62}", re.ASCII)

_SYSLOG = re.compile(r"(?P<way>udp|tcp)://(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where a syslog server listens. `way` is udp or tcp."""

    way: str
    host: str
    port: int


class Table:
    """One TOML table: hands out its settings, and knows which were not asked for."""

    def __init__(self, values: Mapping[str, Any], path: str) -> None:
        self._values = dict(values)
        self._known: list[str] = []
        self._path = path

    def name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def take(self, key: str, default: T, read: Callable[[Any, str], T]) -> T:
        """A setting's value as `read` makes it out, or the default."""
        self._known.append(key)
        if key not in self._values:
            return default
        return read(self._values.pop(key), self.name(key))

    def require(self, key: str, read: Callable[[Any, str], T]) -> T:
        if key not in self._values:
            raise Invalid(self.name(key), "the setting is missing", allowed=f"{key} = …")
        self._known.append(key)
        return read(self._values.pop(key), self.name(key))

    def table(self, key: str) -> "Table":
        return self.take(key, Table({}, key), as_table)

    def tables(self, key: str) -> list["Table"]:
        return self.take(key, [], as_tables)

    def finish(self) -> None:
        """Refuse what nobody asked for. Raises Invalid."""
        for unknown in self._values:
            raise Invalid(self.name(unknown), "there is no such setting", allowed=", ".join(self._known))


def as_table(value: Any, path: str) -> Table:
    if not isinstance(value, dict):
        raise Invalid(path, f"{value!r:.60} is not a table", allowed=f"[{path}] and settings below it")
    return Table(value, path)


def as_tables(value: Any, path: str) -> list[Table]:
    if not isinstance(value, list):
        raise Invalid(path, "this is one table", allowed=f"[[{path}]], in double brackets, once for each {path}")
    return [as_table(each, f"{path}[{index}]") for index, each in enumerate(value)]


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
    return tuple(read_one_address(each, f"{path}[{index}]") for index, each in enumerate(read_texts(value, path)))


def read_one_address(value: Any, path: str) -> str:
    address = prefixes.text(prefixes.canonical(read_text(value, path), path))
    if "/" in address:
        raise Invalid(path, f"{address} is many addresses", allowed="an IP address")
    return address


def read_tags(value: Any, path: str) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise Invalid(path, f"{value!r:.60} is not a table", allowed='{ name = "value" }')
    return {name: read_text(each, f"{path}.{name}") for name, each in value.items()}


def read_whole(value: Any, path: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(path, f"{value!r:.60} is not accepted", allowed=f"a whole number, {least} to {most}")
    return value


def read_longest_access(value: Any, path: str) -> timedelta:
    length = duration.parse_short(read_text(value, path), path).length
    if not SHORTEST_ACCESS <= length <= MOST_ACCESS:
        raise Invalid(path, f"{value} is not accepted", allowed='"5m" to "30d"')
    return length


def read_short_while(value: Any, path: str) -> timedelta:
    length = duration.parse_short(read_text(value, path), path).length
    if length > MOST_REMINDER:
        raise Invalid(path, f"{value} is not accepted", allowed='"0m" to "24h"')
    return length


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
