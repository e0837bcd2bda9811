"""Connectors that administrators add: begun, changed and ended as their rows say, without a restart.

Every process has all of them, since any may be the one that reconciles a firewall. Looking for machines, and
testing, is what one process at a time does for all (`jitgate.store.duty`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from jitgate.connectors.base import CloudConnector, Connector, ConnectorError
from jitgate.core.errors import Unavailable
from jitgate.core.machine import Machine
from jitgate.service import connectors as cases
from jitgate.service.base import CheckSettings, Places, Reach, Service, reach_none
from jitgate.store import connectors, duty, scopes
from jitgate.store.connectors import Connector as Row
from jitgate.store.database import Tx

LOOK_SECONDS = 1.0
DISCOVER_SECONDS = 30.0
_DUTY_LENGTH = timedelta(seconds=20)
_MAY_TAKE_SECONDS = 120.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cloud. `check`: its settings, or Invalid; `make`: a connector of a row, or ConnectorError; `reach`: the
    accounts that its settings lead to, which one connector only looks after; `places`: in which of them, or in which
    subscription, a firewall is, by its scope. None: where its machines are filed."""

    check: CheckSettings
    make: Callable[[Row], CloudConnector]
    reach: Reach = reach_none
    places: Places | None = None


@dataclass(slots=True)
class Begun:
    """A connector that is at work here. `known`: what was taken over last, while the duty was ours."""

    row: Row
    connector: CloudConnector
    due: float = 0.0
    known: Sequence[Machine] | None = None
    looking: asyncio.Task[None] | None = None
    testing: asyncio.Task[None] | None = None


class Clouds:
    """Holds the connectors of one process to their rows.

    `connected`: what the reconciler works with; connectors come into it, and leave it, here.
    """

    def __init__(
        self, service: Service, kinds: Mapping[str, Kind], connected: MutableMapping[str, Connector], owner: str
    ) -> None:
        self._service = service
        self._kinds = kinds
        self._connected = connected
        self._owner = owner
        self._begun: dict[str, Begun] = {}

    async def run(self) -> None:
        """Look after connectors until cancelled."""
        try:
            while True:
                await self._look_and_survive()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self.close()

    async def look(self) -> None:
        """Once: begin what was added, end what was removed, and have done what is due of what is ours."""
        rows = {row.name: row for row in await self._service.store.read(connectors.list_all)}
        for name in self._begun.keys() - rows.keys():
            await self._end(name)
        for row in rows.values():
            await self._hold_to(row)
        if self._begun:
            await self._do_duties()

    async def close(self) -> None:
        """End all."""
        for name in list(self._begun):
            await self._end(name)

    async def _look_and_survive(self) -> None:
        try:
            await self.look()
        except Unavailable as error:
            _log.error("the database does not answer; trying again", error=error.message)
        except Exception as error:  # noqa: BLE001 - a loop that ends finds no machine any more
            _log.error("connectors could not be looked after; trying again", exc_info=error)

    async def _hold_to(self, row: Row) -> None:
        """Have a connector at work as its row says."""
        begun = self._begun.get(row.name)
        if begun is not None and begun.row.revision == row.revision and begun.row.created_at == row.created_at:
            begun.row = row
            return
        if begun is not None:
            await self._end(row.name)
        try:
            made = self._make(row)
        except ConnectorError as error:
            if row.error != error.message:
                await cases.note_failure(self._service, row.name, error.message)
            return
        self._begun[row.name] = Begun(row, made)
        self._connected[row.name] = made
        await self._service.store.write(lambda tx: scopes.all_due(tx, [row.name]))

    def _make(self, row: Row) -> CloudConnector:
        kind = self._kinds.get(row.kind)
        if kind is None:
            raise ConnectorError(f"this server knows no connector of kind {row.kind!r}")
        return kind.make(row)

    async def _end(self, name: str) -> None:
        begun = self._begun.pop(name)
        self._connected.pop(name, None)
        tasks = [task for task in (begun.looking, begun.testing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await begun.connector.close()

    async def _do_duties(self) -> None:
        ours = await self._service.store.write(self._take_duties)
        for name, begun in list(self._begun.items()):
            if name not in ours:
                begun.known = None  # Another process has taken over since, maybe something else.
                continue
            if begun.row.removed_at is not None:
                await cases.forget_if_let_go(self._service, name)
                continue
            self._do_what_is_due(begun)

    def _take_duties(self, tx: Tx) -> set[str]:
        return {name for name in self._begun if duty.take(tx, connectors.duty_of(name), self._owner, _DUTY_LENGTH)}

    def _do_what_is_due(self, begun: Begun) -> None:
        now = asyncio.get_running_loop().time()
        if now >= begun.due and _is_over(begun.looking):
            begun.due = now + DISCOVER_SECONDS
            begun.looking = asyncio.create_task(_bounded(lambda: self._discover(begun)))
        if begun.row.awaits_test and _is_over(begun.testing):
            begun.testing = asyncio.create_task(_bounded(lambda: self._test(begun)))

    async def _discover(self, begun: Begun) -> None:
        name = begun.row.name
        try:
            async with asyncio.timeout(_MAY_TAKE_SECONDS):
                found = await begun.connector.discover()
        except Exception as error:  # noqa: BLE001 - whatever broke, machines are looked for again
            await cases.note_failure(self._service, name, _said(error))
            return
        changed = None if found == begun.known else found
        is_taken = await cases.take_over(self._service, name, begun.row.revision, self._owner, changed)
        begun.known = found if is_taken else None

    async def _test(self, begun: Begun) -> None:
        missing: Sequence[str] = ()
        error = ""
        try:
            async with asyncio.timeout(_MAY_TAKE_SECONDS):
                missing = await begun.connector.missing_permissions()
        except Exception as broken:  # noqa: BLE001 - whatever broke is what the test has found
            error = _said(broken)
        await cases.note_test(self._service, begun.row.name, tuple(missing), error)


async def _bounded(work: Callable[[], Awaitable[None]]) -> None:
    """Do it; what the database does not take now is found again at the next look."""
    try:
        await work()
    except Unavailable as error:
        _log.warning("what a connector told could not be kept", error=error.message)


def _is_over(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()


def _said(error: Exception) -> str:
    if isinstance(error, ConnectorError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"the cloud has not answered within {_MAY_TAKE_SECONDS:.0f} seconds"
    _log.error("a connector broke", exc_info=error)
    return f"the connector broke: {type(error).__name__}"
