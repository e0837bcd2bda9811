"""The two doors to the database: `read` and `write`.

Each takes a function, gives it a transaction (`Tx`), and returns what it returned once that is committed.
The function runs in a thread of the store and never waits for anything else. If it raises, nothing of what
it did is kept, and the caller gets the exception.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from jitgate.clock import Clock
from jitgate.core.errors import Invalid, Unavailable
from jitgate.store import postgresql, sqlite
from jitgate.store.jobs import Crew, Job
from jitgate.store.migrations import upgrade
from jitgate.store.postgresql import Listener, Session
from jitgate.store.sqlite import Reader
from jitgate.store.time import StoreTime
from jitgate.store.transaction import Tx
from jitgate.store.wake import Wake
from jitgate.store.writer import Writer

__all__ = ["Store", "Tx"]

READERS = 4
WRITERS = 8
"""Of PostgreSQL; SQLite has one."""

_URLS = "sqlite:////var/lib/jitgate/jitgate.db, or postgresql+psycopg://user@host/jitgate"
T = TypeVar("T")


class Doors(Protocol):
    """What a kind of database must bring."""

    def read(self, job: Job[Any]) -> None:
        """Run a job on a snapshot. Raises Unavailable when closed."""
        ...

    def write(self, job: Job[Any]) -> None:
        """Run a job and commit it. Raises Unavailable when closed."""
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

        `url`: ``sqlite:////directory/jitgate.db`` or ``postgresql+psycopg://user@host/jitgate``. Raises Invalid
        for a URL that is none, SchemaError for a database of a newer jitgate, Unavailable when the database
        cannot be reached.
        """
        parsed = _parse(url)
        woken = Wake()
        return Store(_doors(parsed, StoreTime(clock), woken), woken)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """What `fn` returns from a snapshot of the database."""
        return await _ask(self._doors.read, fn)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """What `fn` returns, once what it wrote is on disk."""
        return await _ask(self._doors.write, fn)

    def read_now(self, fn: Callable[[Tx], T]) -> T:
        """As `read`, for code without an event loop; blocks."""
        return _ask_now(self._doors.read, fn)

    def write_now(self, fn: Callable[[Tx], T]) -> T:
        """As `write`, for code without an event loop; blocks."""
        return _ask_now(self._doors.write, fn)

    def close(self) -> None:
        """Finish the writes that were asked for, and let go of the database. Later calls raise Unavailable."""
        self._doors.close()


class SqliteDoors:
    """Readers with a snapshot each, and one writer."""

    def __init__(self, url: URL, store_time: StoreTime, woken: Wake) -> None:
        engine = sqlite.engine(url, store_time)
        sqlite.create_file(str(url.database))
        _bring_up_to_date(engine, sqlite.outage)
        self._writer = Crew("writer", [Writer(engine.connect, store_time, woken)])
        self._readers = Crew("reader", [Reader(engine.connect, store_time) for _ in range(READERS)])

    def read(self, job: Job[Any]) -> None:
        self._readers.submit(job)

    def write(self, job: Job[Any]) -> None:
        self._writer.submit(job)

    def close(self) -> None:
        self._readers.close()
        self._writer.close()


class PostgresqlDoors:
    """Sessions that read, sessions that write, and an ear for what other processes wake."""

    def __init__(self, url: URL, store_time: StoreTime, woken: Wake) -> None:
        engine = postgresql.engine(url)
        _bring_up_to_date(engine, postgresql.outage)
        self._writers = Crew("writer", [Session(engine.connect, store_time, woken) for _ in range(WRITERS)])
        self._readers = Crew("reader", [Session(engine.connect, store_time, None) for _ in range(READERS)])
        self._listener = Listener(engine, woken)

    def read(self, job: Job[Any]) -> None:
        self._readers.submit(job)

    def write(self, job: Job[Any]) -> None:
        self._writers.submit(job)

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


def _bring_up_to_date(engine: Engine, outage: Callable[[BaseException], Unavailable | None]) -> None:
    try:
        upgrade(engine)
    except Exception as error:
        failure = outage(error)
        if failure is None:
            raise
        raise failure from error


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise Invalid("database", "this is not the URL of a database", allowed=_URLS) from error


async def _ask(door: Callable[[Job[Any]], None], fn: Callable[[Tx], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    door(Job(fn, future, loop))
    return await future


def _ask_now(door: Callable[[Job[Any]], None], fn: Callable[[Tx], T]) -> T:
    future: Future[T] = Future()
    door(Job(fn, future, None))
    return future.result()
