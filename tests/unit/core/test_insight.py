"""Figures that never flatter: a percentile is never too little, and only what is far wider than its use is told."""

from datetime import UTC, date, datetime, timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core.desired import Protocol
from jitgate.core.duration import parse_short
from jitgate.core.insight import Excess, Spread, Trace, Use, excesses, figures, uses
from jitgate.core.policy import PortRule
from jitgate.core.prefixes import parse_all

DAY = date(2030, 1, 1)
AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)

lengths = st.lists(st.floats(0, 200_000).map(lambda seconds: timedelta(seconds=seconds)), min_size=1, max_size=30)


@given(lengths, st.sampled_from([50, 95, 99]))
def test_a_percentile_is_never_too_little_and_at_most_a_fifth_too_much(taken: list[timedelta], share: int) -> None:
    true = sorted(taken)[ceil(share * len(taken) / 100) - 1]
    found = Spread.of(taken).percentile(share / 100)
    assert found is not None
    assert true - timedelta(milliseconds=1) <= found <= true * 1.2 + timedelta(milliseconds=1)


@given(lengths, lengths)
def test_spreads_add_up_to_the_spread_of_all(some: list[timedelta], others: list[timedelta]) -> None:
    assert Spread.of(some) + Spread.of(others) == Spread.of([*some, *others])


def test_nothing_has_no_percentile_and_what_is_negative_counts_as_nothing() -> None:
    assert Spread().percentile(0.5) is None
    assert Spread.of([-HOUR]).percentile(0.99) == timedelta(0)


def trace(request: str, port: int = 22, **more: object) -> Trace:
    usual: dict[str, object] = {
        "asked_for": HOUR,
        "needed_approval": False,
        "ready": AT,
        "opened": AT + SECOND,
        "ended": AT + HOUR,
        "closed": AT + HOUR + SECOND,
        "reason": "expired",
    }
    return Trace(request, "policy", port, parse_all(["203.0.113.7"], "sources"), **{**usual, **more})  # type: ignore[arg-type]


def test_a_day_counts_requests_once_and_only_expiries_as_lateness() -> None:
    found = figures(
        DAY,
        [
            trace("one"),
            trace("one", port=3389),
            trace("two", reason="userRequested", closed=AT + SECOND),
            trace("three", needed_approval=True, reason="denied", opened=None, ready=None),
        ],
        is_over=True,
    )
    assert (found.requests, found.needed_approval, found.denied, found.grants, found.opened) == (3, 1, 1, 4, 3)
    assert (found.opening.total, found.closing.total, found.is_final) == (3, 2, True)


@pytest.mark.parametrize(("over", "closed"), [(False, AT), (True, None)])
def test_a_day_is_final_once_it_is_over_and_all_of_it_is_shut(over: bool, closed: datetime | None) -> None:
    assert not figures(DAY, [trace("one", closed=closed)], is_over=over).is_final


def rule(number: int, longest: str, *sources: str) -> PortRule:
    return PortRule(number, Protocol.TCP, parse_all(sources, "sources"), sources, parse_short(longest, "longest"))


def test_only_what_is_far_wider_than_its_use_is_told() -> None:
    rules = [rule(22, "24h", "*"), rule(3389, "90m", "203.0.113.0/24"), rule(5986, "3h", "*")]
    used = {use.port: use for use in uses([trace("one"), trace("two", port=3389)])}
    assert list(excesses(rules, used, is_old=True)) == [
        Excess(22, "time", "24 h", "1 h at most"),
        Excess(22, "sources", "any source", "single addresses"),
        Excess(3389, "sources", "203.0.113.0/24", "single addresses"),
        Excess(5986, "port", "may be asked for", "was never asked for"),
    ]
    assert [one.port for one in excesses(rules, used, is_old=False)] == [22, 22, 3389]


def test_the_reach_of_sources_is_told_by_family() -> None:
    use = Use("policy", 22, 1, HOUR, {4: 24, 6: 64})
    [told] = excesses([rule(22, "1h", "*")], {22: use}, is_old=True)
    assert (told.kind, told.used) == ("sources", "IPv4 /24 and IPv6 /64 at most")
