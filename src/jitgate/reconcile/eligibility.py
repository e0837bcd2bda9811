"""Whether a scheduled start may still open: who asked may have lost the right to since."""

from dataclasses import replace

from jitgate.core.access import CloseReason, State
from jitgate.core.progress import Move
from jitgate.store import eligibility
from jitgate.store.database import Tx


def check(tx: Tx, move: Move) -> Move:
    """The same move, or one that closes the grant instead of opening it."""
    why = eligibility.why_not(tx, move.grant) if move.state is State.OPENING else ""
    if not why:
        return move
    return replace(move, state=State.CLOSED, reason=CloseReason.REVOKED, end=None, detail=why)
