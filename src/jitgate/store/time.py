"""The store's time: it never runs backwards, and it never stands still.

A wall clock can be stepped. If a grant's end were compared with a clock that was set back, the grant would
last longer; if time stood still until the wall has caught up, so would every grant made meanwhile. So the
store counts on from the latest moment it has seen, at the pace of the clock that cannot be stepped. A wall
clock that is stepped forward is followed at once: that can only shut ports early.

The latest moment is kept in the database (`meta`, "now"), so it holds across restarts and processes too. So that time
does not stand still while nobody is there, the pace is kept beside it (`meta`, "pace"): which moment it was when the
clock that cannot be stepped was at zero, and the start of the machine that it counts from. Where a wall clock was set
back, a grant would else last longer by as long as a restart took, and be opened again for that.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, cast, select, text, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from jitgate.clock import Clock
from jitgate.store.prepared import Prepared, Way
from jitgate.store.schema import EPOCH, MICROSECOND, meta

_READ = Prepared(select(meta.c.value).where(meta.c.name == "now"))
_KEEP = Prepared(
    update(meta)
    .where(meta.c.name == "now", cast(meta.c.value, BigInteger) < cast(bindparam("now"), BigInteger))
    .values(value=bindparam("now"))
)
_READ_PACE = select(meta.c.value).where(meta.c.name == "pace")
_KEEP_PACE = text(
    "INSERT INTO meta (name, value) VALUES ('pace', :pace) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SLACK = timedelta(milliseconds=10)
"""How far a wall clock that runs fast may move the pace before it is kept again."""


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

    @property
    def zero(self) -> datetime:
        """The moment at which `elapsed` was zero, as far as is known."""
        return self._zero

    def go_on(self, zero: datetime) -> None:
        """Count on from such a moment that another process has known, unless a later one is known here."""
        with self._lock:
            self._zero = max(self._zero, zero)


class Pace:
    """Keeps the pace of a store's time for whoever comes next on this machine. Used by one thread."""

    def __init__(self, store_time: StoreTime) -> None:
        self._time = store_time
        self._kept: datetime | None = None

    def keep(self, connection: Connection) -> None:
        """Write it down, if that is not what was written last."""
        zero, boot = self._time.zero, _boot()
        if not boot or (self._kept is not None and zero - self._kept < _SLACK):
            return
        connection.execute(_KEEP_PACE, {"pace": f"{boot} {(zero - EPOCH) // MICROSECOND}"})
        self._kept = zero

    def forget(self) -> None:
        """What was written may not have been committed: write it again."""
        self._kept = None


def go_on(connection: Connection, store_time: StoreTime) -> None:
    """Count on at the pace that was kept since this machine has started, if any was."""
    kept = connection.execute(_READ_PACE).scalar()
    boot, _, zero = (kept or "").partition(" ")
    if zero and boot == _boot():
        store_time.go_on(EPOCH + int(zero) * MICROSECOND)


@cache
def _boot() -> str:
    """Names this start of the machine, from which `elapsed` counts. Empty: nobody knows, so no pace is kept."""
    with suppress(OSError):
        return _BOOT.read_text("ascii").strip()
    return ""


def latest(way: Way) -> datetime:
    """The latest moment that any transaction has kept."""
    return ask_latest(way)()


def ask_latest(way: Way) -> Callable[[], datetime]:
    """The same, asked ahead."""
    rows = way.ask(_READ, {})
    return lambda: EPOCH + int(rows()[0].value) * MICROSECOND


def keep(connection: Connection, now: datetime) -> None:
    """Remember a moment as the latest, unless a later one is kept."""
    _KEEP.run(connection, [{"now": str((now - EPOCH) // MICROSECOND)}])


class DatabaseClock(FunctionElement[int]):
    """The database's own time, as microseconds since 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(DatabaseClock, "sqlite")
def _sqlite(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "jitgate_now()"  # registered in jitgate.store.sqlite


@compiles(DatabaseClock, "postgresql")
def _postgresql(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    # Not now(): that is when the transaction began, which may be long ago.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
