"""The second half of a pass: what the firewall said becomes states, the record, and the next look."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome, Proof
from jitgate.connectors.base import ConnectorError, Done, Pending, Report
from jitgate.core import progress
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.desired import AccessKey
from jitgate.core.progress import Move
from jitgate.reconcile import consent, story
from jitgate.reconcile.claim import Pass
from jitgate.store import exposures, grants, lease, scopes
from jitgate.store.database import Tx
from jitgate.store.scopes import Scope

LATE = timedelta(seconds=30)
"""A port that is not proven shut this long after it began to close is an alarm."""

_FIRST_RETRY, _LONGEST_RETRY = 0.25, 60.0

_AHEAD = "the firewall holds a later generation than the database"

_UNPROTECTED = timedelta(seconds=15)
"""How soon to try again to protect a port that could not be: somebody uncovered was connected to it."""

_NAMED = 10
"""So many grants are named at the most where no room is left."""

_SOONER = 0.2
"""By how much of the time between two sweeps of a scope it may be swept sooner."""

_JUST_EXPIRES = timedelta(seconds=1)
"""A key that ends so soon may be gone from the firewall already: its clock may be a little ahead."""


def done(tx: Tx, begun: Pass, outcome: Done, owner: str, sweep_every: timedelta) -> None:
    """The firewall did it: move the grants that its report proves."""
    report = outcome.report
    current = _unchanged(tx, begun)
    has_progressed = _prove(tx, begun, current, report)
    summary = _summary(report) if begun.desired.complete else None
    waits = consent.take_in(tx, begun, report)
    # What waits for somebody's consent is looked at anew as soon as that is given.
    is_soon = any(report.protected.values()) and not waits
    again = min(sweep_every, _UNPROTECTED) if is_soon else _spread(sweep_every, begun.scope)
    scopes.record_success(tx, begun.scope, outcome.memory, summary, begun.desired.at, tx.now + again)
    if summary is None and (report.connections or begun.memory):
        scopes.record_part(tx, begun.scope, _connections(report), report.under_way)
    if begun.desired.complete:
        exposures.work_out(tx, begun.scope)
        grants.doubt(tx, _missing(begun, report, tx.now))
    if report.again_at is not None:
        scopes.sweep_by(tx, begun.scope, report.again_at)
    audit.record(tx, _told(begun, report))
    if current and not has_progressed:
        failed(tx, begun, ConnectorError("the firewall does not hold what it was asked to hold"), owner)
    else:
        _finish(tx, begun, owner)


def idle(tx: Tx, begun: Pass, owner: str) -> None:
    """There was nothing for the firewall to do."""
    _finish(tx, begun, owner)


def pending(tx: Tx, begun: Pass, outcome: Pending, owner: str) -> None:
    """The firewall is at it: keep what it wants remembered, and ask again."""
    _prove_part(tx, begun, outcome.report)
    _give_up(tx, begun.scope, "the firewall has not answered")
    late = [grant for grant in _unchanged(tx, begun) if _is_late(grant, tx.now)]
    error = "a port is not proven shut: the firewall has not answered" if late else ""
    if late and error != begun.error:
        audit.record(tx, [_late(begun, late, error)])
    scopes.record_pending(tx, begun.scope, outcome.memory, error)
    # What ends meanwhile does not wait for what is under way.
    due = min(outcome.until, grants.next_due(tx, begun.scope) or outcome.until)
    _release(tx, begun, owner, max(due, tx.now + _wait(0)))


def failed(tx: Tx, begun: Pass, failure: ConnectorError, owner: str) -> None:
    """The firewall did not do it, or only what a report proves. Openings are given up in the end; closes never are."""
    attempts, error = begun.attempts + 1, failure.message
    _prove_part(tx, begun, failure.report)
    current = _unchanged(tx, begun)
    if not failure.retry:
        _move(tx, [move for grant in current if (move := progress.fails(grant, tx.now, error)) is not None])
    _give_up(tx, begun.scope, error)
    late = [grant for grant in current if _is_late(grant, tx.now)]
    scopes.record_failure(tx, begun.scope, attempts, error)
    if failure.memory is not None:
        scopes.remember(tx, begun.scope, failure.memory)
    # The 1st, 2nd, 4th, 8th, … failure in a row, and the first one that makes a close late: tell, but do not flood.
    tells = attempts & (attempts - 1) == 0
    if tells:
        properties = {"error": error, "attempts": attempts}
        audit.record(tx, [_event(begun, Operation.FIREWALL_APPLY, Outcome.FAILED, properties)])
    if late and (tells or not all(_is_late(grant, tx.now - _wait(attempts - 1)) for grant in late)):
        audit.record(tx, [_late(begun, late, error)])
    _release(tx, begun, owner, tx.now + _wait(attempts))


def behind(tx: Tx, begun: Pass, generation: int, owner: str) -> None:
    """The enforcer has seen a later generation than the database: go on from there, and say so.

    One that says so twice running has failed like others: it is asked ever less often, and what is late is told.
    """
    scopes.raise_generation(tx, begun.scope, generation)
    if begun.error == _AHEAD:
        failed(tx, begun, ConnectorError(_AHEAD), owner)
        return
    properties = {"generation": generation, "was": begun.desired.generation}
    audit.record(tx, [_event(begun, Operation.FIREWALL_GENERATION, Outcome.SUCCEEDED, properties)])
    scopes.record_failure(tx, begun.scope, begun.attempts, _AHEAD)
    scopes.sweep_soon(tx, [begun.scope])
    _release(tx, begun, owner, tx.now)


def _prove(tx: Tx, begun: Pass, current: Sequence[Grant], report: Report) -> bool:
    """Move the grants that a report proves; whether there were any."""
    result = progress.progress(current, begun.desired, report, tx.now)
    # Settled first: a grant that stands may be closed by one of the moves, because a newer one takes its place.
    grants.settle(tx, [grant.uid for grant in result.settled])
    _move(tx, [_with_what_fills(tx, move) for move in result.moves] if report.is_full else result.moves)
    return bool(result.moves or result.settled)


def _with_what_fills(tx: Tx, move: Move) -> Move:
    """A move whose reason names the grants that leave no room. By their ids: who may not read them learns nothing."""
    if move.reason is not CloseReason.FAILED:
        return move
    filling = [grant for grant in grants.live_on(tx, move.grant.machine) if grant.state is State.OPEN]
    named = ", ".join(f"{grant.uid} (port {grant.port})" for grant in filling[:_NAMED])
    more = f" and {len(filling) - _NAMED} more" if len(filling) > _NAMED else ""
    return replace(move, detail=f"{move.detail}. It is filled by the grants {named}{more}")


def _prove_part(tx: Tx, begun: Pass, report: Report | None) -> None:
    """As `_prove`, of what stands although the whole does not yet."""
    if report is None:
        return
    _prove(tx, begun, _unchanged(tx, begun), report)
    if report.connections or report.under_way:
        scopes.record_part(tx, begun.scope, _connections(report), report.under_way)
    if report.again_at is not None:
        scopes.sweep_by(tx, begun.scope, report.again_at)
    if report.repaired:
        audit.record(tx, [_repaired(begun, report)])


def _told(begun: Pass, report: Report) -> list[Event]:
    """The event that ends the one before the call, and what the firewall found changed behind our back."""
    events = []
    if begun.grants:
        applied = _event(begun, Operation.FIREWALL_APPLY, Outcome.SUCCEEDED, {"standing": len(report.standing)})
        events.append(replace(applied, proof=_proof(report)))
    if report.repaired:
        events.append(_repaired(begun, report))
    return events


def _repaired(begun: Pass, report: Report) -> Event:
    return _event(begun, Operation.FIREWALL_REPAIR, Outcome.SUCCEEDED, {"repaired": list(report.repaired)[:100]})


def _proof(report: Report) -> Proof | None:
    """What the host itself has signed of it, where it has a key."""
    told = report.proof
    if told is None:
        return None
    return Proof(told.key, told.purpose, told.signature, told.statement.encode())


def _finish(tx: Tx, begun: Pass, owner: str) -> None:
    """Release the scope until something is due there."""
    scope, changed = scopes.ask(tx, begun.scope), grants.ask_changed(tx, begun.scope, 1)
    next_due, state = grants.ask_next_due(tx, begun.scope), scope()
    assert state is not None
    if changed() or state.sweep_at is None:
        due: datetime = tx.now
        tx.wake(begun.scope)
    else:
        due = min(filter(None, (next_due(), state.sweep_at)))
    lease.release(tx, begun.scope, owner, _or_sooner(begun, state, due))


def _release(tx: Tx, begun: Pass, owner: str, due: datetime) -> None:
    """Let go of the scope, until `due` or what somebody has asked for meanwhile."""
    lease.release(tx, begun.scope, owner, _or_sooner(begun, scopes.get(tx, begun.scope), due))


def _or_sooner(begun: Pass, state: Scope | None, due: datetime) -> datetime:
    if state is None or state.due_at is None or state.due_at >= begun.until:
        return due
    return min(due, state.due_at)


def _unchanged(tx: Tx, begun: Pass) -> list[Grant]:
    """The pass's grants that nobody has changed since it began; the others have another pass coming."""
    return grants.unchanged(tx, begun.grants)


def _move(tx: Tx, moves: Sequence[Move]) -> None:
    if not moves:
        return
    grants.move(tx, moves)
    story.tell(tx, moves)
    _close_superseded(tx, [move.grant.uid for move in moves if move.state is State.OPEN])


def _close_superseded(tx: Tx, opened: Sequence[str]) -> None:
    """A newer grant stands: the older ones whose place it takes can go, and nobody has seen a gap."""
    while replaced := grants.superseded_by(tx, opened):
        moves = [
            Move(old, State.CLOSING if old.state.is_live else State.CLOSED, tx.now, CloseReason.SUPERSEDED)
            for old in replaced
        ]
        # One of them may itself have waited to take somebody's place, who then waits for these: look again.
        grants.move(tx, moves)
        story.tell(tx, moves)


def _give_up(tx: Tx, scope: str, why: str) -> None:
    """Shut what has been tried to be opened for too long, whether or not this look was about it."""
    waiting = grants.opening_since(tx, scope, tx.now - progress.OPENING_MAY_TAKE)
    _move(tx, [move for grant in waiting if (move := progress.gives_up(grant, tx.now, why)) is not None])


def _spread(every: timedelta, scope: str) -> timedelta:
    """When to sweep again: each scope somewhat sooner by its own measure, so that what one policy or one start made be
    swept at once is not swept at once for ever after."""
    return every * (1 - _SOONER * (crc32(scope.encode()) % 1000) / 1000)


def _missing(begun: Pass, report: Report, now: datetime) -> list[AccessKey]:
    """The keys that should be open for a while yet, and are not."""
    soon = now + _JUST_EXPIRES
    wanted = {key: end for key, end in begun.desired.access.items() if end is not None and end > soon}
    return [key for key, end in wanted.items() if key not in report.standing or report.standing[key] < end]


def _wait(attempts: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    return timedelta(seconds=min(_FIRST_RETRY * 2 ** min(attempts, 16), _LONGEST_RETRY))


def _is_late(grant: Grant, now: datetime) -> bool:
    return grant.state is State.CLOSING and now > grant.since + LATE


def _summary(report: Report) -> Mapping[str, Any]:
    """What is kept of a report: all but its keys."""
    return {
        "protected": {f"{key.machine}|{key.port}|{key.protocol}": why for key, why in report.protected.items()},
        "outranked": list(report.outranked)[:100],
        "connections": _connections(report),
        "endsSessions": report.capabilities.ends_sessions,
        "ownDeadline": report.capabilities.own_deadline,
        "underWay": report.under_way,
    }


def _connections(report: Report) -> Mapping[str, Any]:
    return {
        machine: {"address": c.address, "mappedPorts": {str(k): v for k, v in c.mapped_ports.items()}}
        for machine, c in report.connections.items()
    }


def _late(begun: Pass, late: Sequence[Grant], error: str) -> Event:
    properties = {"grants": [grant.uid for grant in late][:100], "error": error}
    return _event(begun, Operation.FIREWALL_LATE, Outcome.FAILED, properties)


def _event(begun: Pass, operation: Operation, outcome: Outcome, properties: Mapping[str, Any]) -> Event:
    return Event(operation, outcome, begun.scope, correlation=begun.correlation, properties=properties)
