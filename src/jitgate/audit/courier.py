"""The courier: brings each signed head to every outlet, in order and at least once.

Each outlet has a place of its own in the order, kept in the database; one that is dead holds up no other.
"""

import asyncio
from collections.abc import Sequence

import structlog

from jitgate.audit.outlets import Outlet, Undelivered
from jitgate.failpoints import failpoint
from jitgate.store import duty, heads
from jitgate.store.database import Store, Tx
from jitgate.store.heads import Sealed

LOOK_EVERY = 1.0
_LONGEST_PAUSE = 60.0
_MOST = 100

_log = structlog.get_logger(__name__)


class Courier:
    """Delivers the heads of one database, while its process is the one that seals."""

    def __init__(self, store: Store, owner: str, outlets: Sequence[Outlet]) -> None:
        self._store = store
        self._owner = owner
        self._outlets = outlets

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for outlet in self._outlets:
                tasks.create_task(self._serve(outlet))

    async def deliver(self, outlet: Outlet) -> int:
        """Bring an outlet the next heads; returns how many. Raises Undelivered."""
        found = await self._store.read(lambda tx: self._next(tx, outlet.name))
        for sealed in found:
            await asyncio.to_thread(outlet.send, sealed)
            failpoint("audit.head_sent")
            await self._keep(outlet.name, sealed.head.number)
        return len(found)

    async def _keep(self, name: str, number: int) -> None:
        await self._store.write(lambda tx: heads.keep_delivered(tx, name, number))

    def _next(self, tx: Tx, name: str) -> list[Sealed]:
        if not duty.has(tx, duty.SEALER, self._owner):
            return []
        return heads.page(tx, heads.delivered(tx, name), _MOST)

    async def _serve(self, outlet: Outlet) -> None:
        pause = LOOK_EVERY
        while True:
            try:
                while await self.deliver(outlet):
                    pause = LOOK_EVERY
            except Undelivered as error:
                pause = min(pause * 2, _LONGEST_PAUSE)
                _log.warning("a head of the record was not taken; trying again", outlet=outlet.name, error=str(error))
            except Exception as error:  # noqa: BLE001 - the heads stay, and are offered again
                pause = min(pause * 2, _LONGEST_PAUSE)
                _log.error("sending heads of the record failed; trying again", exc_info=error)
            await asyncio.sleep(pause)
