"""Waking: after the commit, never for what was rolled back, from any thread."""

import asyncio
import threading

import pytest
from tests.store.rows import add_scope

from jitgate.core.errors import Conflict
from jitgate.store import principals, scopes
from jitgate.store.database import Store, Tx


def wake_both(tx: Tx) -> None:
    for scope in ("a", "b", "a"):
        tx.wake(scope)


async def test_a_committed_write_wakes_its_scopes(store: Store) -> None:
    waiting = asyncio.create_task(store.woken.wait(60))
    await asyncio.sleep(0)
    await store.write(wake_both)
    assert await waiting == {"a", "b"}


async def test_a_wake_that_nobody_waits_for_is_kept_and_given_once(store: Store) -> None:
    await store.write(lambda tx: tx.wake("a"))
    await store.write(lambda tx: tx.wake("b"))
    async with asyncio.timeout(60):
        assert await store.woken.wait(600) == {"a", "b"}
    assert await store.woken.wait(0) == set()


async def test_what_is_rolled_back_wakes_nobody(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.wake("a")
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.write(work)
    await store.write(lambda tx: tx.wake("b"))
    assert await store.woken.wait(60) == {"b"}


async def test_who_is_woken_sees_what_was_written(store: Store) -> None:
    waiting = asyncio.create_task(store.woken.wait(60))
    await asyncio.sleep(0)

    def work(tx: Tx) -> None:
        principals.add(tx, "1", "ann")
        tx.wake("a")

    writing = threading.Thread(target=lambda: store.write_now(work))
    writing.start()
    await waiting
    assert await store.read(lambda tx: principals.find(tx, "ann")) is not None
    writing.join()


async def test_waiting_ends_at_its_limit_and_can_be_cancelled(store: Store) -> None:
    async with asyncio.timeout(60):
        assert await store.woken.wait(0.05) == set()
    waiting = asyncio.create_task(store.woken.wait(60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.write(lambda tx: tx.wake("a"))
    assert await store.woken.wait(60) == {"a"}


async def test_a_second_task_that_waits_is_refused_since_it_would_take_the_first_ones_scopes(store: Store) -> None:
    waiting = asyncio.create_task(store.woken.wait(60))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already waits"):
        await store.woken.wait(60)
    await store.write(lambda tx: tx.wake("a"))
    assert await waiting == {"a"}


def test_more_scopes_than_a_statement_has_places_for_are_swept_at_once(store: Store) -> None:
    names = [f"host/{number}" for number in range(33_000)]
    store.write_now(lambda tx: add_scope(tx, names[-1]))
    store.write_now(lambda tx: scopes.sweep_soon(tx, names))
    found = store.read_now(lambda tx: scopes.get_many(tx, names))
    assert found.keys() == {names[-1]}
    assert found[names[-1]].due_at is not None
