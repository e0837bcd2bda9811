"""What the two doors, `read` and `write`, promise."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from jitgate.clock import ManualClock
from jitgate.core.errors import Conflict, Invalid, Unavailable
from jitgate.store import principals, writer
from jitgate.store.database import Store, Tx
from jitgate.store.schema import principal


@pytest.fixture
def kind() -> str:
    """SQLite. What is about PostgreSQL alone is in test_postgresql.py."""
    return "sqlite"


def names(tx: Tx) -> list[str]:
    return [account.name for account in principals.list_all(tx)]


async def test_what_a_write_returned_is_there_for_the_next_read(store: Store) -> None:
    account = await store.write(lambda tx: principals.add(tx, "1", "ann"))
    assert account.name == "ann"
    assert await store.read(names) == ["ann"]


async def test_a_write_that_raises_leaves_nothing_and_its_caller_gets_the_exception(store: Store) -> None:
    def work(tx: Tx) -> None:
        principals.add(tx, "1", "ann")
        raise Conflict("somebody was faster")

    with pytest.raises(Conflict, match="somebody was faster"):
        await store.write(work)
    assert await store.read(names) == []


async def test_what_is_to_be_done_after_a_commit_is_done_then_and_only_then(store: Store) -> None:
    seen: list[list[str]] = []

    def work(tx: Tx, name: str, fails: bool) -> None:
        principals.add(tx, name, name)
        tx.afterwards(lambda: seen.append(store.read_now(names)))
        if fails:
            raise Conflict("no")

    await store.write(partial(work, name="ann", fails=False))
    with pytest.raises(Conflict):
        await store.write(partial(work, name="bob", fails=True))
    assert seen == [["ann"]]
    with pytest.raises(RuntimeError, match="use write"):
        await store.read(lambda tx: tx.afterwards(list))


async def test_a_write_that_raises_undoes_itself_and_nothing_of_its_neighbours_in_the_same_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(tx: Tx, number: int) -> None:
        principals.add(tx, str(number), f"p{number}")
        tx.wake(f"scope {number}")
        if number % 2:
            raise Conflict(f"not {number}")

    commits = count_commits(monkeypatch)
    found = await written_together(store, *(partial(write, number=number) for number in range(6)))
    assert [str(outcome) for outcome in found] == ["None", "not 1", "None", "not 3", "None", "not 5"]
    assert await store.read(names) == ["p0", "p2", "p4"]
    assert await store.woken.wait(60) == {"scope 0", "scope 2", "scope 4"}
    assert commits.count("store.before_commit") == 1


async def test_writes_that_wait_together_share_one_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = count_commits(monkeypatch)
    async with gathered(store):
        tasks = [asyncio.create_task(store.write(partial(principals.add, uid=str(n), name=str(n)))) for n in range(100)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert commits.count("store.before_commit") == 2  # 64 and 36
    assert len(await store.read(names)) == 100


async def test_nobody_hears_of_a_write_before_its_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "store.before_commit":
            reached.set()
            go_on.wait(60)

    monkeypatch.setattr(writer, "failpoint", hold)
    task = asyncio.create_task(store.write(lambda tx: principals.add(tx, "1", "ann")))
    await asyncio.to_thread(reached.wait, 60)
    assert not task.done()
    assert await store.read(names) == []
    go_on.set()
    await task
    assert await store.read(names) == ["ann"]


async def test_a_commit_that_fails_fails_every_write_of_its_group_and_the_next_works(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        if name == "store.before_commit":
            raise disk_full()

    monkeypatch.setattr(writer, "failpoint", fail)
    outcomes = await written_together(store, *(partial(principals.add, uid=str(n), name=str(n)) for n in range(5)))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    assert "disk is full" in str(outcomes[0])
    monkeypatch.undo()
    await store.write(lambda tx: principals.add(tx, "1", "ann"))
    assert await store.read(names) == ["ann"]


async def test_a_read_sees_one_moment_however_long_it_takes(store: Store) -> None:
    started, written = threading.Event(), threading.Event()

    def count_twice(tx: Tx) -> tuple[int, int]:
        before = len(names(tx))
        started.set()
        written.wait(60)
        return before, len(names(tx))

    task = asyncio.create_task(store.read(count_twice))
    await asyncio.to_thread(started.wait, 10)
    await store.write(lambda tx: principals.add(tx, "1", "ann"))
    written.set()
    assert await task == (0, 0)


async def test_a_read_cannot_change_anything(store: Store) -> None:
    with pytest.raises(RuntimeError, match="a read may not change anything"):
        await store.read(lambda tx: principals.add(tx, "1", "ann"))
    with pytest.raises(RuntimeError, match="use write"):
        await store.read(lambda tx: tx.wake("host/one"))
    assert await store.read(names) == []


async def test_a_transaction_is_of_no_use_outside_its_function(store: Store) -> None:
    for door in (store.read, store.write):
        kept: Tx = await door(lambda tx: tx)
        with pytest.raises(RuntimeError, match="the transaction is over"):
            kept.execute(select(principal))


async def test_a_caller_that_goes_away_disturbs_nobody(store: Store) -> None:
    async with gathered(store):
        tasks = [asyncio.create_task(store.write(partial(principals.add, uid=str(n), name=str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert {"0", "2"} <= set(await store.read(names))


async def test_a_function_that_lets_stop_iteration_out_still_answers(store: Store) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.write(lambda tx: next(iter([])))
    assert await store.read(names) == []


async def test_a_transaction_that_sqlite_has_rolled_back_by_itself_commits_nothing_of_its_group(store: Store) -> None:
    def add(tx: Tx, number: int) -> None:
        principals.add(tx, str(number), str(number))
        if number == 1:
            tx.execute(text("ROLLBACK"))

    outcomes = await written_together(store, *(partial(add, number=number) for number in range(3)))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    await store.write(lambda tx: principals.add(tx, "3", "after"))
    assert await store.read(names) == ["after"]


async def test_a_read_whose_transaction_is_gone_says_why_and_the_next_works(store: Store) -> None:
    def lose(tx: Tx) -> None:
        tx.execute(text("ROLLBACK"))
        raise Conflict("this is why")

    with pytest.raises(Conflict, match="this is why"):
        await store.read(lose)
    assert await store.read(names) == []


def test_a_worker_that_fails_answers_its_callers_and_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object, _jobs: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(writer.Writer, "work", fail)
    with pytest.raises(ValueError, match="a bug"):
        store.write_now(names)
    monkeypatch.undo()
    store.write_now(lambda tx: principals.add(tx, "1", "ann"))
    assert store.read_now(names) == ["ann"]


def test_code_without_an_event_loop_has_the_same_two_doors(store: Store) -> None:
    store.write_now(lambda tx: principals.add(tx, "1", "ann"))
    assert store.read_now(names) == ["ann"]
    with pytest.raises(IntegrityError):
        store.write_now(lambda tx: principals.add(tx, "2", "ANN"))


def test_many_threads_and_loops_may_write_at_once(store: Store) -> None:
    def loop(first: int) -> None:
        async def work() -> None:
            await asyncio.gather(
                *(store.write(partial(principals.add, uid=str(n), name=str(n))) for n in range(first, first + 50))
            )

        asyncio.run(work())

    threads = [threading.Thread(target=loop, args=(first,)) for first in (0, 50, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read_now(lambda tx: tx.execute(select(func.count()).select_from(principal)).scalar()) == 150


async def test_what_was_asked_for_before_the_close_is_done_and_later_calls_are_refused(
    url: str, clock: ManualClock
) -> None:
    store = Store.open(url, clock)
    async with gathered(store):
        asked = asyncio.create_task(store.write(lambda tx: principals.add(tx, "1", "ann")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(store.close))
        await asyncio.sleep(0.2)  # until the close has queued up behind the write
    await asked
    await closing
    with pytest.raises(Unavailable, match="store is closed"):
        await store.read(names)
    again = Store.open(url, clock)
    assert await again.read(names) == ["ann"]
    again.close()


def test_a_closed_store_leaves_one_file_that_only_its_owner_reads(url: str, tmp_path: Path, clock: ManualClock) -> None:
    store = Store.open(url, clock)
    store.write_now(lambda tx: principals.add(tx, "1", "ann"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["jitgate.db"]


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)], ids=["WAL", "FULL", "keys"]
)
def test_what_was_acknowledged_survives_a_power_cut(store: Store, name: str, value: object) -> None:
    assert store.write_now(lambda tx: tx.execute(text(f"PRAGMA {name}")).scalar()) == value


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "jitgate.db"])
def test_a_url_that_no_database_can_be_kept_at_is_refused(url: str, clock: ManualClock) -> None:
    with pytest.raises(Invalid, match="sqlite:////"):
        Store.open(url, clock)


def test_a_file_that_is_no_database_or_is_out_of_reach_is_named_as_such(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at as one" * 10)
    with pytest.raises(Unavailable, match="not a database"):
        Store.open(f"sqlite:///{tmp_path}/text.db", clock)
    with pytest.raises(Unavailable, match="No such file or directory"):
        Store.open(f"sqlite:///{tmp_path}/missing/jitgate.db", clock)


def disk_full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def count_commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reached: list[str] = []
    monkeypatch.setattr(writer, "failpoint", reached.append)
    return reached


class gathered:  # noqa: N801 - reads as a statement
    """Holds the writer, so that what is asked for inside waits together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held, self._go_on = threading.Event(), threading.Event()

    async def __aenter__(self) -> None:
        def hold(_tx: Tx) -> None:
            self._held.set()
            self._go_on.wait(60)
            raise Conflict("nothing to commit")

        self._task = asyncio.create_task(self._store.write(hold))
        await asyncio.to_thread(self._held.wait, 10)

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()
        with pytest.raises(Conflict):
            await self._task


async def written_together(store: Store, *work: Callable[[Tx], object]) -> list[object]:
    """What comes of functions that share a transaction: of each what it returns, or what it raises."""
    async with gathered(store):
        asked = [asyncio.create_task(store.write(each)) for each in work]
        await asyncio.sleep(0)
    found: list[object] = await asyncio.gather(*asked, return_exceptions=True)
    return found
