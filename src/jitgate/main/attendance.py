"""A replica says that it lives, and takes part in what replicas of two versions owe each other."""

import asyncio
from collections.abc import Callable

import structlog

from jitgate import __version__
from jitgate.config.parts import Part
from jitgate.core.errors import Unavailable
from jitgate.store import duty, presence
from jitgate.store.database import Store, Tx
from jitgate.store.migrations import SchemaError, Standing, newest
from jitgate.store.presence import Replica

HEARD_EVERY_SECONDS = 10.0
_LEAVING_MAY_TAKE = 3.0

_log = structlog.get_logger(__name__)


class Attendance:
    """Of one replica."""

    def __init__(self, store: Store, name: str, part: Part) -> None:
        self._store = store
        self._who = Replica(name, __version__, newest(), str(part))
        self._told: list[str] = []

    async def begin(self) -> None:
        """Be known to the others. Raises SchemaError where this jitgate cannot work with the database any more."""
        await self._be_heard()

    async def run(self, unfit: Callable[[], object]) -> None:
        """Be heard for ever. `unfit`: what to do when a newer jitgate has taken away what this one needs."""
        while True:
            await asyncio.sleep(HEARD_EVERY_SECONDS)
            try:
                found = await self._be_heard()
            except SchemaError as error:
                _log.critical("this replica ends", error=error.message)
                unfit()
                return
            except Unavailable as error:
                _log.error("the database does not answer; trying again", error=error.message)
                continue
            if found.missing:
                await self._bring_further()

    async def end(self) -> None:
        """Leave to the others at once what this replica did for all. Without a database they find out by themselves."""

        def leave(tx: Tx) -> None:
            duty.give_up_all(tx, self._who.name)
            presence.leave(tx, self._who.name)

        try:
            async with asyncio.timeout(_LEAVING_MAY_TAKE):
                await self._store.write(leave)
        except (TimeoutError, Unavailable):
            _log.warning("the others could not be told that this replica ends; they find out within a minute")

    async def _be_heard(self) -> Standing:
        return await self._store.write(lambda tx: presence.be_heard(tx, self._who))

    async def _bring_further(self) -> None:
        try:
            older = await asyncio.to_thread(self._store.bring_further)
        except (SchemaError, Unavailable) as error:
            _log.error("what older replicas needed could not be taken away; trying again", error=error.message)
            return
        if older != self._told:
            _log.info("the rest of the upgrade waits for older replicas" if older else "upgraded", replicas=older)
        self._told = older
