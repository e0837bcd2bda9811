"""What Hypothesis draws from. Addresses come from two small neighbourhoods, so that prefixes often overlap."""

import ipaddress
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from tests.unit.core.examples import NOW, make_grant

from jitgate.core import prefixes
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.duration import Duration, iso
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.prefixes import ANY_IPV4, ANY_IPV6, ANYWHERE, Prefix
from jitgate.core.selector import Selector

T = TypeVar("T")
N = TypeVar("N")

NEIGHBOURHOODS = (ipaddress.ip_network("192.0.2.0/28"), ipaddress.ip_network("2001:db8::/124"))
ADDRESSES = [Prefix(f"{address}/{address.max_prefixlen}") for near in NEIGHBOURHOODS for address in near]
SUBNETS = [Prefix(str(net)) for near in NEIGHBOURHOODS for length in range(5) for net in near.subnets(length)]

networks = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda bits: ipaddress.ip_network((address, bits), strict=False)
    )
)
near_prefixes = st.sampled_from([*SUBNETS, ANY_IPV4, ANY_IPV6])
source_lists = st.lists(near_prefixes, min_size=1, max_size=4).map(prefixes.collapse)
wide_lists = st.just(ANYWHERE) | source_lists
narrow_lists = st.sampled_from(ADDRESSES).map(lambda address: (address,)) | source_lists
minutes = st.integers(-60, 240).map(lambda count: NOW + timedelta(minutes=count))


def lengths(shortest: int = 1, longest: int = 24 * 60) -> st.SearchStrategy[timedelta]:
    """Whole minutes."""
    return st.integers(shortest, longest).map(lambda count: timedelta(minutes=count))


durations = (lengths(longest=60) | lengths()).map(lambda length: Duration(iso(length), length))


def seldom(some: st.SearchStrategy[T], none: N) -> st.SearchStrategy[T | N]:
    """Mostly `none`: several limits together leave little that could be granted, and so little to be found wrong."""
    return st.integers(0, 3).flatmap(lambda dice: some if dice == 3 else st.just(none))


limits = st.builds(
    Limits,
    approvals=seldom(st.integers(1, 3), 0),
    reason_required=seldom(st.just(True), False),
    reason_pattern=seldom(st.sampled_from(["*", "INC-#*", "CHG-#"]), None),
    session=st.sampled_from([None, *SessionEnd]),
    sources=seldom(source_lists, None),
    caller_only=seldom(st.just(True), False),
    max_duration=seldom(lengths(longest=120), None),
    approval_wait=seldom(lengths(longest=48 * 60), None),
    enforcement=st.sampled_from([None, *Enforcement]),
)
selectors = st.builds(
    Selector,
    scope=st.sampled_from(["/", "/subscriptions/11111111-2222-3333-4444-555555555555", "/subscriptions/other"]),
    tags=st.sampled_from([{}, {"env": "prod"}, {"env": "test"}]),
    ports=st.sampled_from([frozenset[int](), frozenset({22}), frozenset({3389})]),
)


def guardrails(name: str = "rail") -> st.SearchStrategy[Guardrail]:
    """A guardrail that may or may not cover the machine of the examples."""
    return st.builds(Guardrail, st.just(name), selectors, limits)


@st.composite
def grants(draw: st.DrawFn, sources: st.SearchStrategy[tuple[Prefix, ...]] = source_lists) -> Grant:
    """A grant as the database can hold one: what is live has an end, what waits has an end or a duration.

    Times that no longer matter stay where they are: an open grant has the start and the waiting time it once had.
    """
    state = draw(st.sampled_from([state for state in State if state is not State.NEW]))
    end: datetime | None = draw(minutes)
    duration = draw(st.none() | durations)
    if duration is not None and state in (State.PENDING, State.SCHEDULED):
        end = None
    return make_grant(
        state,
        protocol=draw(st.sampled_from(Protocol)),
        sources=draw(sources),
        end=end,
        duration=duration,
        start=draw(st.none() | minutes),
        wait_until=draw(minutes) if state is State.PENDING else draw(st.none() | minutes),
        reason=draw(st.sampled_from(CloseReason)) if state.is_over else None,
    )
