"""An approver gives less time than was asked for, never more."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core.access import Span
from jitgate.core.duration import Duration, iso, parse_short
from jitgate.core.errors import Invalid
from jitgate.core.shortening import LEAST, shorten

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def lasting(text: str) -> Span:
    return Span(duration=parse_short(text, "for"))


def test_a_length_stays_a_length_and_an_end_comes_nearer() -> None:
    most = parse_short("30m", "for")
    asked = [lasting("2h"), lasting("20m"), Span(end=NOW + timedelta(hours=1))]
    assert shorten(asked, most, NOW) == [Span(duration=most), asked[1], Span(end=NOW + timedelta(minutes=30))]


@pytest.mark.parametrize("most", ["2h1s", "59s", "3d"])
def test_neither_more_than_was_asked_for_nor_next_to_nothing_is_given(most: str) -> None:
    with pytest.raises(Invalid, match="1 min to 2 h"):
        shorten([lasting("2h"), lasting("1h")], parse_short(most, "for"), NOW)


seconds = st.integers(60, 90_000)


@given(st.lists(seconds, min_size=1, max_size=4), seconds)
def test_nothing_ever_lasts_longer_than_it_did(asked: list[int], most: int) -> None:
    spans = [Span(duration=_lasting(each)) if each % 2 else Span(end=NOW + timedelta(seconds=each)) for each in asked]
    try:
        found = shorten(spans, _lasting(most), NOW)
    except Invalid:
        assert most > max(asked)
        return
    for old, new in zip(spans, found, strict=True):
        assert new.end_from(NOW) == min(old.end_from(NOW), NOW + timedelta(seconds=most))
        assert (new.duration is None) == (old.duration is None)
    assert timedelta(seconds=most) >= LEAST


def _lasting(seconds: int) -> Duration:
    length = timedelta(seconds=seconds)
    return Duration(iso(length), length)
