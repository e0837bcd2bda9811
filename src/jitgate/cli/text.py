"""Text for terminals, out of values that others wrote."""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

from jitgate.core import duration

SHORT_ID = 8
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plain(text: object) -> str:
    """A text that does nothing to a terminal: no escape sequences, no change of direction, one line."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _HIDDEN else c for c in str(text))


def short(id: str) -> str:
    """The beginning of an id, enough to type it."""
    return plain(id)[:SHORT_ID]


def moment(text: str | None) -> datetime | None:
    """A time from the server."""
    return None if text is None else datetime.fromisoformat(text)


def local(text: str | None) -> str:
    """A time as the clock on the wall shows it; the date too unless it is today."""
    found = moment(text)
    if found is None:
        return ""
    here = found.astimezone()
    return here.strftime("%H:%M:%S" if here.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def left(text: str | None) -> str:
    """How long until a time: ``1 h 59 min``; seconds only in the last ten minutes."""
    found = moment(text)
    if found is None:
        return ""
    length = found - datetime.now(UTC)
    if length <= timedelta(0):
        return "over"
    step = timedelta(seconds=1) if length < timedelta(minutes=10) else timedelta(minutes=1)
    return duration.describe(length - length % step)


def span(iso: str) -> str:
    """A length from the server, as people say it: ``3 h``."""
    return duration.describe(duration.parse(iso, "duration").length)


def port(item: Any) -> str:
    """A grant's port: ``22/tcp``; ``22`` for both protocols."""
    return port_name(item["port"], item["protocol"])


def port_name(number: int, protocol: str) -> str:
    """A port with its protocol: ``22/tcp``; ``22`` for both."""
    return str(number) if protocol == "*" else f"{number}/{protocol.lower()}"


def sources(item: Any) -> str:
    """From where: ``anywhere`` or the list."""
    found = item["sources"]
    return "anywhere" if {"0.0.0.0/0", "::/0"} <= set(found) or "*" in found else ", ".join(map(plain, found))
