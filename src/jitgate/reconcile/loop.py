"""The loop: which scope is looked at when, and never one twice at a time.

A wake, a due time, a sweep and a start all lead to the same pass. A wake that is lost costs time, never
truth: the due time finds the scope, and a sweep compares everything.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from time import perf_counter

import structlog
from structlog.contextvars import bound_contextvars

from jitgate import metrics, tracing
from jitgate.connectors.base import Connector, ConnectorError, Done, GenerationBehind, Outcome, Pending, Plan
from jitgate.core.errors import Unavailable
from jitgate.failpoints import failpoint
from jitgate.reconcile import claim, consent, counted, record
from jitgate.reconcile.claim import Pass
from jitgate.reconcile.together import MOST, Together
from jitgate.store import scopes
from jitgate.store.database import Store, Tx

FINISHING_SECONDS = 5.0
SWEEP_EVERY = timedelta(minutes=5)
LEASE_LENGTH = timedelta(seconds=30)
_SHORTEST_WAIT, _LONGEST_WAIT = 0.001, 1.0
_PAUSE = 1.0
_MOST_SCOPES = 100
_MOST_RUNNING = 1000
"""Passes under way before more of a backlog are begun. What is woken alone, or due, does not wait for that."""
_MOST_UNCLAIMED = 4 * MOST
"""Of them, those that wait to be claimed: enough until the next look round; what is woken alone comes after these."""
_BREATH = 0.02
_MOST_NAMED = 20

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
        self._claim = Together(store, self._claimed)
        # What many firewalls have to be told goes out first; that they hold it is written down afterwards.
        self._record = Together(store, self._recorded, after=self._claim)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._unclaimed: set[str] = set()
        self._again: set[str] = set()
        self._backlog: dict[str, None] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Reconcile until stopped. Begins with a sweep of everything."""
        await self._persist(lambda tx: scopes.all_due(tx, self._connectors, self._owner))
        looking = asyncio.create_task(self._look())
        try:
            await self._stopping.wait()
        finally:
            looking.cancel()
            await self._finish([looking, *self._running.values()])

    def stop(self) -> None:
        """Let passes under way end, and no others begin. `run` returns when they have, or after `FINISHING_SECONDS`.

        Each gives its scope back. What has not ended by then keeps its lease until that runs out: a call may still be
        on its way to a firewall.
        """
        self._stopping.set()

    async def orders_are_out(self, patience: float) -> None:
        """Return when hardly any of those that are to be told something waits for it, or after so many seconds."""
        await self._claim.calm(patience)

    async def reconcile(self, scope: str) -> bool:
        """One pass over one scope. False: there was nothing to do, or another replica does it.

        Every failure of a firewall ends in the scope's state, none is raised.
        """
        with bound_contextvars(scope=scope), tracing.span("look at a firewall", {"jitgate.scope": scope}) as span:
            begun = await self._claim(scope)
            self._unclaimed.discard(scope)
            if begun is None:
                return False
            span.note({"jitgate.correlation": begun.correlation, "jitgate.connector": begun.connector})
            span.link(sorted({grant.request for grant in begun.grants[:_MOST_NAMED]}))
            with bound_contextvars(correlation=begun.correlation, grants=_named(begun)):
                await self._carry_out(begun)
            return begun.has_work

    async def _carry_out(self, begun: Pass) -> None:
        began = perf_counter()
        with metrics.LEASES.track_inprogress():
            failpoint("reconcile.claimed")
            outcome = await self._apply(begun) if begun.has_work else None
            failpoint("reconcile.applied")
            await self._record((begun, outcome))
            failpoint("reconcile.recorded")
        counted.passed(begun.connector, outcome, perf_counter() - began)
        await self._preview(begun)

    async def reconcile_all_due(self) -> int:
        """Pass over what is due now, until nothing is; returns the number of passes. For tests and `sweep`."""
        passes = 0
        while found := await self._due():
            for scope in found:
                await self.reconcile(scope)
                passes += 1
        return passes

    # --- one look round -----------------------------------------------------------------------------

    async def _finish(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        _, late = await asyncio.wait(tasks, timeout=FINISHING_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        pause = 0.0
        while True:
            pause = await self._look_round(pause)

    async def _look_round(self, pause: float) -> float:
        """Begin what is woken, which somebody waits for, or what is due; returns the seconds until more will be."""
        now = asyncio.get_running_loop().time
        until = now() + pause
        try:
            self._begin_woken(await self._store.woken.wait(min(pause, _BREATH) if self._backlog else pause))
            if (left := until - now()) > 0:
                # Nothing is due before: many wakes a second cost no look at the database each.
                return left
            due, pause = await self._store.read(lambda tx: _due(tx, self._connectors, self._owner))
            for scope in due:
                # What is under way here has not been claimed yet, or has just been given back with its next due time.
                if scope not in self._running:
                    self._begin(scope)
        except Exception as error:  # noqa: BLE001 - a loop that ends shuts nothing any more
            await self._sit_out(error)
        return pause

    def _begin_woken(self, woken: set[str]) -> None:
        """Begin what is woken. Where that is very much, some at a time: others that wake come before the rest."""
        if len(woken) > _MOST_SCOPES:
            self._backlog.update(dict.fromkeys(sorted(woken)))
            woken = set()
        for scope in woken:
            self._backlog.pop(scope, None)
            self._begin(scope)
        while self._backlog and len(self._running) < _MOST_RUNNING and len(self._unclaimed) < _MOST_UNCLAIMED:
            scope = next(iter(self._backlog))
            del self._backlog[scope]
            self._begin(scope)

    async def _due(self) -> list[str]:
        return await self._store.read(lambda tx: scopes.due(tx, self._connectors, _MOST_SCOPES, self._owner))

    def _begin(self, scope: str) -> None:
        if scope in self._running:
            self._again.add(scope)
            return
        self._unclaimed.add(scope)
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
            self._unclaimed.discard(scope)

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
            with counted.asked(begun.connector):
                async with self._patience():
                    outcome = await connector.apply(await self._plan(connector, begun))
        except ConnectorError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever broke, the scope must be asked again
            _log.exception("a connector broke", scope=begun.scope)
            return ConnectorError(f"the connector broke: {type(error).__name__}")
        if isinstance(outcome, (Done, Pending)):
            return outcome
        return ConnectorError(f"the connector broke: it answered {type(outcome).__name__}")

    async def _plan(self, connector: Connector, begun: Pass) -> Plan:
        """What is to be done; of what others made only what somebody agreed to, with its originals on record."""
        plan = await connector.plan(begun.desired, begun.memory)
        if not begun.desired.complete or not (plan.alterations or begun.alters):
            return plan
        return await self._store.write(lambda tx: consent.settle(tx, begun, plan))

    async def _preview(self, begun: Pass) -> None:
        """Plan what somebody thinks of protecting, and tell what that would do. Changes nothing."""
        for asked in begun.previews:
            wanted = await self._store.read(partial(claim.previewed, begun=begun, asked=asked))
            try:
                async with self._patience():
                    plan = await self._connectors[begun.connector].plan(wanted, begun.memory)
                said: tuple[Plan | None, str] = plan, ""
            except (ConnectorError, TimeoutError) as error:
                said = None, str(error) or "the firewall does not answer"
            await self._store.write(partial(consent.answer, asked=asked, plan=said[0], error=said[1]))

    def _patience(self) -> asyncio.Timeout:
        """How long a firewall may take."""
        return asyncio.timeout(self._lease_length.total_seconds() / 2)

    def _claimed(self, tx: Tx, scope: str) -> Pass | None:
        whole = {name for name, connector in self._connectors.items() if connector.whole_ports}
        return claim.claim(tx, scope, self._owner, self._lease_length, whole)

    def _recorded(self, tx: Tx, said: tuple[Pass, Outcome | ConnectorError | None]) -> None:
        begun, outcome = said
        if not claim.is_current(tx, begun):
            _log.warning("a pass took too long; its result counts no more", scope=begun.scope)
        elif outcome is None:
            record.idle(tx, begun, self._owner)
        elif isinstance(outcome, Done):
            record.done(tx, begun, outcome, self._owner, self._sweep_every)
        elif isinstance(outcome, GenerationBehind):
            record.behind(tx, begun, outcome.current, self._owner)
        elif isinstance(outcome, ConnectorError):
            record.failed(tx, begun, outcome, self._owner)
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


def _named(begun: Pass) -> str:
    """The grants that a pass is about, as its lines of the log have them."""
    return ",".join(grant.uid for grant in begun.grants[:_MOST_NAMED])


def _due(tx: Tx, connectors: Iterable[str], replica: str) -> tuple[list[str], float]:
    """The scopes that are due, and the seconds until the next one is.

    By the store's time, which grants end by; a wall clock that was set back would let them wait.
    """
    found = scopes.due(tx, connectors, _MOST_SCOPES, replica)
    at = scopes.next_due(tx, connectors, replica)
    if len(found) == _MOST_SCOPES:
        return found, _SHORTEST_WAIT
    if at is None:
        return found, _LONGEST_WAIT
    return found, min(max((at - tx.now).total_seconds(), _SHORTEST_WAIT), _LONGEST_WAIT)
