"""The two doors to the database: `read` and `write`; and `glance`, which is a `read` of a few rows.

Each takes a function, gives it a transaction (`Tx`), and returns what it returned once that is committed.
The function runs in a thread of the store (a glance: in the caller's own, if the database is a file) and never waits
for anything else. If it raises, nothing of what
it did is kept, and the caller gets the exception.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Engine, make_url, select
from sqlalchemy.exc import ArgumentError

from jitgate import tracing
from jitgate.clock import Clock
from jitgate.core.errors import Conflict, Invalid, Unavailable
from jitgate.store import postgresql, sqlite, time
from jitgate.store.jobs import Crew, Job
from jitgate.store.migrations import bring_up_to_date, finish
from jitgate.store.postgresql import Listener
from jitgate.store.schema import meta
from jitgate.store.sqlite import Glances, Reader
from jitgate.store.time import StoreTime
from jitgate.store.transaction import Tx
from jitgate.store.turns import Turns
from jitgate.store.wake import Wake
from jitgate.store.writer import Writer

__all__ = ["Store", "Tx"]

READERS = 4
"""How many read at once."""

_SWITCH_SECONDS = 0.0005
"""How long a busy thread keeps the interpreter from one whose statement was answered. Python's own 5 ms would be added
to each of a transaction's dozen statements."""
MOVED = "moved"
"""The line of a file's `meta` that says where its records went."""

_URLS = "sqlite:////var/lib/jitgate/jitgate.db, or postgresql://user@host/jitgate"
_POSTGRESQL = {"postgresql", "postgres"}
_DRIVER = "postgresql+psycopg"
T = TypeVar("T")


class Doors(Protocol):
    """What a kind of database must bring."""

    def read(self, job: Job[Any]) -> None:
        """Run a job on a snapshot. Raises Unavailable when closed."""
        ...

    def glance(self, job: Job[Any]) -> None:
        """Run a short job on a snapshot. Raises Unavailable when closed."""
        ...

    def write(self, job: Job[Any]) -> None:
        """Run a job and commit it. Raises Unavailable when closed."""
        ...

    def bring_further(self) -> list[str]:
        """See `Store.bring_further`."""
        ...

    def close(self) -> None:
        """Finish what was begun, and let go of the database."""
        ...


class Store:
    """A database that is open.

    `woken`  the scopes that committed writes have woken
    """

    def __init__(self, doors: Doors, woken: Wake) -> None:
        self._doors = doors
        self.woken = woken

    @staticmethod
    def open(url: str, clock: Clock) -> "Store":
        """Bring the database's tables up to date, then serve.

        `url`: ``sqlite:////directory/jitgate.db`` or ``postgresql://user@host/jitgate``. Raises Invalid
        for a URL that is none, SchemaError for a database of a newer jitgate, Unavailable when the database
        cannot be reached.
        """
        parsed = parse(url)
        woken = Wake()
        return Store(_doors(parsed, StoreTime(clock), woken), woken)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """What `fn` returns from a snapshot of the database."""
        return await _ask("read", self._doors.read, fn)

    async def glance(self, fn: Callable[[Tx], T]) -> T:
        """As `read`, for what is found by keys in a table that is small or in use all the time: it may hold up the
        event loop, and where the database is a file no thread has to wake up for it."""
        return await _ask("glance", self._doors.glance, fn)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """What `fn` returns, once what it wrote is on disk."""
        return await _ask("write", self._doors.write, fn)

    def read_now(self, fn: Callable[[Tx], T]) -> T:
        """As `read`, for code without an event loop; blocks."""
        return _ask_now(self._doors.read, fn)

    def write_now(self, fn: Callable[[Tx], T]) -> T:
        """As `write`, for code without an event loop; blocks."""
        return _ask_now(self._doors.write, fn)

    def bring_further(self) -> list[str]:
        """Carry out what was left for later because older replicas need what it takes away; the names of those that
        still do. Blocks. Raises SchemaError, Unavailable."""
        return self._doors.bring_further()

    def close(self) -> None:
        """Finish the writes that were asked for, and let go of the database. Later calls raise Unavailable."""
        self._doors.close()


class SqliteDoors:
    """Readers with a snapshot each, and one writer."""

    def __init__(self, url: URL, store_time: StoreTime, woken: Wake) -> None:
        engine = sqlite.engine(url, store_time)
        sqlite.create_file(str(url.database))
        _migrate(lambda: bring_up_to_date(engine), sqlite.outage)
        _refuse_if_moved(engine)
        _migrate(lambda: _go_on(engine, store_time), sqlite.outage)
        ran = threading.Event()
        self._writer = Turns(Crew("writer", [Writer(engine.connect, store_time, woken, ran)]), ran)
        self._readers = Crew("reader", [Reader(engine.connect, store_time) for _ in range(READERS)])
        self._glances = Glances(Reader(engine.connect, store_time))

    def read(self, job: Job[Any]) -> None:
        self._readers.submit(job)

    def glance(self, job: Job[Any]) -> None:
        self._glances.run(job)

    def write(self, job: Job[Any]) -> None:
        self._writer.submit(job)

    def bring_further(self) -> list[str]:
        return []  # There is nobody else to wait for.

    def close(self) -> None:
        self._glances.close()
        self._readers.close()
        self._writer.close()


class PostgresqlDoors:
    """Readers with a snapshot each, one writer, and an ear for what other processes wake."""

    def __init__(self, url: URL, store_time: StoreTime, woken: Wake) -> None:
        sys.setswitchinterval(_SWITCH_SECONDS)
        engine = self._engine = postgresql.engine(url)
        _migrate(lambda: bring_up_to_date(engine), postgresql.outage)
        _migrate(lambda: _go_on(engine, store_time), postgresql.outage)
        writer = postgresql.Writer(engine.connect, store_time, woken)
        self._writers = Crew("writer", [writer])
        self._readers = Crew("reader", [postgresql.Reader(engine.connect, store_time) for _ in range(READERS)])
        self._listener = Listener(engine, woken, writer)

    def read(self, job: Job[Any]) -> None:
        self._readers.submit(job)

    # The answer comes over a network.
    glance = read

    def write(self, job: Job[Any]) -> None:
        self._writers.submit(job)

    def bring_further(self) -> list[str]:
        return _migrate(lambda: finish(self._engine), postgresql.outage)

    def close(self) -> None:
        self._listener.close()
        self._readers.close()
        self._writers.close()


def _doors(url: URL, store_time: StoreTime, woken: Wake) -> Doors:
    match url.get_backend_name():
        case "sqlite":
            return SqliteDoors(url, store_time, woken)
        case "postgresql":
            return PostgresqlDoors(url, store_time, woken)
        case other:
            raise Invalid("database", f"jitgate cannot keep its data in {other}", allowed=_URLS)


def _migrate(work: Callable[[], T], outage: Callable[[BaseException], Unavailable | None]) -> T:
    try:
        return work()
    except Exception as error:
        failure = outage(error)
        if failure is None:
            raise
        raise failure from error


def _go_on(engine: Engine, store_time: StoreTime) -> None:
    """Have the store's time go on as if somebody had been there all the while."""
    with engine.connect() as connection:
        time.go_on(connection, store_time)


def _refuse_if_moved(engine: Engine) -> None:
    """What was copied elsewhere is worked on there: two would each shut what the other has opened."""
    with engine.connect() as connection:
        place = connection.execute(select(meta.c.value).where(meta.c.name == MOVED)).scalar()
    if place is not None:
        raise Conflict(
            f"The records of this file were moved to {place}, and go on there: set store.url in jitgate.toml, or"
            " JITGATE_DATABASE. How to come back: docs/how-to/move-to-postgresql.md"
        )


def parse(url: str) -> URL:
    """The URL of a database, with the driver that is used. Raises Invalid."""
    try:
        parsed = make_url(url)
        return parsed.set(drivername=_DRIVER) if parsed.drivername in _POSTGRESQL else parsed
    except ArgumentError as error:
        raise Invalid("database", "this is not the URL of a database", allowed=_URLS) from error


async def _ask(name: str, door: Callable[[Job[Any]], None], fn: Callable[[Tx], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    with tracing.span(f"database {name}"):
        door(Job(fn, future, loop))
        return await future


def _ask_now(door: Callable[[Job[Any]], None], fn: Callable[[Tx], T]) -> T:
    future: Future[T] = Future()
    door(Job(fn, future, None))
    return future.result()
