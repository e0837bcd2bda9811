"""Asking and the life of a grant: what is legal is a table, and every life ends shut."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from tests.unit.core import strategies
from tests.unit.core.examples import ALICE, BOB, HOUR, NOW, OFFICE, length, make_ask, make_grant, make_port

from jitgate.core import access
from jitgate.core.access import TRANSITIONS, Ask, CloseReason, Grant, MachineAsk, Span, State, check_ask, supersedes
from jitgate.core.desired import AccessKey, Protocol
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import ANYWHERE, Prefix

GOLDEN = Path(__file__).parent / "golden" / "lives_of_a_grant.txt"


def lives(so_far: tuple[State, ...] = (State.NEW,)) -> Iterator[tuple[State, ...]]:
    """Every legal way on from here, to where there is none."""
    following = [state for state in State if (so_far[-1], state) in TRANSITIONS]
    if not following:
        yield so_far
    for state in following:
        assert state not in so_far, f"a grant could go round in circles: {so_far}, {state}"
        yield from lives((*so_far, state))


def test_a_grant_lives_in_the_listed_ways_and_no_other() -> None:
    """The list is golden: read a change to it as a change of what jitgate promises."""
    assert [" ".join(life) for life in lives()] == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_every_life_ends_closed() -> None:
    assert {life[-1] for life in lives()} == {State.CLOSED}


def test_nothing_leaves_closed_and_nothing_becomes_new_again() -> None:
    """Case CL15: what was closed cannot be taken up again."""
    assert not [move for move in TRANSITIONS if move[0] is State.CLOSED]
    assert not [move for move in TRANSITIONS if move[1] is State.NEW]


def test_what_may_have_stood_is_closed_only_through_closing() -> None:
    """So that its rule is proven gone; case CL7."""
    assert {before for before, after in TRANSITIONS if after is State.CLOSED and before.is_live} == set()


def test_nothing_is_open_that_was_not_opening() -> None:
    assert {before for before, after in TRANSITIONS if after is State.OPEN} == {State.OPENING}


def test_every_state_is_reached() -> None:
    assert {state for life in lives() for state in life} == set(State)


@pytest.mark.parametrize(
    ("state", "live", "over"),
    [
        (State.NEW, False, False),
        (State.PENDING, False, False),
        (State.SCHEDULED, False, False),
        (State.OPENING, True, False),
        (State.OPEN, True, False),
        (State.CLOSING, False, True),
        (State.CLOSED, False, True),
    ],
)
def test_only_what_is_opening_or_open_asks_for_its_port(state: State, *, live: bool, over: bool) -> None:
    assert (state.is_live, state.is_over) == (live, over)


def test_a_session_outlives_its_grant_only_where_nobody_took_the_access_away() -> None:
    kept = {reason for reason in CloseReason if not reason.cuts_sessions}
    assert kept == {CloseReason.EXPIRED, CloseReason.SUPERSEDED}


def test_a_grant_asks_for_each_protocol_from_each_source() -> None:
    grant = make_grant(protocol=Protocol.ANY, sources=(ALICE, Prefix("2001:db8::/64")))
    assert list(grant.keys()) == [
        AccessKey("uuid-web-1", 22, Protocol.TCP, ALICE),
        AccessKey("uuid-web-1", 22, Protocol.TCP, Prefix("2001:db8::/64")),
        AccessKey("uuid-web-1", 22, Protocol.UDP, ALICE),
        AccessKey("uuid-web-1", 22, Protocol.UDP, Prefix("2001:db8::/64")),
    ]


@given(strategies.grants())
def test_no_two_keys_of_a_grant_are_the_same(grant: Grant) -> None:
    keys = list(grant.keys())
    assert len(set(keys)) == len(keys) == len(grant.sources) * len(grant.protocol.each)


def test_an_absolute_end_never_moves_and_a_duration_counts_from_opening() -> None:
    later = NOW + timedelta(minutes=30)
    assert Span(end=NOW + HOUR).end_from(NOW) == Span(end=NOW + HOUR).end_from(later) == NOW + HOUR
    assert Span(duration=length("PT1H")).end_from(later) == later + HOUR


def test_a_grant_remembers_whether_an_end_or_a_duration_was_asked_for() -> None:
    assert make_grant(end=NOW).span == Span(end=NOW)
    assert make_grant(end=NOW, duration=length("PT1H")).span == Span(duration=length("PT1H"))


# --- taking the place of an older grant --------------------------------------------------------------

OLD = make_grant(State.OPEN, uid="old")
NEW = make_grant(State.OPENING, uid="new", end=NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (NEW, OLD),
        (replace(NEW, end=NOW + timedelta(minutes=1)), OLD),
        (replace(NEW, sources=(OFFICE,)), OLD),
        (replace(NEW, sources=ANYWHERE), replace(OLD, sources=(ALICE, BOB))),
        (replace(NEW, sources=(Prefix("203.0.113.0/25"), Prefix("203.0.113.128/25"))), replace(OLD, sources=(OFFICE,))),
        (replace(NEW, protocol=Protocol.ANY), OLD),
        (NEW, replace(OLD, state=State.OPENING)),
        (NEW, replace(OLD, state=State.PENDING)),
    ],
)
def test_a_newer_grant_takes_the_place_of_one_that_it_covers(new: Grant, old: Grant) -> None:
    """Case RA17, also when it ends earlier."""
    assert supersedes(new, old)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (NEW, replace(OLD, principal="bob")),
        (NEW, replace(OLD, machine="uuid-web-2")),
        (NEW, replace(OLD, port=3389)),
        (NEW, replace(OLD, protocol=Protocol.UDP)),
        (NEW, replace(OLD, protocol=Protocol.ANY)),
        (NEW, replace(OLD, sources=(BOB,))),
        (NEW, replace(OLD, sources=(ALICE, BOB))),
        (NEW, replace(OLD, sources=(OFFICE,))),
        (replace(NEW, sources=(Prefix("0.0.0.0/0"),)), replace(OLD, sources=ANYWHERE)),
        (NEW, replace(OLD, state=State.SCHEDULED, start=NOW + HOUR)),
        (NEW, replace(OLD, state=State.PENDING, start=NOW + HOUR)),
        (NEW, replace(OLD, state=State.CLOSING)),
        (NEW, replace(OLD, state=State.CLOSED)),
        (NEW, replace(NEW, state=State.OPEN)),
    ],
)
def test_everything_else_lives_side_by_side(new: Grant, old: Grant) -> None:
    assert not supersedes(new, old)


# --- what no policy could allow ----------------------------------------------------------------------


def test_an_ask_in_order_comes_back_as_it_is() -> None:
    ask = make_ask(make_port(22), make_port(3389), justification="x" * access.LONGEST_JUSTIFICATION)
    assert check_ask(ask) is ask


def refused_field(ask: Ask) -> str:
    with pytest.raises(Invalid) as refusal:
        check_ask(ask)
    assert refusal.value.reason.allowed
    return refusal.value.reason.field


def test_asking_for_nothing_is_refused() -> None:
    web = make_ask().machines[0].id
    assert refused_field(Ask(())) == "virtualMachines"
    assert refused_field(Ask((MachineAsk(web, ()),))) == "virtualMachines[0].ports"
    assert refused_field(make_ask(make_port(sources=()))) == "ports[0].allowedSourceAddressPrefixes"


def test_a_reason_too_long_is_refused() -> None:
    assert refused_field(make_ask(justification="x" * (access.LONGEST_JUSTIFICATION + 1))) == "justification"


def test_more_grants_than_one_request_may_hold_are_refused() -> None:
    most = [make_port(number, field=f"ports[{number}]") for number in range(1, access.MOST_GRANTS + 1)]
    check_ask(make_ask(*most))
    assert refused_field(make_ask(*most, make_port(9999))) == "virtualMachines"


def test_more_sources_than_one_port_may_have_are_refused() -> None:
    sources = tuple(Prefix(f"198.51.100.{n}/32") for n in range(access.MOST_SOURCES + 1))
    check_ask(make_ask(make_port(sources=sources[1:])))
    assert refused_field(make_ask(make_port(sources=sources))) == "ports[0].allowedSourceAddressPrefixes"
    written_as_one = make_port(sources=sources, source_texts="as one text")
    assert refused_field(make_ask(written_as_one)) == "ports[0].allowedSourceAddressPrefix"


def test_a_machine_twice_is_refused_in_whatever_case_it_is_written() -> None:
    web, shout = make_ask().machines[0], make_ask(machine="WEB-1").machines[0]
    twice = Ask((web, replace(shout, field="virtualMachines[1]")))
    assert refused_field(twice) == "virtualMachines[1].id"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, None),
        (None, Protocol.TCP),
        (Protocol.UDP, None),
        (Protocol.TCP, Protocol.TCP),
        (Protocol.TCP, Protocol.ANY),
        (Protocol.ANY, Protocol.UDP),
    ],
)
def test_a_port_twice_or_tcp_beside_a_star_is_refused(one: Protocol | None, other: Protocol | None) -> None:
    ports = make_port(22, protocol=one), make_port(22, protocol=other, field="ports[1]")
    assert refused_field(make_ask(*ports)) == "ports[1].number"


def test_tcp_and_udp_of_one_port_may_be_asked_for_together() -> None:
    ports = make_port(53, protocol=Protocol.TCP), make_port(53, protocol=Protocol.UDP, field="ports[1]")
    check_ask(make_ask(*ports))


def test_a_repeat_is_found_even_where_nothing_says_where_it_stood() -> None:
    assert refused_field(make_ask(make_port(22), make_port(22))) == "ports[0].number"
