"""Closing grants that somebody or something does not allow any more, whoever's they are."""

from collections.abc import Sequence

from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.progress import Move
from jitgate.store import grants, scopes
from jitgate.store.database import Tx


def close_all(tx: Tx, found: Sequence[Grant], reason: CloseReason, detail: str = "") -> list[str]:
    """Close these, of which some may be over; returns the uids of those that were not. For one event on record."""
    moves = [_closing(tx, grant, reason, detail) for grant in found if not grant.state.is_over]
    grants.move(tx, moves)
    for scope in {move.grant.scope for move in moves if move.state is State.CLOSING}:
        scopes.wake(tx, scope)
    return [move.grant.uid for move in moves]


def _closing(tx: Tx, grant: Grant, reason: CloseReason, detail: str) -> Move:
    """A port that is open has to be shut first; what never opened is over at once."""
    return Move(grant, State.CLOSING if grant.state.is_live else State.CLOSED, tx.now, reason, detail=detail)
