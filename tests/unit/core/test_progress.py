"""How grants move: by time alone, or by a report of what stands; never by hope."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core import strategies
from tests.unit.core.examples import ALICE, BOB, HOUR, MINUTE, NOW, length, make_grant

from jitgate.core.access import TRANSITIONS, CloseReason, Grant, State
from jitgate.core.desired import AccessKey, Desired, Protocol, Want, union
from jitgate.core.prefixes import Prefix
from jitgate.core.progress import OPENING_MAY_TAKE, Move, Standing, due, due_at, fails, gives_up, progress

TICK = timedelta(microseconds=1)
V6 = Prefix("2001:db8::/64")


@dataclass(frozen=True)
class Report:
    """What a firewall says; empty: nothing about anything."""

    standing: Mapping[AccessKey, datetime] = field(default_factory=dict)
    shut: frozenset[AccessKey] = frozenset()
    refused: Mapping[AccessKey, str] = field(default_factory=dict)
    complete: bool = False


def desired_for(*grants: Grant) -> Desired:
    keys = {key for grant in grants for key in grant.keys()}
    claims = [Want(key, grant.end) for grant in grants if grant.state.is_live and grant.end for key in grant.keys()]
    return Desired("host/web-1", 1, NOW, frozenset(), {}, union(keys, claims, NOW))


def moved(grant: Grant, report: Standing, *others: Grant) -> Move | None:
    """The move of a grant, where the firewall holds what it and the others want."""
    moves = progress([grant], desired_for(grant, *others), report, NOW).moves
    return moves[0] if moves else None


def as_wanted(grant: Grant) -> Report:
    assert grant.end is not None
    return Report(dict.fromkeys(grant.keys(), grant.end))


# --- by time -----------------------------------------------------------------------------------------


@given(strategies.grants())
def test_what_is_due_is_due_at_the_time_that_was_announced_and_not_a_moment_before(grant: Grant) -> None:
    """A timer that is set to `due_at` is neither late nor rings for nothing, which would go round for ever."""
    at = due_at(grant)
    if at is None:
        assert due(grant, datetime.max.replace(tzinfo=NOW.tzinfo)) is None
        return
    assert due(grant, at) is not None
    assert due(grant, at + HOUR) is not None
    assert due(grant, at - TICK) is None


@given(strategies.grants(), strategies.minutes)
def test_time_alone_makes_legal_moves_and_opens_nothing(grant: Grant, now: datetime) -> None:
    move = due(grant, now)
    if move is None:
        return
    assert (grant.state, move.state) in TRANSITIONS
    assert move.state is not State.OPEN
    assert (move.reason is not None) == move.state.is_over
    assert move.at == now


@given(strategies.grants(), strategies.minutes)
def test_time_alone_never_calls_shut_what_may_stand(grant: Grant, now: datetime) -> None:
    move = due(grant, now)
    assert move is None or not grant.state.is_live or move.state is State.CLOSING


@given(strategies.grants(), strategies.minutes)
def test_what_begins_to_open_has_an_end_ahead_and_keeps_an_absolute_one(grant: Grant, now: datetime) -> None:
    move = due(grant, now)
    if move is not None and move.state is State.OPENING:
        assert move.end is not None
        assert move.end > now
        assert grant.end is None or move.end == grant.end


@given(strategies.grants().filter(lambda grant: due_at(grant) is not None), st.integers(0, 600))
def test_whatever_happens_to_the_process_time_leads_every_grant_to_its_end(grant: Grant, slept: int) -> None:
    """However late it is looked at: what is due next is never further on than it was (case CL3)."""
    while (at := due_at(grant)) is not None:
        now = at + timedelta(minutes=slept)
        move = due(grant, now)
        assert move is not None
        grant = replace(grant, state=move.state, since=now, end=move.end or grant.end)
    assert grant.state.is_over


@pytest.mark.parametrize("state", [State.OPENING, State.OPEN])
def test_a_live_grant_begins_to_close_at_its_end(state: State) -> None:
    grant = make_grant(state)
    assert due(grant, NOW + HOUR - TICK) is None
    assert due(grant, NOW + HOUR) == Move(grant, State.CLOSING, NOW + HOUR, CloseReason.EXPIRED)


def test_what_waits_for_approval_waits_no_longer_than_it_may() -> None:
    """Case AP7."""
    grant = make_grant(State.PENDING, end=None, duration=length("PT1H"), wait_until=NOW + MINUTE)
    assert due(grant, NOW + MINUTE - TICK) is None
    assert due(grant, NOW + MINUTE) == Move(grant, State.CLOSED, NOW + MINUTE, CloseReason.APPROVAL_TIMED_OUT)


def test_what_waits_for_approval_is_over_when_its_absolute_end_has_come() -> None:
    grant = make_grant(State.PENDING, end=NOW + MINUTE, wait_until=NOW + HOUR)
    assert due_at(grant) == NOW + MINUTE
    assert due(grant, NOW + MINUTE) == Move(grant, State.CLOSED, NOW + MINUTE, CloseReason.APPROVAL_TIMED_OUT)


def test_a_scheduled_grant_opens_at_its_start_and_its_length_counts_from_there() -> None:
    """Case CK6."""
    grant = make_grant(State.SCHEDULED, end=None, duration=length("PT1H"), start=NOW + HOUR)
    assert due(grant, NOW + HOUR - TICK) is None
    assert due(grant, NOW + HOUR) == Move(grant, State.OPENING, NOW + HOUR, end=NOW + 2 * HOUR)


def test_a_scheduled_grant_is_looked_at_when_it_starts_or_is_over_whichever_comes_first() -> None:
    assert due_at(make_grant(State.SCHEDULED, start=NOW + MINUTE, end=NOW + HOUR)) == NOW + MINUTE
    assert due_at(make_grant(State.SCHEDULED, start=NOW + HOUR, end=NOW + MINUTE)) == NOW + MINUTE


def test_a_start_that_was_slept_through_does_not_move_the_end() -> None:
    grant = make_grant(State.SCHEDULED, end=None, duration=length("PT1H"), start=NOW + HOUR)
    late = NOW + HOUR + 20 * MINUTE
    assert due(grant, late) == Move(grant, State.OPENING, late, end=NOW + 2 * HOUR)


@pytest.mark.parametrize("how", [{"end": None, "duration": length("PT1H")}, {"end": NOW + 2 * HOUR}])
def test_a_window_that_was_slept_through_does_not_open_at_all(how: dict[str, object]) -> None:
    grant = replace(make_grant(State.SCHEDULED, start=NOW + HOUR), **how)  # type: ignore[arg-type]
    assert due(grant, NOW + 2 * HOUR) == Move(grant, State.CLOSED, NOW + 2 * HOUR, CloseReason.EXPIRED)


@pytest.mark.parametrize("state", [State.CLOSING, State.CLOSED])
def test_time_does_nothing_to_what_is_over(state: State) -> None:
    assert due_at(make_grant(state)) is None
    assert due(make_grant(state), NOW + 100 * HOUR) is None


# --- opening -----------------------------------------------------------------------------------------


def test_a_grant_is_open_when_all_its_keys_stand_until_its_end() -> None:
    grant = make_grant(protocol=Protocol.ANY, sources=(ALICE, V6))
    assert moved(grant, as_wanted(grant)) == Move(grant, State.OPEN, NOW)


def test_a_grant_is_open_when_somebody_elses_keeps_its_key_open_longer() -> None:
    grant, longer = make_grant(), make_grant(uid="g2", end=NOW + 2 * HOUR)
    assert moved(grant, as_wanted(longer), longer) == Move(grant, State.OPEN, NOW)


def test_a_grant_is_not_open_while_one_of_its_keys_is_missing() -> None:
    grant = make_grant(protocol=Protocol.ANY)
    for missing in grant.keys():
        standing = {key: end for key, end in as_wanted(grant).standing.items() if key != missing}
        assert moved(grant, Report(standing, complete=True)) is None


def test_a_grant_without_an_end_is_never_called_open() -> None:
    grant = make_grant(end=None)
    assert moved(grant, Report(dict.fromkeys(grant.keys(), datetime.max.replace(tzinfo=NOW.tzinfo)))) is None


def test_a_grant_is_not_open_while_a_key_stands_for_too_short() -> None:
    grant = make_grant()
    assert moved(grant, Report(dict.fromkeys(grant.keys(), NOW + HOUR - TICK))) is None


def test_a_grant_that_the_firewall_cannot_open_whole_fails_with_its_reason() -> None:
    """Nothing is left half open."""
    grant = make_grant(protocol=Protocol.ANY, sources=(ALICE, V6))
    refused = list(grant.keys())[-1]
    report = replace(as_wanted(grant), refused={refused: "this firewall knows no IPv6"})
    failed = moved(grant, report)
    assert failed == Move(grant, State.CLOSING, NOW, CloseReason.FAILED, detail="this firewall knows no IPv6")


def test_an_opening_is_tried_for_a_while_and_then_given_up() -> None:
    grant = make_grant()
    assert gives_up(grant, NOW + OPENING_MAY_TAKE, "no answer") is None
    given_up = gives_up(grant, NOW + OPENING_MAY_TAKE + TICK, "no answer")
    assert given_up is not None
    assert (given_up.state, given_up.reason, given_up.detail) == (State.CLOSING, CloseReason.FAILED, "no answer")


@pytest.mark.parametrize("state", [state for state in State if state is not State.OPENING])
def test_only_an_opening_fails_and_a_close_is_never_given_up(state: State) -> None:
    """Case CL7."""
    grant = make_grant(state)
    assert gives_up(grant, NOW + 1000 * HOUR, "no answer") is None
    assert fails(grant, NOW, "refused") is None


def test_an_open_grant_that_the_firewall_holds_no_more_is_shut_with_its_reason() -> None:
    grant = make_grant(State.OPEN)
    report = replace(as_wanted(grant), refused={next(grant.keys()): "the port is mapped elsewhere"})
    found = moved(grant, report)
    assert found is not None
    assert (found.state, found.reason, found.detail) == (
        State.CLOSING,
        CloseReason.FAILED,
        "the port is mapped elsewhere",
    )


def test_an_opening_that_is_refused_for_good_fails_at_once() -> None:
    assert fails(make_grant(), NOW, "no") == Move(make_grant(), State.CLOSING, NOW, CloseReason.FAILED, detail="no")


# --- changed ends ------------------------------------------------------------------------------------


def settles(grant: Grant, report: Standing, *others: Grant) -> bool:
    return bool(progress([grant], desired_for(grant, *others), report, NOW).settled)


def test_a_new_end_is_settled_when_it_stands() -> None:
    grant = make_grant(State.OPEN)
    assert settles(grant, as_wanted(grant))


def test_a_later_end_is_not_settled_while_the_old_one_stands() -> None:
    """Cases OV4 and OV7: a firewall that keeps the old time is not believed."""
    extended = make_grant(State.OPEN, end=NOW + 2 * HOUR)
    assert not settles(extended, as_wanted(make_grant()))


def test_an_earlier_end_is_not_settled_while_the_old_one_stands() -> None:
    """Case OV5: updates go both ways."""
    shortened = make_grant(State.OPEN, end=NOW + MINUTE)
    assert not settles(shortened, as_wanted(make_grant()))


def test_an_earlier_end_is_settled_where_another_grant_keeps_the_key_open_longer() -> None:
    shortened, longer = make_grant(State.OPEN, end=NOW + MINUTE), make_grant(State.OPEN, uid="g2")
    assert settles(shortened, as_wanted(longer), longer)


def test_an_earlier_end_is_not_settled_while_one_of_its_keys_stands_too_long() -> None:
    shortened = make_grant(State.OPEN, end=NOW + MINUTE, protocol=Protocol.ANY)
    for late in shortened.keys():
        assert not settles(shortened, Report({**as_wanted(shortened).standing, late: NOW + HOUR}))


@pytest.mark.parametrize("state", [state for state in State if state is not State.OPEN])
def test_only_what_is_open_settles(state: State) -> None:
    other = make_grant(State.OPEN, uid="g2")
    assert not settles(make_grant(state), as_wanted(other), other)


def test_what_is_silent_settles_nothing() -> None:
    assert not settles(make_grant(State.OPEN), Report(complete=True))


# --- closing -----------------------------------------------------------------------------------------

CLOSING = make_grant(State.CLOSING, reason=CloseReason.REVOKED, protocol=Protocol.ANY)
CLOSED = Move(CLOSING, State.CLOSED, NOW, CloseReason.REVOKED)


def test_a_grant_is_closed_when_each_of_its_keys_is_proven_shut() -> None:
    assert moved(CLOSING, Report(shut=frozenset(CLOSING.keys()))) == CLOSED


def test_a_complete_report_that_does_not_list_a_key_proves_it_shut() -> None:
    assert moved(CLOSING, Report(complete=True)) == CLOSED


def test_silence_closes_nothing() -> None:
    """Case CL17: never "success" without the result read back."""
    assert moved(CLOSING, Report()) is None


def test_a_partial_report_closes_only_what_it_was_asked_about() -> None:
    for asked in CLOSING.keys():
        assert moved(CLOSING, Report(shut=frozenset({asked}))) is None


def test_a_key_that_still_stands_closes_nothing_even_if_it_is_also_called_shut() -> None:
    for key in CLOSING.keys():
        stands = Report({key: NOW + HOUR}, shut=frozenset(CLOSING.keys()), complete=True)
        assert moved(CLOSING, stands) is None


def test_a_grant_is_closed_where_its_key_stands_only_as_long_as_others_want_it() -> None:
    """Case OV1."""
    other = make_grant(State.OPEN, uid="g2", protocol=Protocol.ANY, end=NOW + MINUTE)
    assert moved(CLOSING, as_wanted(other), other) == CLOSED


def test_a_grant_is_not_closed_while_its_key_stands_longer_than_others_want_it() -> None:
    other = make_grant(State.OPEN, uid="g2", protocol=Protocol.ANY, end=NOW + MINUTE)
    assert moved(CLOSING, Report(dict.fromkeys(CLOSING.keys(), NOW + MINUTE + TICK)), other) is None


def test_a_wider_grant_of_somebody_else_does_not_keep_this_one_from_closing() -> None:
    wider = make_grant(State.OPEN, uid="g2", protocol=Protocol.ANY, sources=(Prefix("203.0.113.0/24"),))
    assert moved(CLOSING, replace(as_wanted(wider), shut=frozenset(CLOSING.keys())), wider) == CLOSED


def test_a_refusal_to_open_says_nothing_about_a_close() -> None:
    assert moved(CLOSING, Report(refused=dict.fromkeys(CLOSING.keys(), "no"))) is None


# --- all of it ---------------------------------------------------------------------------------------

KEYS = [key for grant in (make_grant(protocol=Protocol.ANY, sources=(ALICE, BOB)),) for key in grant.keys()]
few_sources = st.sampled_from([(ALICE,), (BOB,), (ALICE, BOB)])
reports = st.builds(
    Report,
    standing=st.dictionaries(st.sampled_from(KEYS), strategies.minutes),
    shut=st.frozensets(st.sampled_from(KEYS)),
    refused=st.dictionaries(st.sampled_from(KEYS), st.just("no")),
    complete=st.booleans(),
)


@st.composite
def crowds(draw: st.DrawFn) -> list[Grant]:
    """A few grants on the same few keys."""
    found = draw(st.lists(strategies.grants(), min_size=1, max_size=4))
    return [replace(grant, uid=f"g{at}", sources=draw(few_sources)) for at, grant in enumerate(found)]


@given(crowds(), reports)
def test_a_report_makes_legal_moves_and_each_is_proven_by_it(crowd: list[Grant], report: Report) -> None:
    result = progress(crowd, desired_for(*crowd), report, NOW)
    for move in result.moves:
        grant, keys = move.grant, list(move.grant.keys())
        assert (grant.state, move.state) in TRANSITIONS
        if move.state is State.OPEN:
            assert grant.end is not None
            assert all(report.standing[key] >= grant.end for key in keys)
        elif move.state is State.CLOSED:
            assert all(report.complete or key in report.shut or key in report.standing for key in keys)
            assert move.reason is grant.reason
        else:
            assert move.reason is CloseReason.FAILED
            assert any(key in report.refused for key in keys)


@given(crowds(), reports)
def test_a_grant_is_moved_or_settled_once_and_what_waits_not_at_all(crowd: list[Grant], report: Report) -> None:
    result = progress(crowd, desired_for(*crowd), report, NOW)
    touched = [move.grant.uid for move in result.moves] + [grant.uid for grant in result.settled]
    assert len(touched) == len(set(touched))
    assert all(grant.state is State.OPEN for grant in result.settled)
    assert {move.grant.state for move in result.moves} <= {State.OPENING, State.OPEN, State.CLOSING}
    assert all(move.reason is CloseReason.FAILED for move in result.moves if move.grant.state is State.OPEN)


@given(crowds())
def test_a_firewall_that_does_what_is_wanted_opens_and_closes_everything(crowd: list[Grant]) -> None:
    desired = desired_for(*crowd)
    standing = {key: end for key, end in desired.access.items() if end is not None}
    result = progress(crowd, desired, Report(standing, frozenset(desired.access.keys() - standing.keys())), NOW)
    done = {move.grant.uid for move in result.moves} | {grant.uid for grant in result.settled}
    waiting = (State.PENDING, State.SCHEDULED, State.CLOSED)
    left = [g for g in crowd if g.uid not in done and g.state not in waiting and (g.end or NOW) > NOW]
    assert not left
