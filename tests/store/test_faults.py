"""What is lost when things go wrong: nothing that was acknowledged, and nothing by halves."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from jitgate.clock import ManualClock, SystemClock
from jitgate.core.errors import Unavailable
from jitgate.store import principals, sqlite
from jitgate.store.database import Store, Tx


@pytest.fixture
def kind() -> str:
    """SQLite. Files and disks."""
    return "sqlite"


PROGRAM = """
import sys, threading
from jitgate.clock import SystemClock
from jitgate.store import principals
from jitgate.store.database import Store

store = Store.open(sys.argv[1], SystemClock())
said = threading.Lock()

def two(uid):
    def work(tx):
        principals.add(tx, uid, uid)
        principals.add(tx, uid + "b", uid + "b")
    store.write_now(work)
    with said:
        print(uid, flush=True)

def write(thread):
    for n in range(100_000):
        two(f"{thread}-{n}")

for thread in range(int(sys.argv[2])):
    threading.Thread(target=write, args=(thread,)).start()
"""


def names(tx: Tx) -> set[str]:
    return {account.name for account in principals.list_all(tx)}


def add_two(tx: Tx, name: str) -> None:
    """Two rows, large enough to matter to a small disk."""
    for half in ("", "b"):
        principals.add(tx, name + half, (name + half).ljust(2000, "."))


def add_until_refused(store: Store) -> tuple[list[str], Unavailable]:
    """What was written, and why the next was not."""
    written: list[str] = []
    while True:
        try:
            store.write_now(partial(add_two, name=str(len(written))))
        except Unavailable as refusal:
            return written, refusal
        written.append(str(len(written)))


def start(url: str, threads: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(threads)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def test_after_kill_9_every_acknowledged_write_is_there_and_none_by_halves(url: str) -> None:
    with start(url, threads=8) as process:
        assert process.stdout is not None
        acknowledged = {process.stdout.readline().strip() for _ in range(500)}
        process.send_signal(signal.SIGKILL)
        acknowledged |= {line.strip() for line in process.stdout if line.endswith("\n")}
    assert len(acknowledged) >= 500
    store = Store.open(url, SystemClock())
    kept = store.read_now(names)
    assert acknowledged <= kept
    whole = {name for name in kept if not name.endswith("b")}
    assert kept == whole | {name + "b" for name in whole}
    store.write_now(lambda tx: principals.add(tx, "after", "after"))
    store.close()


@pytest.mark.parametrize(("failpoint", "kept"), [("store.before_commit", 2), ("store.after_commit", 3)])
def test_a_crash_beside_a_commit_keeps_what_was_committed(url: str, failpoint: str, kept: int) -> None:
    with start(url, threads=1, JITGATE_FAILPOINT=f"{failpoint}:3") as process:
        assert process.stdout is not None
        acknowledged = {line.strip() for line in process.stdout}
    assert process.returncode == -signal.SIGKILL
    assert acknowledged == {"0-0", "0-1"}
    store = Store.open(url, SystemClock())
    assert store.read_now(names) == {f"0-{n}{half}" for n in range(kept) for half in ("", "b")}
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.needs_root
def test_a_full_disk_loses_nothing_and_heals_when_there_is_space_again(small_disk: Path, clock: ManualClock) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = Store.open(f"sqlite:///{small_disk}/jitgate.db", clock)
    written, refusal = add_until_refused(store)
    assert written
    assert "the disk is full; free some space and try again" in str(refusal)
    expected = {(name + half).ljust(2000, ".") for name in written for half in ("", "b")}
    assert store.read_now(names) == expected
    ballast.unlink()
    store.write_now(lambda tx: add_two(tx, "after"))
    assert len(store.read_now(names)) == len(expected) + 2
    store.close()


@pytest.mark.needs_root
def test_a_full_disk_fails_every_write_that_shared_the_commit(small_disk: Path, clock: ManualClock) -> None:
    store = Store.open(f"sqlite:///{small_disk}/jitgate.db", clock)
    fill(small_disk / "ballast")
    failed: list[str] = []

    def write(number: int) -> None:
        for n in range(200):
            name = f"{number}-{n}"
            try:
                store.write_now(partial(add_two, name=name))
            except Unavailable:
                failed.append(name)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed
    kept = {name.rstrip(".") for name in store.read_now(names)}
    all_of_them = {f"{number}-{n}{half}" for number in range(4) for n in range(200) for half in ("", "b")}
    assert kept == all_of_them - {name + half for name in failed for half in ("", "b")}
    store.close()


def test_a_database_that_outgrows_its_limit_refuses_whole_writes_only(store: Store) -> None:
    """The same as a full disk, met by a statement instead of the commit."""
    pages = store.write_now(lambda tx: tx.execute(text("PRAGMA page_count")).scalar_one())
    store.write_now(lambda tx: tx.execute(text(f"PRAGMA max_page_count = {pages + 8}")).scalar())
    written, refusal = add_until_refused(store)
    assert "the disk is full" in str(refusal)
    assert len(store.read_now(names)) == 2 * len(written)
    store.write_now(lambda tx: add_two(tx, "after"))  # over a new connection, which has no limit


@pytest.fixture
def holder(url: str, store: Store) -> Iterator["Holder"]:
    held = Holder(url)
    yield held
    held.let_go()


class Holder:
    """Another program that holds the database."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"check_same_thread": False})
        self._connection = self._engine.connect()

    def take(self) -> None:
        self._connection.exec_driver_sql("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self._connection.close()
        self._engine.dispose()


def test_a_write_waits_for_another_program_that_holds_the_database_for_a_moment(store: Store, holder: Holder) -> None:
    holder.take()
    timer = threading.Timer(0.2, holder.let_go)
    timer.start()
    store.write_now(lambda tx: principals.add(tx, "1", "ann"))
    assert store.read_now(names) == {"ann"}
    timer.join()


def test_a_database_that_stays_locked_is_unavailable_for_writes_and_heals(
    url: str, clock: ManualClock, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    store = Store.open(url, clock)
    holder.take()
    with pytest.raises(Unavailable, match="locked by another process"):
        store.write_now(lambda tx: principals.add(tx, "1", "ann"))
    assert store.read_now(names) == set()
    holder.let_go()
    store.write_now(lambda tx: principals.add(tx, "1", "ann"))
    assert store.read_now(names) == {"ann"}
    store.close()


def fill(ballast: Path) -> None:
    """Leave a few pages of a disk, and no more."""
    with ballast.open("wb") as file:
        free = os.statvfs(ballast).f_bavail * os.statvfs(ballast).f_frsize
        file.write(bytes(max(0, free - 400_000)))
