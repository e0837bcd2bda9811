"""ISO 8601 durations, as the contract writes them: ``PT3H``, ``P1D``, ``PT1H30M``.

The text that came in is what goes out: ``PT24H`` and ``P1D`` mean the same and are both kept. Fractions of
a second are cut off, so that no access is longer than it was asked for.
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from jitgate.core.errors import Invalid

_ISO = re.compile(
    r"P(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,9})(?:[.,]\d{1,9})?S)?)?",
    re.ASCII,
)
_SHORT = re.compile(
    r"(?:(?P<days>\d{1,5})d)?(?:(?P<hours>\d{1,6})h)?(?:(?P<minutes>\d{1,8})m)?(?:(?P<seconds>\d{1,9})s)?",
    re.ASCII | re.IGNORECASE,
)

_LONGEST_TEXT = 64


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time and the text that it was written as."""

    text: str
    length: timedelta

    def __str__(self) -> str:
        return self.text


def parse(text: object, field: str) -> Duration:
    """Read an ISO 8601 duration without years and months, whose length is not fixed. Raises Invalid."""
    found = _parse(text) if isinstance(text, str) and len(text) <= _LONGEST_TEXT else None
    if found is None:
        raise Invalid(field, f"{text!r:.60} is not a duration", allowed="ISO 8601, for example PT3H, PT30M or P1D")
    return found


def parse_short(text: str, field: str) -> Duration:
    """Read what people type: ``90m``, ``2h``, ``1h30m``; ISO 8601 as well. Raises Invalid."""
    typed = text.strip()
    if typed.isascii() and typed[:1] in ("P", "p"):
        return parse(typed.upper(), field)
    found = _SHORT.fullmatch(typed)
    if found is None or not any(found.groupdict().values()):
        raise Invalid(field, f"{text!r:.60} is not a duration", allowed="for example 2h, 90m or 1h30m")
    length = _length(found)
    return Duration(iso(length), length)


def iso(length: timedelta) -> str:
    """The shortest ISO 8601 text in hours, minutes and seconds."""
    total = int(length.total_seconds())
    hours, minutes, seconds = total // 3600, total % 3600 // 60, total % 60
    parts = [(hours, "H"), (minutes, "M"), (seconds, "S")]
    return "PT" + ("".join(f"{n}{unit}" for n, unit in parts if n) or "0S")


def describe(length: timedelta) -> str:
    """For people: ``3 h``, ``1 h 30 min``, ``45 s``. A second that has begun counts: too long never reads as right."""
    total = math.ceil(length.total_seconds())
    parts = [(total // 3600, "h"), (total % 3600 // 60, "min"), (total % 60, "s")]
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 s"


@lru_cache(maxsize=256)
def _parse(text: str) -> Duration | None:
    found = _ISO.fullmatch(text)
    if found is None or found[0].endswith("T") or not any(found.groupdict().values()):
        return None
    return Duration(found[0], _length(found))


def _length(found: re.Match[str]) -> timedelta:
    return timedelta(**{unit: int(n) for unit, n in found.groupdict().items() if n})
