"""The notifier: tells each receiver what is on record, in order, and each line at least once.

What is told is committed before, with what it tells of, and nobody waits for it. A receiver's place is moved once it
has taken a message, so that a crash in between repeats that message, under its same id. Each receiver is served on
its own: one that is dead or slow holds up no other, and nothing else.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from jitgate.failpoints import failpoint
from jitgate.notify.message import Address, Message, compose
from jitgate.notify.receivers import Receiver, Undelivered
from jitgate.store import cursors
from jitgate.store.activity import Entry
from jitgate.store.cursors import Cursor
from jitgate.store.database import Store, Tx

LOOK_EVERY = 1.0
LEASE = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(minutes=5)
MOST_REFUSALS = 5
"""So often a receiver may refuse one message as such, before the next one gets its turn."""
_PAGE = 200

OnSkipped = Callable[[Tx, str, Entry, str], None]
"""Puts on record that a receiver (by name) has never taken a line, and why."""

_log = structlog.get_logger(__name__)


class Notifier:
    """Serves the receivers of one database."""

    def __init__(
        self, store: Store, owner: str, receivers: Sequence[Receiver], address: Address, on_skipped: OnSkipped
    ) -> None:
        self._store = store
        self._owner = owner
        self._receivers = receivers
        self._address = address
        self._on_skipped = on_skipped

    async def run(self) -> None:
        """Tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for receiver in self._receivers:
                tasks.create_task(self._serve(receiver))

    async def tell(self, receiver: Receiver) -> bool:
        """Tell a receiver the next message. False: there is nothing to tell it now, or it did not take it."""
        if not await self._store.read(lambda tx: _has_work(tx, receiver.name)):
            return False
        cursor = await self._store.write(lambda tx: self._claim(tx, receiver.name))
        if cursor is None:
            return False
        page = await self._store.read(lambda tx: cursors.after(tx, cursor.sequence, _PAGE))
        for entry in page:
            message = compose(entry, self._address)
            if message is not None and message.topic in receiver.topics:
                return await self._send(receiver, cursor, entry, message)
        if page and page[-1].sequence is not None:
            last = page[-1].sequence
            await self._store.write(lambda tx: cursors.advance(tx, receiver.name, last))
        return bool(page)

    def _claim(self, tx: Tx, name: str) -> Cursor | None:
        cursors.make_known(tx, name)
        return cursors.claim(tx, name, self._owner, LEASE)

    async def _send(self, receiver: Receiver, cursor: Cursor, entry: Entry, message: Message) -> bool:
        now = await self._store.read(lambda tx: tx.now)
        try:
            await asyncio.to_thread(receiver.send, message, now)
        except Undelivered as error:
            _log.warning("a notification was not taken", receiver=receiver.name, message=message.id, error=str(error))
            await self._store.write(partial(self._put_off, cursor=cursor, entry=entry, error=error))
            return False
        failpoint("notify.sent")
        await self._store.write(lambda tx: cursors.advance(tx, receiver.name, entry.sequence or cursor.sequence))
        return True

    def _put_off(self, tx: Tx, cursor: Cursor, entry: Entry, error: Undelivered) -> None:
        attempts = cursor.attempts + 1
        if error.is_refused and attempts >= MOST_REFUSALS:
            # Else somebody whose text a receiver cannot take would silence it for good.
            self._on_skipped(tx, cursor.name, entry, str(error))
            cursors.advance(tx, cursor.name, entry.sequence or cursor.sequence)
            return
        cursors.put_off(tx, cursor.name, attempts, tx.now + pause_after(attempts), str(error))

    async def _serve(self, receiver: Receiver) -> None:
        while True:
            try:
                while await self.tell(receiver):
                    pass
            except Exception as error:  # noqa: BLE001 - the record stays, and is told later
                _log.error("notifying failed; trying again", receiver=receiver.name, exc_info=error)
            await asyncio.sleep(LOOK_EVERY)


def _has_work(tx: Tx, name: str) -> bool:
    """Whether there is anything to write for a receiver: mostly there is not, and that costs no commit."""
    cursor = cursors.get(tx, name)
    return cursor is None or (cursor.due_at <= tx.now and bool(cursors.after(tx, cursor.sequence, 1)))


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many failures in a row: a second, then twice as long each time, up to five minutes."""
    return min(timedelta(seconds=2 ** min(attempts - 1, 16)), LONGEST_PAUSE)
