"""The event loop and the writer take turns, and nobody waits for long."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from tests.stalls import Stalls

from jitgate.core.errors import Unavailable
from jitgate.store import principals, turns, writer
from jitgate.store.database import Store, Tx


@pytest.fixture
def kind() -> str:
    """SQLite. A server's database has a writer of its own for each."""
    return "sqlite"


FAR_LONGER = 50 * turns.PATIENCE


def add(tx: Tx, name: str) -> None:
    principals.add(tx, name, name)


def names(tx: Tx) -> list[str]:
    return [account.name for account in principals.list_all(tx)]


def at_commit(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    monkeypatch.setattr(writer, "failpoint", lambda name: do() if name == "store.before_commit" else None)


async def test_what_one_turn_of_the_loop_asks_for_shares_one_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[None] = []
    at_commit(monkeypatch, lambda: commits.append(None))
    await asyncio.gather(*(store.write(partial(add, name=f"p{number}")) for number in range(10)))
    assert len(commits) == 1


async def test_what_is_asked_for_during_a_commit_is_the_next_group(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[None] = []
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        commits.append(None)
        reached.set()
        go_on.wait(60)

    at_commit(monkeypatch, hold)
    first = asyncio.create_task(store.write(partial(add, name="first")))
    await asyncio.to_thread(reached.wait, 60)
    others = [asyncio.create_task(store.write(partial(add, name=f"p{number}"))) for number in range(10)]
    await asyncio.sleep(0.05)
    assert len(commits) == 1
    go_on.set()
    await asyncio.gather(first, *others)
    assert len(commits) == 2


async def test_the_loop_goes_on_while_a_commit_waits_for_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    at_commit(monkeypatch, lambda: go_on.wait(60))
    writing = asyncio.create_task(store.write(partial(add, name="ann")))
    with Stalls() as stalls:
        began = time.monotonic()
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        assert time.monotonic() - began < FAR_LONGER + stalls.seconds
    assert not writing.done()
    go_on.set()
    await writing


async def test_the_loop_does_not_wait_for_a_function_that_takes_long(store: Store) -> None:
    go_on = threading.Event()
    writing = asyncio.create_task(store.write(lambda _: go_on.wait(60)))
    with Stalls() as stalls:
        began = time.monotonic()
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        assert time.monotonic() - began < FAR_LONGER + stalls.seconds
    go_on.set()
    await writing


async def test_a_caller_that_goes_away_before_its_turn_has_ended_holds_up_nobody(store: Store) -> None:
    gone = asyncio.create_task(store.write(partial(add, name="gone")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    for name in ("ann", "bob"):
        async with asyncio.timeout(60):
            await store.write(partial(add, name=name))
    assert {"ann", "bob"} <= set(await store.read(names))


async def test_a_write_that_fails_holds_up_nobody(store: Store) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await store.write(lambda _: 1 // 0)
    async with asyncio.timeout(60):
        await store.write(partial(add, name="ann"))


async def test_what_was_asked_for_in_the_turn_in_which_the_store_closes_is_finished(store: Store) -> None:
    writing = asyncio.create_task(store.write(partial(add, name="ann")))
    await asyncio.sleep(0)
    store.close()
    await writing
    with pytest.raises(Unavailable):
        await store.write(partial(add, name="bob"))


def test_loops_that_come_and_go_share_a_store(store: Store) -> None:
    for name in ("ann", "bob"):
        asyncio.run(store.write(partial(add, name=name)))
    assert store.read_now(names) == ["ann", "bob"]


async def test_a_glance_sees_what_was_written_and_needs_no_thread_of_the_store(store: Store) -> None:
    await store.write(partial(add, name="ann"))
    assert await store.glance(names) == ["ann"]
    assert await store.glance(lambda _: threading.current_thread()) is threading.current_thread()


async def test_a_glance_cannot_change_anything_and_hands_on_what_is_raised(store: Store) -> None:
    with pytest.raises(RuntimeError, match="a read may not change anything"):
        await store.glance(partial(add, name="ann"))
    with pytest.raises(ZeroDivisionError):
        await store.glance(lambda _: 1 // 0)
    assert await store.glance(names) == []


async def test_there_are_no_glances_at_a_store_that_is_closed(store: Store) -> None:
    store.close()
    with pytest.raises(Unavailable, match="is closed"):
        await store.glance(names)


async def test_glances_work_from_whichever_thread_has_the_loop(store: Store) -> None:
    await store.write(partial(add, name="ann"))
    assert await asyncio.to_thread(lambda: asyncio.run(store.glance(names))) == ["ann"]
    assert await store.glance(names) == ["ann"]
