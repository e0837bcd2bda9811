"""PostgreSQL: a serialisable transaction for each function, any number of jitgate processes on one database.

Serialisable, because then a function sees what it would see with one writer, as in SQLite. What loses
against another transaction is run again; functions have no effect but through their transaction.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from jitgate.core.errors import Invalid, Unavailable
from jitgate.failpoints import failpoint
from jitgate.store import time
from jitgate.store.jobs import Job, deliver
from jitgate.store.time import StoreTime
from jitgate.store.transaction import Tx
from jitgate.store.wake import Wake

TRIES = 10
"""How often a function is run before its caller is told that others are in the way."""

CONNECT_SECONDS = 10

_KEEP_EVERY = timedelta(seconds=1)
"""The latest moment is kept this often: each time would make all transactions wait for one row."""

_CHANNEL = "jitgate_wake"
_RECONNECT_SECONDS = 1.0
_LOST_TO_ANOTHER = {"40001", "40P01"}  # serialization_failure, deadlock_detected
_READ_ONLY = "25006"  # read_only_sql_transaction
_NOTIFY = text("SELECT pg_notify(:channel, :scope)")


def engine(url: URL) -> Engine:
    """An engine whose transactions are serialisable. Each worker keeps its own connection.

    Raises Invalid where the driver is not installed.
    """
    try:
        return create_engine(
            url, poolclass=NullPool, isolation_level="SERIALIZABLE", connect_args={"connect_timeout": CONNECT_SECONDS}
        )
    except ModuleNotFoundError as error:
        raise Invalid(
            "database",
            f"{error.name} is not installed",
            allowed="pip install 'jitgate[postgres]', then postgresql+psycopg://…",
        ) from error


def outage(error: BaseException) -> Unavailable | None:
    """What to tell callers if the database itself has failed; None if it was the statement."""
    if isinstance(error, Unavailable):
        return error
    if _state(error) in _LOST_TO_ANOTHER:
        unavailable = Unavailable("Too many others changed the same at once, and nothing was changed: try again.")
    elif _is_outage(error):
        unavailable = Unavailable(
            "The database cannot be used now, and nothing was changed: check that PostgreSQL runs and can be reached,"
            " and has free disk space, then try again."
        )
    else:
        return None
    unavailable.__cause__ = error
    return unavailable


class Session:
    """Runs functions one after the other, in a transaction each."""

    group = 1

    def __init__(self, connect: Callable[[], Connection], store_time: StoreTime, wake: Wake | None) -> None:
        """`wake`: whom to tell of woken scopes; None for a session that only reads."""
        self._connect = connect
        self._time = store_time
        self._wake = wake
        self._connection: Connection | None = None

    def work(self, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            try:
                self._run(job)
            except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
                job.fail(error)
            if job.error is not None:
                self._judge(job, job.error)
        deliver(jobs)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _judge(self, job: Job[Any], error: BaseException) -> None:
        """A database that fails is not the function's fault; a function that writes where it may not is."""
        if _state(error) == _READ_ONLY:
            job.fail(RuntimeError(f"a read may not change anything: {error}"))
        elif (failure := outage(error)) is not None:
            job.fail(failure)
            self.close()

    def _run(self, job: Job[Any]) -> None:
        for _ in range(TRIES):
            try:
                self._try(job)
            except DBAPIError as error:  # by the commit
                job.fail(error)
            if job.error is None or _state(job.error) not in _LOST_TO_ANOTHER:
                return

    def _try(self, job: Job[Any]) -> None:
        connection = self._opened()
        with connection.begin() as transaction:
            kept = time.latest(connection)
            now = self._time.now(kept)
            woken: set[str] | None = None if self._wake is None else set()
            if not job.run(Tx(connection, now, woken)):
                transaction.rollback()
                return
            for scope in woken or ():
                connection.execute(_NOTIFY, {"channel": _CHANNEL, "scope": scope})
            _commit(transaction)
        if self._wake is not None and woken is not None:
            self._wake.fire(woken)
            _keep(connection, kept, now)

    def _opened(self) -> Connection:
        if self._connection is None:
            connection = self._connect()
            if self._wake is None:
                connection = connection.execution_options(postgresql_readonly=True)
            self._connection = connection
        return self._connection


def _commit(transaction: RootTransaction) -> None:
    failpoint("store.before_commit")
    try:
        transaction.commit()
    except DBAPIError as error:
        if _state(error) in _LOST_TO_ANOTHER or not _is_outage(error):
            raise
        raise Unavailable(
            "The connection to the database was lost during a commit, so it is not known whether the change was made."
            " Look before you try again."
        ) from error
    failpoint("store.after_commit")


def _keep(connection: Connection, kept: datetime, now: datetime) -> None:
    """Keep the latest moment, if that was not done a moment ago."""
    if now - kept < _KEEP_EVERY:
        return
    # The function's own transaction is committed: what fails here (mostly because another keeps a moment at
    # the same time) must not run it again. A lost connection is found by the next function.
    with contextlib.suppress(DBAPIError), connection.begin():
        time.keep(connection, now)


class Listener:
    """Hears what other jitgate processes wake, and passes it on. A wake missed while cut off costs only time."""

    def __init__(self, engine: Engine, wake: Wake) -> None:
        self._engine = engine
        self._wake = wake
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="jitgate-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text(f"LISTEN {_CHANNEL}"))
                    self._pass_on(connection.connection.driver_connection)
            except Exception as error:  # the driver's own, which is not imported here
                if not _is_outage(error):
                    raise
                self._closed.wait(_RECONNECT_SECONDS)

    def _pass_on(self, driver_connection: Any) -> None:
        while not self._closed.is_set():
            self._wake.fire(
                {notification.payload for notification in driver_connection.notifies(timeout=0.5, stop_after=1)}
            )


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _state(error: BaseException) -> str | None:
    state: str | None = getattr(_cause(error), "sqlstate", None)
    return state


def _is_outage(error: BaseException) -> bool:
    """Whether it is one of the driver's OperationalErrors: connection lost, shutdown, disk full, too many clients."""
    return any(kind.__name__ == "OperationalError" for kind in type(_cause(error)).__mro__)
