"""Closing what a right allowed, once the right is gone."""

from collections.abc import Sequence

from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.progress import Move
from jitgate.store import grants, scopes
from jitgate.store.database import Tx
from jitgate.store.eligibility import why_not

__all__ = ["close_ineligible", "why_not"]


def close_ineligible(tx: Tx, of: Sequence[Grant]) -> list[str]:
    """Close those of some grants that could not be asked for any more; returns their uids.

    Call it after the change that takes a right away, in its transaction, with the grants of those whom it concerns
    (`store.grants.not_over_of`): what everybody else has open is not looked at.
    """
    moves = [_closing(tx, grant, why) for grant in of if (why := why_not(tx, grant))]
    grants.move(tx, moves)
    for scope in {move.grant.scope for move in moves}:
        scopes.wake(tx, scope)
    return [move.grant.uid for move in moves]


def _closing(tx: Tx, grant: Grant, why: str) -> Move:
    state = State.CLOSING if grant.state.is_live else State.CLOSED
    return Move(grant, state, tx.now, CloseReason.REVOKED, detail=why)
