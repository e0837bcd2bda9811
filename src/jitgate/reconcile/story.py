"""How moves of grants read in the record."""

from collections.abc import Sequence
from functools import partial

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.core.access import CloseReason, State
from jitgate.core.progress import Move
from jitgate.reconcile import counted
from jitgate.store import machines
from jitgate.store.database import Tx

_OPERATIONS = {
    State.SCHEDULED: Operation.GRANT_OPENING,
    State.OPENING: Operation.GRANT_OPENING,
    State.OPEN: Operation.GRANT_OPEN,
    State.CLOSING: Operation.GRANT_CLOSING,
    State.CLOSED: Operation.GRANT_CLOSED,
}


def tell(tx: Tx, moves: Sequence[Move]) -> None:
    """Put moves on record, and have them counted once that is committed: one event a move, under the machine's id, tied
    to its request."""
    ids = machines.ids(tx, {move.grant.machine for move in moves})
    audit.record(tx, [_event(move, ids.get(move.grant.machine, move.grant.machine)) for move in moves])
    tx.afterwards(partial(counted.moves, moves))


def _event(move: Move, machine_id: str) -> Event:
    grant = move.grant
    failed = move.reason is CloseReason.FAILED
    properties = {
        "grant": grant.uid,
        "port": grant.port,
        "protocol": str(grant.protocol),
        "sources": list(grant.sources),
        "state": str(move.state),
    }
    if move.reason:
        properties["reason"] = str(move.reason)
    if move.detail:
        properties["detail"] = move.detail
    end = move.end or grant.end
    if end:
        properties["endTimeUtc"] = end.isoformat(timespec="milliseconds")
    if move.state is State.CLOSED and grant.end is not None and move.reason is CloseReason.EXPIRED:
        properties["provenShutAfterMs"] = max(0, round((move.at - grant.end).total_seconds() * 1000))
    return Event(
        _OPERATIONS[move.state],
        Outcome.FAILED if failed else Outcome.SUCCEEDED,
        machine_id,
        correlation=grant.request,
        properties=properties,
    )
