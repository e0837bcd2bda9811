"""What is told of grants: each move once it is committed, to the log with the ids that lead from line to line, and to
whoever traces.

``correlation`` is that of the call, or of the look at a scope, in whose context it happened; it is in the record too.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from jitgate import tracing
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.progress import Move
from jitgate.store.transaction import Tx

_MOST_NAMED = 100
"""More than that in one line are told of by how many they are."""

_log = structlog.get_logger(__name__)


def asked(tx: Tx, request: str) -> None:
    """A request was made."""
    tx.afterwards(partial(tracing.asked, request, tx.now))


def added(tx: Tx, new: Sequence[Grant]) -> None:
    """Grants were made, in their first state."""
    _told(tx, ((grant, grant.state, None) for grant in new))


def moved(tx: Tx, moves: Sequence[Move]) -> None:
    """Grants were moved on."""
    _told(tx, ((move.grant, move.state, move.reason) for move in moves))
    tx.afterwards(partial(_trace, moves))


def _told(tx: Tx, moved: Iterable[tuple[Grant, State, CloseReason | None]]) -> None:
    """Have the log tell of them, a line for each state, reason and scope."""
    alike: dict[tuple[str, State, CloseReason | None], list[Grant]] = defaultdict(list)
    for grant, state, reason in moved:
        alike[grant.scope, state, reason].append(grant)
    for (scope, state, reason), some in alike.items():
        tx.afterwards(partial(_tell, scope, state, reason, some))


def _trace(moves: Sequence[Move]) -> None:
    """How long each was what it is no more, in the trace of its request."""
    for move in moves:
        grant = move.grant
        facts = {"jitgate.grant": grant.uid, "jitgate.scope": grant.scope, "jitgate.next": str(move.state)}
        if move.reason is not None:
            facts["jitgate.reason"] = str(move.reason)
        tracing.was(grant.request, str(grant.state), grant.since, move.at, facts)


def _tell(scope: str, state: State, reason: CloseReason | None, some: Sequence[Grant]) -> None:
    because = {"reason": str(reason)} if reason is not None else {}
    named = some[:_MOST_NAMED]
    _log.info(
        "grants moved",
        scope=scope,
        state=str(state),
        count=len(some),
        request=",".join(dict.fromkeys(grant.request for grant in named)),
        grants=",".join(grant.uid for grant in named),
        **because,
    )
