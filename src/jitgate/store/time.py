"""The store's time: it never runs backwards, and it never stands still.

A wall clock can be stepped. If a grant's end were compared with a clock that was set back, the grant would
last longer; if time stood still until the wall has caught up, so would every grant made meanwhile. So the
store counts on from the latest moment it has seen, at the pace of the clock that cannot be stepped. A wall
clock that is stepped forward is followed at once: that can only shut ports early.

The latest moment is kept in the database (`meta`, "now"), so it holds across restarts and processes too.
"""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Connection, bindparam, cast, select, update

from jitgate.clock import Clock
from jitgate.store.prepared import Prepared
from jitgate.store.schema import EPOCH, MICROSECOND, meta

_READ = Prepared(select(meta.c.value).where(meta.c.name == "now"))
_KEEP = Prepared(
    update(meta)
    .where(meta.c.name == "now", cast(meta.c.value, BigInteger) < cast(bindparam("now"), BigInteger))
    .values(value=bindparam("now"))
)


class StoreTime:
    """Now, for every thread of one store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # The moment at which `elapsed` was zero. It only ever moves forward. Kept instead of the latest
        # moment itself, so that rounding does not add up.
        self._zero = datetime.min.replace(tzinfo=UTC)

    def now(self, floor: datetime = EPOCH) -> datetime:
        """The time, UTC: not before `floor`, and not before any earlier answer."""
        with self._lock:
            # The wall first: being held up between the two then errs backwards, which the next call mends.
            wall = self._clock.wall()
            elapsed = timedelta(seconds=self._clock.elapsed())
            self._zero = max(self._zero, wall - elapsed, floor - elapsed)
            return self._zero + elapsed


def latest(connection: Connection) -> datetime:
    """The latest moment that any transaction has kept."""
    [row] = _READ.fetch(connection, {})
    return EPOCH + int(row.value) * MICROSECOND


def keep(connection: Connection, now: datetime) -> None:
    """Remember a moment as the latest, unless a later one is kept."""
    _KEEP.run(connection, [{"now": str((now - EPOCH) // MICROSECOND)}])
