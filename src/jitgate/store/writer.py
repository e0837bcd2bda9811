"""The one writer of an SQLite database: many writes in one commit, each with a savepoint of its own.

A commit waits for the disk; sharing it is what makes many callers fast. Nobody hears of an outcome before
the commit that holds it.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from jitgate.core.errors import Unavailable
from jitgate.failpoints import failpoint
from jitgate.store import time
from jitgate.store.jobs import Job, deliver
from jitgate.store.prepared import AtOnce
from jitgate.store.sqlite import control, in_transaction, outage
from jitgate.store.time import StoreTime
from jitgate.store.transaction import Consequences, Tx
from jitgate.store.wake import Wake

MOST_WRITES = 64
"""How many writes share a commit."""


class Writer:
    """Runs functions one after the other, and commits them together."""

    group = MOST_WRITES

    def __init__(
        self, connect: Callable[[], Connection], store_time: StoreTime, wake: Wake, ran: threading.Event
    ) -> None:
        """`ran` is set when the functions of a group have run, and only the disk is waited for."""
        self._connect = connect
        self._time = store_time
        self._wake = wake
        self._ran = ran
        self._connection: Connection | None = None
        self._pace = time.Pace(store_time)

    def work(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            done = self._commit(jobs)
            self._wake.fire(done.woken)
            done.come()
        except Exception as error:  # noqa: BLE001 - every caller of the group gets it
            self._fail(jobs, error)
        self._ran.set()
        deliver(jobs)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, jobs: Sequence[Job[Any]]) -> Consequences:
        """Run all, commit what came to its end; what comes of it."""
        connection = self._opened()
        control(connection, "BEGIN IMMEDIATE")
        way = AtOnce(connection)
        now = time.latest(way)
        consequences = Consequences()
        for job in jobs:
            now = self._time.now(now)
            consequences.add(_run(connection, way, job, now))
        if all(job.error is not None for job in jobs):
            control(connection, "ROLLBACK")
            return Consequences()
        time.keep(connection, now)
        self._pace.keep(connection)
        self._ran.set()
        failpoint("store.before_commit")
        control(connection, "COMMIT")
        failpoint("store.after_commit")
        return consequences

    def _fail(self, jobs: Sequence[Job[Any]], error: Exception) -> None:
        """Nothing of the group was committed. A new connection begins afresh, whatever state this one is in."""
        for job in jobs:
            job.fail(outage(error) or error)
        self._pace.forget()
        self.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection


def _run(connection: Connection, way: AtOnce, job: Job[Any], now: datetime) -> Consequences:
    """Run one function on a savepoint; what comes of it. Raises Unavailable if the database has failed."""
    consequences = Consequences()
    control(connection, "SAVEPOINT job")
    succeeded = job.run(Tx(way, lambda: now, consequences))
    _check(connection, job)
    if not succeeded:
        control(connection, "ROLLBACK TO job")
        way.forget()
    control(connection, "RELEASE job")
    return consequences if succeeded else Consequences()


def _check(connection: Connection, job: Job[Any]) -> None:
    """Where SQLite has rolled the whole transaction back by itself, what follows would be committed alone."""
    failure = None if job.error is None else outage(job.error)
    if failure is not None:
        raise failure
    if not in_transaction(connection):
        raise Unavailable("The database has dropped a transaction, and nothing was changed: try again.")
