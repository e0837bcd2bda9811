"""Weekly windows: by the clocks of a place, over midnight, and without a gap where they follow on each other."""

from datetime import UTC, datetime

import pytest

from jitgate.core.errors import Invalid
from jitgate.core.windows import open_until, parse

TUESDAY = datetime(2030, 1, 1, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0, month: int = 1) -> datetime:
    return datetime(2030, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "moment", "end"),
    [
        ("Mon-Fri 09:00-17:00", at(1, 9), at(1, 17)),
        ("Mon-Fri 09:00-17:00", at(1, 8, 59), None),
        ("Mon-Fri 09:00-17:00", at(1, 17), None),
        ("Mon-Fri 09:00-17:00", at(5, 12), None),
        ("Fri-Mon 00:00-24:00", at(4, 12), at(8, 0)),
        ("tue 22:00-06:00", at(1, 23), at(2, 6)),
        ("tue 22:00-06:00", at(2, 5, 59), at(2, 6)),
        ("tue 22:00-06:00", at(1, 5), None),
        ("Sun,Tue 00:00-00:00", at(1, 0), at(2, 0)),
        ("Mon-Fri 09:00-17:00 Europe/Berlin", at(1, 8), at(1, 16)),
        ("Mon-Fri 09:00-17:00 Europe/Berlin", at(1, 8, month=7), at(1, 15, month=7)),
    ],
)
def test_a_window_holds_the_hours_of_its_days(window: str, moment: datetime, end: datetime | None) -> None:
    assert open_until([parse(window, "w")], moment) == end


def test_windows_that_follow_on_each_other_are_one() -> None:
    given = [parse("Tue 09:00-12:00", "w"), parse("Tue 12:00-15:00", "w"), parse("Tue 16:00-18:00", "w")]
    assert open_until(given, at(1, 10)) == at(1, 15)


def test_a_window_that_never_ends_is_looked_at_for_a_while_only() -> None:
    end = open_until([parse("Mon-Sun 00:00-24:00", "w")], at(1, 10))
    assert end is not None
    assert end > at(28, 0)


def test_a_window_is_written_as_it_can_be_read() -> None:
    for text in ("Mon,Tue,Sun 22:00-06:00 Europe/Berlin", "Wed 00:00-24:00"):
        assert str(parse(text, "w")) == text


@pytest.mark.parametrize(
    "text",
    ["", "Mon", "Mon 9-17", "Mon 25:00-26:00", "Mon 09:60-10:00",
     "Foo 09:00-10:00", "Mon 24:00-01:00", "Mon- 09:00-10:00",
     "Mon 09:00-17:00 Nowhere/Here", "Mon 09:00-17:00 ../../etc/passwd", "Mon,,Tue 09:00-10:00", "M" * 5000],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text, "w")
