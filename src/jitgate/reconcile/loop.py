"""The loop: which scope is looked at when, and never one twice at a time.

A wake, a due time, a sweep and a start all lead to the same pass. A wake that is lost costs time, never
truth: the due time finds the scope, and a sweep compares everything.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import structlog

from jitgate.connectors.base import Connector, ConnectorError, Done, GenerationBehind, Outcome, Pending
from jitgate.core.errors import Unavailable
from jitgate.failpoints import failpoint
from jitgate.reconcile import claim, record
from jitgate.reconcile.claim import Pass
from jitgate.store import scopes
from jitgate.store.database import Store, Tx

SWEEP_EVERY = timedelta(minutes=5)
LEASE_LENGTH = timedelta(seconds=30)
_SHORTEST_WAIT, _LONGEST_WAIT = 0.001, 1.0
_PAUSE = 1.0
_MOST_SCOPES = 100

_log = structlog.get_logger(__name__)


class Reconciler:
    """Holds every scope of its connectors to what the database says."""

    def __init__(
        self,
        store: Store,
        connectors: Mapping[str, Connector],
        owner: str,
        *,
        sweep_every: timedelta = SWEEP_EVERY,
        lease_length: timedelta = LEASE_LENGTH,
    ) -> None:
        self._store = store
        self._connectors = connectors
        self._owner = owner
        self._sweep_every = sweep_every
        self._lease_length = lease_length
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Reconcile until stopped. Begins with a sweep of everything."""
        await self._persist(lambda tx: scopes.all_due(tx, self._connectors))
        looking = asyncio.create_task(self._look())
        try:
            await self._stopping.wait()
        finally:
            looking.cancel()
            await asyncio.gather(looking, *self._running.values(), return_exceptions=True)

    def stop(self) -> None:
        """Let the passes under way end, and no others begin. `run` returns when they have."""
        self._stopping.set()

    async def reconcile(self, scope: str) -> bool:
        """One pass over one scope. False: there was nothing to do, or another replica does it.

        Every failure of a firewall ends in the scope's state, none is raised.
        """
        begun = await self._store.write(lambda tx: claim.claim(tx, scope, self._owner, self._lease_length))
        if begun is None:
            return False
        failpoint("reconcile.claimed")
        outcome = await self._apply(begun) if begun.has_work else None
        failpoint("reconcile.applied")
        await self._store.write(lambda tx: self._record(tx, begun, outcome))
        failpoint("reconcile.recorded")
        return begun.has_work

    async def reconcile_all_due(self) -> int:
        """Pass over what is due now, until nothing is; returns the number of passes. For tests and `sweep`."""
        passes = 0
        while found := await self._due():
            for scope in found:
                await self.reconcile(scope)
                passes += 1
        return passes

    # --- one look round -----------------------------------------------------------------------------

    async def _look(self) -> None:
        pause = 0.0
        while True:
            pause = await self._look_round(pause)

    async def _look_round(self, pause: float) -> float:
        """Begin what is woken, which somebody waits for, or what is due; returns the seconds until more will be."""
        now = asyncio.get_running_loop().time
        until = now() + pause
        try:
            for scope in await self._store.woken.wait(pause):
                self._begin(scope)
            if (left := until - now()) > 0:
                # Nothing is due before: many wakes a second cost no look at the database each.
                return left
            due, pause = await self._store.read(lambda tx: _due(tx, self._connectors))
            for scope in due:
                # What is under way here has not been claimed yet, or has just been given back with its next due time.
                if scope not in self._running:
                    self._begin(scope)
        except Exception as error:  # noqa: BLE001 - a loop that ends shuts nothing any more
            await self._sit_out(error)
        return pause

    async def _due(self) -> list[str]:
        return await self._store.read(lambda tx: scopes.due(tx, self._connectors, _MOST_SCOPES))

    def _begin(self, scope: str) -> None:
        if scope in self._running:
            self._again.add(scope)
            return
        self._running[scope] = asyncio.create_task(self._pass(scope))

    async def _pass(self, scope: str) -> None:
        """Pass over a scope until it is on record, and again if somebody has asked for it meanwhile."""
        try:
            goes_on = True
            while goes_on and not self._stopping.is_set():
                self._again.discard(scope)
                goes_on = not await self._is_reconciled(scope) or scope in self._again
        finally:
            del self._running[scope]

    async def _is_reconciled(self, scope: str) -> bool:
        try:
            await self.reconcile(scope)
        except Exception as error:  # noqa: BLE001 - whatever it is, this scope is looked at again
            await self._sit_out(error)
            return False
        return True

    async def _sit_out(self, error: Exception) -> None:
        """Tell of an error that is not a firewall's, and give it time to pass."""
        if isinstance(error, Unavailable):
            _log.error("the database does not answer; trying again", error=error.message)
        else:
            _log.error("the reconciler failed; trying again", exc_info=error)
        await asyncio.sleep(_PAUSE)

    # --- one pass -----------------------------------------------------------------------------------

    async def _apply(self, begun: Pass) -> Outcome | ConnectorError:
        """Have the firewall hold it. A connector that breaks in any way has failed, and is asked again."""
        connector = self._connectors.get(begun.connector)
        if connector is None:
            return ConnectorError(f"there is no connector named {begun.connector!r}; add it to the configuration")
        try:
            plan = connector.plan(begun.desired, begun.memory)
            async with asyncio.timeout(self._lease_length.total_seconds() / 2):
                outcome = await connector.apply(plan)
        except ConnectorError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever broke, the scope must be asked again
            _log.exception("a connector broke", scope=begun.scope)
            return ConnectorError(f"the connector broke: {type(error).__name__}")
        if isinstance(outcome, (Done, Pending)):
            return outcome
        return ConnectorError(f"the connector broke: it answered {type(outcome).__name__}")

    def _record(self, tx: Tx, begun: Pass, outcome: Outcome | ConnectorError | None) -> None:
        if not record.is_current(tx, begun):
            _log.warning("a pass took too long; its result counts no more", scope=begun.scope)
        elif outcome is None:
            record.idle(tx, begun, self._owner)
        elif isinstance(outcome, Done):
            record.done(tx, begun, outcome, self._owner, self._sweep_every)
        elif isinstance(outcome, GenerationBehind):
            record.behind(tx, begun, outcome.current, self._owner)
        elif isinstance(outcome, ConnectorError):
            record.failed(tx, begun, outcome.message, outcome.retry, self._owner)
        elif isinstance(outcome, Pending):
            record.pending(tx, begun, outcome, self._owner)

    # --- besides ------------------------------------------------------------------------------------

    async def _persist(self, work: Callable[[Tx], object]) -> None:
        while not self._stopping.is_set():
            try:
                await self._store.write(work)
                return
            except Exception as error:  # noqa: BLE001 - what is not on record now must be later
                await self._sit_out(error)


def _due(tx: Tx, connectors: Iterable[str]) -> tuple[list[str], float]:
    """The scopes that are due, and the seconds until the next one is.

    By the store's time, which grants end by; a wall clock that was set back would let them wait.
    """
    found = scopes.due(tx, connectors, _MOST_SCOPES)
    at = scopes.next_due(tx, connectors)
    if len(found) == _MOST_SCOPES:
        return found, _SHORTEST_WAIT
    if at is None:
        return found, _LONGEST_WAIT
    return found, min(max((at - tx.now).total_seconds(), _SHORTEST_WAIT), _LONGEST_WAIT)
