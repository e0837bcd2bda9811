"""Durations: read as the contract writes them, echoed as they came, and bounded."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.examples import shown

from jitgate.core import duration
from jitgate.core.errors import Invalid

LENGTHS = {
    "PT3H": timedelta(hours=3),
    "PT30M": timedelta(minutes=30),
    "PT45S": timedelta(seconds=45),
    "P1D": timedelta(days=1),
    "PT24H": timedelta(days=1),
    "PT1440M": timedelta(days=1),
    "PT86400S": timedelta(days=1),
    "P1W": timedelta(days=7),
    "P1DT2H3M4S": timedelta(days=1, hours=2, minutes=3, seconds=4),
    "PT1H30M": timedelta(minutes=90),
    "PT0S": timedelta(0),
    "PT0003H": timedelta(hours=3),
    "PT1.9S": timedelta(seconds=1),
    "PT1,999999999S": timedelta(seconds=1),
}

JUNK = [
    "",
    "P",
    "PT",
    "P1DT",
    "T3H",
    "3H",
    "PT3",
    "PT3h",
    "pt3h",
    "P3H",
    "PT1D",
    "P1Y",
    "P1M",
    "P1Y2M",
    "-PT3H",
    "+PT3H",
    "PT-3H",
    "PT+3H",
    "PT 3H",
    " PT3H",
    "PT3H ",
    "PT3H\n",
    "PT3HPT3H",
    "PT3M1H",
    "PT3H3H",
    "PT1.5H",
    "PT.5S",
    "PT1e3S",
    "PT٣H",
    "PT３H",
    "PT3\N{KELVIN SIGN}",
    "P1D/P1D",
    "03:00:00",
    "1.00:00:00",
    "10800",
    "P0001-00-01",
    "P99999999999999999999D",
    "PT" + "9" * 100_000 + "S",
]


MISTYPED = [
    "",
    " ",
    "2",
    "h",
    "2x",
    "h2",
    "2h2h",
    "30m2h",
    "-2h",
    "1.5h",
    "2 h",
    "٢h",
    "5\N{LATIN SMALL LETTER LONG S}",
    "PT5\N{LATIN SMALL LETTER LONG S}",
    "P",
    "forever",
    "9" * 100_000 + "h",
]


@pytest.mark.parametrize(("text", "length"), LENGTHS.items())
def test_a_duration_is_read_and_its_text_is_kept(text: str, length: timedelta) -> None:
    """`PT24H` and `P1D` last equally long, and each client reads back what it wrote."""
    found = duration.parse(text, "maxRequestAccessDuration")
    assert (found.length, found.text, str(found)) == (length, text, text)


@pytest.mark.parametrize("text", JUNK, ids=shown)
def test_junk_is_refused_with_its_field_and_what_would_do(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        duration.parse(text, "ports[3].duration")
    assert refusal.value.reason.field == "ports[3].duration"
    assert "PT3H" in refusal.value.reason.allowed
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("value", [None, 3, 3.5, True, b"PT3H", ["PT3H"], {"hours": 3}, timedelta(hours=3)])
def test_what_is_no_text_is_no_duration(value: object) -> None:
    with pytest.raises(Invalid):
        duration.parse(value, "duration")


def test_the_longest_that_can_be_written_still_leads_to_a_date() -> None:
    """Case CK3: absurd lengths are compared with the limit; they overflow nothing."""
    longest = duration.parse("P9999W99999DT999999H99999999M999999999S", "duration")
    assert datetime(2999, 12, 31, tzinfo=UTC) + longest.length < datetime.max.replace(tzinfo=UTC)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    for read in (duration.parse, duration.parse_short):
        try:
            found = read(text, "duration")
        except Invalid:
            continue
        assert found.length >= timedelta(0)
        assert found.text.isascii()


@given(st.integers(0, 10**9).map(lambda seconds: timedelta(seconds=seconds)))
def test_what_is_written_as_iso_is_read_back_as_long(length: timedelta) -> None:
    assert duration.parse(duration.iso(length), "duration").length == length


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("2h", "PT2H"),
        ("90m", "PT1H30M"),
        ("1h30m", "PT1H30M"),
        ("1H30M", "PT1H30M"),
        (" 45s ", "PT45S"),
        ("1d", "PT24H"),
        ("1d2h3m4s", "PT26H3M4S"),
        ("PT2H", "PT2H"),
        ("pt2h", "PT2H"),
        (" p1d ", "P1D"),
    ],
)
def test_people_type_it_shorter(typed: str, text: str) -> None:
    assert duration.parse_short(typed, "--for").text == text


@pytest.mark.parametrize("typed", MISTYPED, ids=shown)
def test_what_people_mistype_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(Invalid) as refusal:
        duration.parse_short(typed, "--for")
    assert "for example" in refusal.value.reason.allowed


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (timedelta(hours=3), "3 h"),
        (timedelta(minutes=90), "1 h 30 min"),
        (timedelta(seconds=45), "45 s"),
        (timedelta(0), "0 s"),
        (timedelta(days=2), "48 h"),
        (timedelta(hours=3, microseconds=1), "3 h 1 s"),
        (timedelta(minutes=59, seconds=59, milliseconds=500), "1 h"),
    ],
)
def test_people_read_hours_and_minutes_and_never_a_length_as_shorter_than_it_is(length: timedelta, told: str) -> None:
    assert duration.describe(length) == told
