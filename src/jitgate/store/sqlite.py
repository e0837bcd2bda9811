"""SQLite: how its connections are set up, how it fails, and the readers.

WAL, so that readers and the writer never wait for each other; `synchronous=FULL`, so that what was
acknowledged survives a power cut.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from jitgate.core.errors import Invalid, Unavailable
from jitgate.store import time
from jitgate.store.jobs import Job, closed, deliver
from jitgate.store.prepared import AtOnce
from jitgate.store.schema import EPOCH, MICROSECOND
from jitgate.store.time import StoreTime
from jitgate.store.transaction import Tx

BUSY_SECONDS = 5.0
"""How long a transaction waits for another process that holds the database."""

_SETUP = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -32768",  # 32 MiB
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
)
_OUTAGES = {
    sqlite3.SQLITE_BUSY: "it is locked by another process; end that process or try again",
    sqlite3.SQLITE_LOCKED: "it is locked by another process; end that process or try again",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and try again",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check the disk and its free space, then try again",
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its directory writable for jitgate",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened; check the path and its permissions",
    sqlite3.SQLITE_PERM: "its file cannot be opened; check the path and its permissions",
    sqlite3.SQLITE_NOMEM: "there is not enough memory; try again",
    sqlite3.SQLITE_PROTOCOL: "it is locked by another process; end that process or try again",
    sqlite3.SQLITE_CORRUPT: "its file is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "its file is not a database; check the path or restore a backup",
}


def engine(url: URL, store_time: StoreTime) -> Engine:
    """An engine whose connections are set up, and which begins no transaction by itself.

    Raises Invalid for a URL without a file: a database in memory would be another one for every connection.
    """
    if not url.database or url.database == ":memory:":
        raise Invalid("database", "an SQLite database needs a file", allowed="sqlite:////directory/jitgate.db")
    # Python's own transaction handling begins one before some statements and not before others.
    made = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        # A connection is used by one thread at a time, but for glances not always by the same.
        connect_args={"timeout": BUSY_SECONDS, "cached_statements": 512, "check_same_thread": False},
    )
    event.listen(made, "connect", lambda connection, _record: _set_up(connection, store_time))
    return made


def create_file(path: str) -> None:
    """Make the database's file, for its owner alone; SQLite gives the files beside it the same mode.

    Raises Unavailable.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(f"The database {path} cannot be opened: {error.strerror}. Check the path.") from error


def outage(error: BaseException) -> Unavailable | None:
    """What to tell callers if the database itself has failed; None if it was the statement."""
    if isinstance(error, Unavailable):
        return error
    # Extended codes hold the primary one in their lowest byte (sqlite.org/rescode.html).
    why = _OUTAGES.get(_code(error) & 0xFF)
    if why is None:
        return None
    unavailable = Unavailable(f"The database cannot be used now, and nothing was changed: {why}.")
    unavailable.__cause__ = error
    return unavailable


def in_transaction(connection: Connection) -> bool:
    """Whether a transaction is open. After some failures SQLite rolls it back by itself."""
    return _driver(connection).in_transaction


def control(connection: Connection, statement: str) -> None:
    """BEGIN, COMMIT and the like, which every function pays for: past SQLAlchemy, at a tenth of the time.

    Raises sqlite3.Error.
    """
    _driver(connection).execute(statement).close()


class Reader:
    """Runs functions on a snapshot, over a connection that cannot write."""

    group = 1

    def __init__(self, connect: Callable[[], Connection], store_time: StoreTime) -> None:
        self._connect = connect
        self._time = store_time
        self._connection: Connection | None = None

    def work(self, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            self.run(job)
        deliver(jobs)

    def run(self, job: Job[Any]) -> None:
        """Run one function, and keep what came of it."""
        try:
            self._read(job)
        except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
            job.fail(error)
        if job.error is not None:
            self._judge(job, job.error)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, job: Job[Any]) -> None:
        connection = self._opened()
        control(connection, "BEGIN")
        try:
            # This first look takes the snapshot, so that `now` is after all that it shows.
            way = AtOnce(connection)
            now = self._time.now(time.latest(way))
            job.run(Tx(way, lambda: now))
        finally:
            if in_transaction(connection):
                control(connection, "ROLLBACK")

    def _judge(self, job: Job[Any], error: BaseException) -> None:
        """A database that fails is not the function's fault; a function that writes here is."""
        if _code(error) == sqlite3.SQLITE_READONLY:
            job.fail(RuntimeError(f"a read may not change anything: {error}"))
        elif (failure := outage(error)) is not None:
            job.fail(failure)
            self.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.exec_driver_sql("PRAGMA query_only = ON")
        return self._connection


class Glances:
    """Reads in the thread of whoever asks: a few rows are found in less time than another thread takes to wake up."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._closed = False

    def run(self, job: Job[Any]) -> None:
        """Run one function, and give its caller the outcome. Raises Unavailable once closed."""
        with self._lock:
            if self._closed:
                raise closed()
            self._reader.run(job)
        job.settle()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._reader.close()


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _code(error: BaseException) -> int:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlite_errorcode", None) or 0


def _set_up(connection: sqlite3.Connection, store_time: StoreTime) -> None:
    for statement in _SETUP:
        connection.execute(statement)
    # The database's clock, for leases (`jitgate.store.lease`).
    connection.create_function("jitgate_now", 0, lambda: (store_time.now() - EPOCH) // MICROSECOND)
