"""The sealer: gives events their sequence, and seals them in batches under signed heads.

It works beside those who write: what is sealed is read from a snapshot and hashed without holding anybody up; only
the numbers and the head are written, in one transaction. A crash at any point leaves a batch sealed or not begun.
Among several processes the one that has the duty seals; and since heads are numbered by the database's own key,
two can never both seal a batch.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.core import merkle, record_expiry
from jitgate.core.errors import Unavailable
from jitgate.core.record import FOLLOWS, MOST_EVENTS, NOTHING_BEFORE, PURPOSE, Head
from jitgate.core.record_expiry import Expiry
from jitgate.core.record_trust import joined
from jitgate.failpoints import failpoint
from jitgate.store import duty, heads
from jitgate.store.activity import Entry
from jitgate.store.database import Store, Tx
from jitgate.store.heads import Sealed
from jitgate.trust.record_key import PRIVATE_FILE
from jitgate.trust.signatures import SigningKey
from jitgate.trust.succession import Succession

SEAL_EVERY = 0.5
"""Seconds. An event is sealed within a second of its commit."""

_DUTY_LENGTH = timedelta(seconds=15)
_EXPIRE_EVERY = 600.0
_MOST_BATCHES = 20
"""How many batches go in one transaction when they are too old: it must hold nobody up."""
_PAUSE = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signs a head. `former`: whose last head this one follows, where that is another; it hands over."""

    key: SigningKey
    former: SigningKey | None = None

    def sign(self, head: Head) -> str:
        """The signature, or both."""
        signature = self.key.sign(PURPOSE, head.body)
        return signature if self.former is None else joined(signature, self.former.sign(FOLLOWS, head.body))


class Sealer:
    """Seals the record of one database, while it has the duty to.

    `keys`: as they are on file now; `retention`: how long events are kept; None: for ever.
    """

    def __init__(
        self,
        store: Store,
        keys: Callable[[], Succession[SigningKey]],
        owner: str,
        retention: timedelta | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._owner = owner
        self._retention = retention

    async def run(self) -> None:
        """Seal until cancelled, and let old events go."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._seal_regularly())
            if self._retention is not None:
                tasks.create_task(self._expire_regularly(self._retention))

    async def seal(self) -> int:
        """Seal the next batch; returns how many events it holds. 0: there is none, or it is another's duty."""
        found = await self._store.read(self._look)
        if found is None:
            return 0
        before, entries, signers = found
        head = await asyncio.to_thread(_make_head, before, entries, signers.key.public)
        ids = [entry.id for entry in entries]
        failpoint("audit.read_unsealed")
        if not await self._store.write(lambda tx: self._keep(tx, before, head, signers, ids)):
            return 0
        failpoint("audit.sealed")
        return len(entries)

    async def seal_all(self) -> None:
        """Seal until nothing is left to seal."""
        while await self.seal():
            pass

    async def expire(self, retention: timedelta) -> int:
        """Let the next events go whose time is over; returns how many batches that were."""
        return await self._store.write(lambda tx: self._expire(tx, retention))

    async def expire_all(self, retention: timedelta) -> None:
        """Let all events go whose time is over."""
        while await self.expire(retention):
            pass

    def _look(self, tx: Tx) -> tuple[Head | None, list[Entry], Signers] | None:
        if not duty.has(tx, duty.SEALER, self._owner):
            return None
        sealed = heads.last(tx)
        head = sealed.head if sealed else None
        entries = heads.unsealed(tx, head.last if head else 0, MOST_EVENTS)
        return (head, entries, self._signers(tx, head)) if entries else None

    def _signers(self, tx: Tx, before: Head | None) -> Signers:
        """Who signs the next head. Raises Unavailable where that key is not here."""
        keys = self._keys()
        publics = [entry.key.public for entry in keys.entries]
        current = keys.current(tx.now)
        if before is None or before.key == current.public:
            return Signers(current)
        if before.key in publics:
            former = keys.entries[publics.index(before.key)].key
            # A clock that was set back leads to no earlier key: it has handed over.
            is_later = publics.index(current.public) > publics.index(before.key)
            return Signers(current, former) if is_later else Signers(former)
        if any(heads.has_sealed(tx, public) for public in publics):
            raise Unavailable(
                f"the key that sealed last ({before.key}) is not in {PRIVATE_FILE}, and an earlier one is: copy the "
                "file from the replica where it was rotated, or from a newer backup"
            )
        return Signers(current)

    def _keep(self, tx: Tx, before: Head | None, head: Head, signers: Signers, entries: Sequence[int]) -> bool:
        """Write what was worked out, if it still follows on what stands."""
        if not duty.take(tx, duty.SEALER, self._owner, _DUTY_LENGTH):
            return False
        sealed = heads.last(tx)
        if (sealed.head if sealed else None) != before:
            return False
        dated = replace(head, at=tx.now)
        heads.add(tx, Sealed(dated, signers.sign(dated)), entries)
        return True

    def _expire(self, tx: Tx, retention: timedelta) -> int:
        if not duty.take(tx, duty.SEALER, self._owner, _DUTY_LENGTH):
            return 0
        gone = heads.expire(tx, tx.now - retention, _MOST_BATCHES)
        if gone is None:
            return 0
        expiry = Expiry.of(gone.head, retention, tx.now)
        sealed = heads.last(tx)
        # By the key that seals: whoever can merely write into the database must not be believed when they say so.
        key = self._signers(tx, sealed.head if sealed else None).key
        properties = expiry.properties(key.public, key.sign(record_expiry.PURPOSE, expiry.body))
        audit.record(tx, [Event(Operation.ACTIVITY_EXPIRE, Outcome.SUCCEEDED, "/", properties=properties)])
        return _MOST_BATCHES

    async def _seal_regularly(self) -> None:
        while True:
            try:
                await self.seal_all()
            except Exception as error:  # noqa: BLE001 - what is not sealed now must be later
                await _sit_out(error)
            await asyncio.sleep(SEAL_EVERY)

    async def _expire_regularly(self, retention: timedelta) -> None:
        while True:
            try:
                await self.expire_all(retention)
            except Exception as error:  # noqa: BLE001 - what has not gone now goes later
                await _sit_out(error)
            await asyncio.sleep(_EXPIRE_EVERY)


def _make_head(before: Head | None, entries: Sequence[Entry], key: str) -> Head:
    """The head over a batch, but for its time."""
    first = before.last + 1 if before else 1
    return Head(
        number=before.number + 1 if before else 1,
        first=first,
        count=len(entries),
        root=merkle.root(audit.leaves(entries, first)).hex(),
        previous=before.digest if before else NOTHING_BEFORE,
        at=entries[-1].at,
        key=key,
    )


async def _sit_out(error: Exception) -> None:
    """Tell of an error, and give it time to pass."""
    if isinstance(error, Unavailable):
        _log.error("the record cannot be sealed now; trying again", error=error.message)
    else:
        _log.error("sealing the record failed; trying again", exc_info=error)
    await asyncio.sleep(_PAUSE)
