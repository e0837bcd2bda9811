"""A real PostgreSQL, which the tests start and stop by themselves, in a directory of its own."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from jitgate.clock import ManualClock
from jitgate.store.database import Store

_PLACES = "/usr/lib/postgresql/*/bin"
_SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=400", "listen_addresses=")


class Cluster:
    """One server, reached by a socket in its own directory. As root it runs as the user postgres, who alone may."""

    def __init__(self, settings: tuple[str, ...] = _SETTINGS, where: str | None = None) -> None:
        """`where`: a directory to make its own in; None: memory where there is some, for hundreds of databases are made
        and none outlives its test."""
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = Path(tempfile.mkdtemp(prefix="jg-pg-", dir=where or memory))
        self._settings = settings
        self._binaries = _binaries()
        self._numbers = count(1)
        # A server that has given up root's rights has to reach the socket.
        self.directory.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        # Ordered by a language, as most are that people run: "b" stands before "B", and "_" before "a".
        order = ("--locale=C", "--locale-provider=icu", "--icu-locale=de-DE")
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", *order)
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = " ".join(f"-c {setting}" for setting in self._settings)
        said = f"-k {self.directory} -h '' {options}"
        self._run("pg_ctl", "-w", "-s", "-l", str(self.directory / "log"), "-o", said, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it. `immediate`: as a power cut would."""
        self._run("pg_ctl", "-w", "-s", "-m", how, "stop")

    def ensure(self) -> None:
        """Start it unless it runs: a full disk may have ended it."""
        if not self._runs():
            self.start()

    def close(self) -> None:
        """Stop it for good, and remove what it kept."""
        if self._runs():
            self.stop()
        shutil.rmtree(self.directory)

    def _runs(self) -> bool:
        try:
            pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)
        except (OSError, IndexError):
            return False
        return True

    def pause(self, paused: bool = True) -> None:
        """Have its main process stand still, and go on."""
        pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGSTOP if paused else signal.SIGCONT)

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.directory}"

    def create(self, template: str = "template1") -> str:
        """A database of its own, made like another; its name."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._say(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self._say(f"DROP DATABASE {name} WITH (FORCE)")

    @cache  # noqa: B019 - as long-lived as the process
    def migrated(self) -> str:
        """The name of a database that was brought up to date, to be made others like."""
        name = self.create()
        Store.open(self.url(name), ManualClock()).close()
        return name

    def _say(self, statement: str) -> None:
        execute(self.url("postgres"), statement)

    def _run(self, program: str, *arguments: str) -> None:
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if not os.geteuid() else []
        command = [*as_postgres, str(self._binaries / program), "-D", str(self.directory / "data"), *arguments]
        done = subprocess.run(
            command, cwd="/", check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout


@cache
def cluster() -> Cluster:
    """The one that all tests of this process share; it ends with it."""
    made = Cluster()
    atexit.register(made.close)
    return made


@contextmanager
def database() -> Iterator[str]:
    """The URL of a database that was brought up to date; it is gone afterwards."""
    shared = cluster()
    name = shared.create(shared.migrated())
    try:
        yield shared.url(name)
    finally:
        shared.drop(name)


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a database, past jitgate; the rows that it yields."""
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(driver, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        found = connection.execute(text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


def _binaries() -> Path:
    found = sorted(Path("/").glob(_PLACES.removeprefix("/")))
    assert found, f"PostgreSQL is not installed: nothing is at {_PLACES}. `make setup` installs it, as root with apt"
    return found[-1]
