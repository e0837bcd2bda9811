"""Weekly windows: the hours of the week in which access may be, or in which somebody may decide.

::

    Mon-Fri 09:00-17:00 Europe/Berlin
    Sat,Sun 22:00-06:00                  (until the next morning, UTC)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from jitgate.core.errors import Invalid

MOST_WINDOWS = 20
LONGEST_WINDOW_TEXT = 100
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE_DAY = 24 * 60
# Windows that follow on each other are one: as many as a month has half hours would still be found.
_MOST_IN_A_ROW = 62
_FORM = re.compile(
    r"(?P<days>[a-z,-]{3,40}) +(?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)(?: +(?P<zone>[\w+/-]{1,40}))?",
    re.IGNORECASE | re.ASCII,
)
_ALLOWED = "such as 'Mon-Fri 09:00-17:00' (UTC) or 'Sat,Sun 22:00-06:00 Europe/Berlin'"


@dataclass(frozen=True, slots=True)
class Window:
    """Some hours of some days of the week.

    `days`   0 is Monday
    `begin`, `end`  minutes from midnight; an end that is not after the beginning is on the next day
    `zone`   an IANA name: the hours are those of its clocks, in summer and in winter
    """

    days: frozenset[int]
    begin: int
    end: int
    zone: str = "UTC"

    def __str__(self) -> str:
        days = ",".join(_DAYS[day].title() for day in sorted(self.days))
        hours = f"{_clock(self.begin)}-{_clock(self.end)}"
        return f"{days} {hours}" + ("" if self.zone == "UTC" else f" {self.zone}")

    def until(self, moment: datetime) -> datetime | None:
        """When the window that holds a moment ends, UTC; None: none does."""
        zone = _zone(self.zone)
        today = datetime.combine(moment.astimezone(zone).date(), time(), zone)
        for midnight in (today, today - timedelta(days=1)):
            begin = (midnight + timedelta(minutes=self.begin)).astimezone(UTC)
            end = (midnight + timedelta(minutes=self._length_end)).astimezone(UTC)
            if midnight.weekday() in self.days and begin <= moment < end:
                return end
        return None

    @property
    def _length_end(self) -> int:
        return self.end if self.end > self.begin else self.end + _WHOLE_DAY


def open_until(windows: Iterable[Window], moment: datetime) -> datetime | None:
    """Until when windows hold from a moment on without a gap, UTC; None: none holds it."""
    given = tuple(windows)
    end, at = None, moment
    for _ in range(_MOST_IN_A_ROW):
        ends = [found for window in given if (found := window.until(at)) is not None]
        if not ends:
            break
        end = at = max(ends)
    return end


def parse(text: str, field: str) -> Window:
    """Read a window as people write it. Raises Invalid."""
    found = _FORM.fullmatch(text.strip()) if len(text) <= LONGEST_WINDOW_TEXT else None
    if found is None:
        raise Invalid(field, f"{text!r:.60} is not a window", allowed=_ALLOWED)
    zone = found["zone"] or "UTC"
    _check_zone(zone, field)
    begin, end = _minutes(found["h1"], found["m1"], field), _minutes(found["h2"], found["m2"], field)
    if begin == _WHOLE_DAY:
        raise Invalid(field, "a window cannot begin at 24:00", allowed=_ALLOWED)
    return Window(_days(found["days"].lower(), field), begin, end, zone)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _check_zone(zone: str, field: str) -> None:
    try:
        _zone(zone)
    except (OSError, ValueError, KeyError):
        # Also where the machine has no time zones installed.
        raise Invalid(field, f"{zone!r} is not a time zone here", allowed="UTC, or a name as Europe/Berlin") from None


def _days(text: str, field: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise Invalid(field, f"{part!r} names no days", allowed=_ALLOWED)
        start, length = _DAYS.index(first), (_DAYS.index(last or first) - _DAYS.index(first)) % 7
        found |= {(start + step) % 7 for step in range(length + 1)}
    return frozenset(found)


def _minutes(hours: str, minutes: str, field: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > _WHOLE_DAY:
        raise Invalid(field, f"{hours}:{minutes} is not a time of day", allowed="00:00 to 24:00")
    return total


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
