"""PostgreSQL: any number of jitgate processes on one database, with a writer each.

Writes are serialisable, because then a function sees what it would see with one writer, as in SQLite. What loses
against another process is run again, alone; functions have no effect but through their transaction. Functions of one
process never lose against each other: they share a transaction, and so a commit, with a savepoint each. Reads have a
snapshot, which is never in a writer's way.
"""

import random
import selectors
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from jitgate import metrics
from jitgate.core.errors import Invalid, Unavailable
from jitgate.failpoints import failpoint
from jitgate.store import time
from jitgate.store.jobs import Job, deliver
from jitgate.store.pipeline import Pipeline
from jitgate.store.time import StoreTime
from jitgate.store.transaction import Consequences, Tx
from jitgate.store.wake import Wake

TRIES = 12
"""How often a transaction is tried before its callers are told that others are in the way."""

_PAUSES = tuple(min(0.001 * 2**tried, 0.25) for tried in range(TRIES))
"""Seconds to wait at most before each other try; a bit of it, so that two do not meet again."""

MOST_WRITES = 32
"""How many writes share a transaction. From 64 subtransactions on, PostgreSQL looks for them on disk."""

CONNECT_SECONDS = 10

_KEEP_EVERY = timedelta(seconds=1)
"""The latest moment is kept this often: each time would make all transactions wait for one row."""

_CHANNEL = "jitgate_wake"
_RECONNECT_SECONDS = 1.0
_LOST_TO_ANOTHER = {"40001", "40P01", "55P03"}  # serialization_failure, deadlock_detected, lock_not_available
# feature_not_supported: "cached plan must not change result type", once, where a newer jitgate has changed a table.
_PLAN_IS_OLD = "0A000"
_READ_ONLY = "25006"  # read_only_sql_transaction
_STOOD_STILL = "25P03"  # idle_in_transaction_session_timeout
# A lock does not fix what a transaction sees, so one that waits for it sees what those before it have done
# (postgresql.org, LOCK). Reading goes on meanwhile.
_BESIDE_OTHERS = ("LOCK TABLE meta IN ROW EXCLUSIVE MODE",)
_ALONE = ("SET LOCAL lock_timeout = '2s'", "LOCK TABLE meta IN EXCLUSIVE MODE")
# A process that stands still in the middle of a transaction would keep its locks from all others for ever.
_END_IF_IT_STANDS_STILL = "SET idle_in_transaction_session_timeout = '10s'"
_NOTIFY = "SELECT count(pg_notify(%(channel)s, scope)) FROM unnest(CAST(%(scopes)s AS TEXT[])) AS scope"


def engine(url: URL) -> Engine:
    """An engine whose transactions are serialisable unless told otherwise. Each worker keeps its own connection.

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


class _Session(ABC):
    """A connection that is made when it is needed, and given up when it is lost."""

    def __init__(self, connect: Callable[[], Connection], store_time: StoreTime) -> None:
        self._connect = connect
        self._time = store_time
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _undo(self) -> None:
        """Have the connection ready for another transaction: after a failed commit it still holds the old one."""
        try:
            if self._connection is not None:
                self._connection.rollback()
        except Exception:  # noqa: BLE001 - it is lost; another is made when it is needed
            self.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._set_up(self._connect())
        return self._connection

    @abstractmethod
    def _set_up(self, connection: Connection) -> Connection:
        """The connection, with what holds for all its transactions."""


class Reader(_Session):
    """Runs functions on a snapshot each, in transactions that cannot write."""

    group = 1

    def work(self, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            self._try(job)
            if job.error is not None and _state(job.error) == _PLAN_IS_OLD:
                self._try(job)
            if job.error is not None:
                self._judge(job, job.error)
        deliver(jobs)

    def _try(self, job: Job[Any]) -> None:
        try:
            self._read(job)
        except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
            job.fail(error)

    def _read(self, job: Job[Any]) -> None:
        connection = self._opened()
        # Committed, though nothing was written: at a rollback psycopg forgets all statements that it has prepared. It
        # has to, only where the database refused one.
        with connection.begin() as transaction, Pipeline(connection) as way:
            # Asked with the first statement of the function: that is when the snapshot is taken, and `now` is after it.
            latest = time.ask_latest(way)
            job.run(Tx(way, lambda: self._time.now(latest())))
            way.leave()
            if _has_refused(connection):
                transaction.rollback()

    def _judge(self, job: Job[Any], error: BaseException) -> None:
        """A database that fails is not the function's fault; a function that writes here is."""
        if _state(error) == _READ_ONLY:
            job.fail(RuntimeError(f"a read may not change anything: {error}"))
        elif (failure := outage(error)) is not None:
            job.fail(failure)
            self.close()

    def _set_up(self, connection: Connection) -> Connection:
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


class Writer(_Session):
    """Runs functions one after the other, and commits them together."""

    group = MOST_WRITES

    def __init__(self, connect: Callable[[], Connection], store_time: StoreTime, wake: Wake) -> None:
        """`wake`: whom to tell of woken scopes. `process_id`: PostgreSQL's, of the process that serves this one."""
        super().__init__(connect, store_time)
        self.process_id: int | None = None
        self._wake = wake
        self._pace = time.Pace(store_time)

    def work(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            self._commit_together(jobs)
        except Exception as error:  # noqa: BLE001 - every caller of the group gets it
            for job in jobs:
                job.fail(outage(error) or error)
            self.close()
        deliver(jobs)

    def _set_up(self, connection: Connection) -> Connection:
        connection.exec_driver_sql(_END_IF_IT_STANDS_STILL)
        connection.commit()
        self.process_id = _driver(connection).info.backend_pid
        return connection

    def _commit_together(self, jobs: Sequence[Job[Any]]) -> None:
        """Run all and commit them, once nobody else is in the way."""
        locks: Sequence[str] = _BESIDE_OTHERS
        for pause in _PAUSES:
            try:
                self._try(jobs, locks)
                return
            except Exception as error:  # by the commit, or by a prepared statement: the driver's own
                self._undo()
                if _state(error) not in {*_LOST_TO_ANOTHER, _PLAN_IS_OLD}:
                    raise
                metrics.DATABASE_RETRIES.inc()
                lost, locks = error, _ALONE
            sleep(random.uniform(0, pause))  # noqa: S311 - not for a secret
        raise lost

    def _try(self, jobs: Sequence[Job[Any]], locks: Sequence[str]) -> None:
        connection = self._opened()
        with connection.begin() as transaction, Pipeline(connection) as way:
            for lock in locks:
                way.command(lock)
            kept = now = time.latest(way)
            consequences = Consequences()
            for job in jobs:
                now = self._time.now(now)
                consequences.add(_run(connection, way, job, now, alone=len(jobs) == 1))
            if all(job.error is not None for job in jobs):
                if not _has_refused(connection):
                    _go_back(connection, "ROLLBACK")
                transaction.rollback()
                return
            if consequences.woken:
                way.command(_NOTIFY, {"channel": _CHANNEL, "scopes": sorted(consequences.woken)})
            way.flush()
            way.leave()
            _commit(transaction)
        self._wake.fire(consequences.woken)
        consequences.come()
        self._keep(connection, kept, now)

    def _keep(self, connection: Connection, kept: datetime, now: datetime) -> None:
        """Keep the latest moment, if that was not done a moment ago."""
        if now - kept < _KEEP_EVERY:
            return
        # The functions' own transaction is committed: what fails here (mostly because another keeps a moment at
        # the same time) must not run them again. A lost connection is found by the next function.
        try:
            with connection.begin():
                time.keep(connection, now)
                self._pace.keep(connection)
        except Exception as error:  # the driver's own, which is not imported here
            if _state(error) not in _LOST_TO_ANOTHER and not _is_outage(error):
                raise
            self._pace.forget()
            self._undo()


def _run(connection: Connection, way: Pipeline, job: Job[Any], now: datetime, *, alone: bool) -> Consequences:
    """Run one function; what comes of it. `alone`: no others share its transaction, so it needs no savepoint.

    Raises what ends the whole transaction.
    """
    if not alone:
        way.command("SAVEPOINT job")
    consequences = Consequences()
    succeeded = job.run(Tx(way, lambda: now, consequences))
    if job.error is not None and (outage(job.error) is not None or _state(job.error) == _PLAN_IS_OLD):
        raise job.error
    if succeeded and _has_refused(connection):
        succeeded = False
        job.fail(RuntimeError("the function went on although the database had refused a statement of it"))
    if not succeeded:
        consequences = Consequences()
        way.drop()
    if not alone:
        if not succeeded:
            _undo_job(connection)
        way.command("RELEASE job")
    return consequences


def _undo_job(connection: Connection) -> None:
    """Go back to where a function began."""
    has_refused = _has_refused(connection)
    _go_back(connection, "ROLLBACK TO job")
    if has_refused:
        # Some of what psycopg was about to prepare may not have been: it has to forget it all, as after its own.
        with _driver(connection).transaction(force_rollback=True):
            pass


def _has_refused(connection: Connection) -> bool:
    """Whether the database has refused something, and runs nothing more before that is undone."""
    return bool(_driver(connection).info.transaction_status.name == "INERROR")


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


class Listener:
    """Hears what other jitgate processes wake, and passes it on. A wake missed while cut off costs only time."""

    def __init__(self, engine: Engine, wake: Wake, writer: Writer) -> None:
        """`writer`: of this process. Whoever it wakes is awake already, and would only look once more for nothing."""
        self._engine = engine
        self._wake = wake
        self._writer = writer
        self._closed = threading.Event()
        self._bell, self._rung = socket.socketpair()
        self._thread = threading.Thread(target=self._listen, name="jitgate-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._bell.close()  # which the other end hears
        self._thread.join()
        self._rung.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text(f"LISTEN {_CHANNEL}"))
                    self._pass_on(_driver(connection))
            except Exception as error:  # the driver's own, which is not imported here
                if not _is_outage(error):
                    raise
                self._closed.wait(_RECONNECT_SECONDS)

    def _pass_on(self, driver_connection: Any) -> None:
        with selectors.DefaultSelector() as either:
            either.register(driver_connection, selectors.EVENT_READ)
            either.register(self._rung, selectors.EVENT_READ)
            while not self._closed.is_set():
                heard = driver_connection.notifies(timeout=0)
                self._wake.fire({each.payload for each in heard if each.pid != self._writer.process_id})
                either.select()


def _go_back(connection: Connection, command: str) -> None:
    """Roll back past psycopg, which would forget all that it has prepared. If this fails, so does what follows."""
    _driver(connection).pgconn.exec_(command.encode())


def _driver(connection: Connection) -> Any:
    """psycopg's own connection."""
    return connection.connection.driver_connection


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _state(error: BaseException) -> str | None:
    state: str | None = getattr(_cause(error), "sqlstate", None)
    return state


def _is_outage(error: BaseException) -> bool:
    """Whether it is one of the driver's OperationalErrors: connection lost, shutdown, disk full, too many clients; or
    the transaction stood still for too long."""
    kinds = {kind.__name__ for kind in type(_cause(error)).__mro__}
    return "OperationalError" in kinds or _state(error) == _STOOD_STILL
