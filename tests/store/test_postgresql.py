"""What PostgreSQL does that a file does not: several processes at once, and a server that can go away."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.postgresql import Cluster, cluster, execute
from tests.store.rows import add_scope
from tests.store.test_doors import written_together
from tests.store.test_lease import LENGTH, SCOPE

from jitgate.clock import ManualClock
from jitgate.core.errors import NotFound, Unavailable
from jitgate.store import lease, postgresql, principals, scopes
from jitgate.store.database import Store, Tx
from jitgate.store.migrations import SchemaError, newest


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
def empty() -> Iterator[str]:
    """A database that nobody has brought up to date."""
    name = cluster().create()
    yield cluster().url(name)
    cluster().drop(name)


def test_replicas_that_start_at_once_bring_the_tables_up_to_date_one_after_the_other(empty: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        opened = list(threads.map(lambda _: Store.open(empty, ManualClock()), range(3)))
    for store in opened:
        store.close()
    assert execute(empty, "SELECT version_num FROM alembic_version") == [(newest(),)]


def test_a_database_of_somebody_else_is_left_alone(empty: str) -> None:
    execute(empty, "CREATE TABLE books (title TEXT)")
    with pytest.raises(SchemaError, match="a database of its own"):
        Store.open(empty, ManualClock())
    assert execute(empty, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("books",)]


async def test_what_one_process_wakes_another_one_hears(url: str, clock: ManualClock) -> None:
    here, elsewhere = Store.open(url, clock), Store.open(url, clock)
    try:
        here.write_now(add_scope)
        await here.woken.wait(0.2)
        await elsewhere.woken.wait(0.2)
        here.write_now(lambda tx: scopes.wake(tx, SCOPE))
        assert await elsewhere.woken.wait(60) == {SCOPE}
    finally:
        here.close()
        elsewhere.close()


async def test_what_a_process_wakes_it_does_not_hear_again(url: str, clock: ManualClock) -> None:
    here, elsewhere = Store.open(url, clock), Store.open(url, clock)
    try:
        here.write_now(add_scope)
        await here.woken.wait(0.2)
        here.write_now(lambda tx: scopes.wake(tx, SCOPE))
        assert await here.woken.wait(60) == {SCOPE}
        elsewhere.write_now(lambda tx: tx.wake("a scope of theirs"))  # Which is heard after what went before it.
        assert await here.woken.wait(60) == {"a scope of theirs"}
    finally:
        here.close()
        elsewhere.close()


def look(tx: Tx) -> None:
    scopes.get(tx, SCOPE)


def refuse(tx: Tx) -> None:
    look(tx)
    raise NotFound("Nothing is here.")


def count_prepared(tx: Tx) -> int:
    """How many statements PostgreSQL has prepared for a connection."""
    return int(tx.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one())


async def refused_read(store: Store) -> None:
    await asyncio.gather(*(store.read(refuse) for _ in range(4)), return_exceptions=True)


async def refused_write(store: Store) -> None:
    await asyncio.gather(store.write(refuse), return_exceptions=True)


async def refused_beside_another(store: Store) -> None:
    await written_together(store, look, refuse)


@pytest.mark.parametrize("refused", [refused_read, refused_write, refused_beside_another])
async def test_who_is_refused_costs_nobody_what_the_database_has_prepared(
    url: str, clock: ManualClock, refused: Callable[[Store], Awaitable[None]]
) -> None:
    store = Store.open(url, clock)
    try:
        for _ in range(10):
            await asyncio.gather(*(store.read(look) for _ in range(8)))
            await store.write(look)
        await refused(store)
        assert await store.read(count_prepared) > 1
        assert await store.write(count_prepared) > 1
    finally:
        store.close()


def count_up(tx: Tx, meanwhile: Callable[[], object] = lambda: None) -> None:
    """One more attempt at the scope; `meanwhile`: what happens between reading and writing it."""
    known = scopes.get(tx, SCOPE)
    assert known is not None
    meanwhile()
    scopes.record_failure(tx, SCOPE, known.attempts + 1, "")


def counted_by(stores: Sequence[Store], threads: int, times: int, meanwhile: Callable[[], object]) -> int:
    """What so many threads count up to, so many times in all, by turns at each store."""
    stores[0].write_now(add_scope)
    try:
        with ThreadPoolExecutor(threads) as counting:
            for each in [
                counting.submit(stores[number % len(stores)].write_now, lambda tx: count_up(tx, meanwhile))
                for number in range(times)
            ]:
                each.result()
        known = stores[0].read_now(lambda tx: scopes.get(tx, SCOPE))
        assert known is not None
        return known.attempts
    finally:
        for store in stores:
            store.close()


def test_two_who_change_the_same_lose_nothing_of_each_other(url: str, clock: ManualClock) -> None:
    stores = [Store.open(url, clock) for _ in range(2)]
    # All of them keep the moment as well.
    assert counted_by(stores, 4, 20, lambda: clock.advance(timedelta(seconds=2))) == 20


def test_writes_of_one_process_are_never_in_each_others_way(url: str, clock: ManualClock) -> None:
    store = Store.open(url, clock)
    store.write_now(add_scope)
    ran = []

    def count(number: int) -> None:
        store.write_now(lambda tx: count_up(tx, lambda: ran.append(number)))

    try:
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(count, range(200)))
    finally:
        store.close()
    assert sorted(ran) == list(range(200)), "some were run again"


def test_a_write_that_fails_takes_none_of_those_with_it_that_share_its_transaction(
    url: str, clock: ManualClock
) -> None:
    store = Store.open(url, clock)
    began = threading.Event()

    def add(tx: Tx, number: int) -> None:
        principals.add(tx, str(number), f"p{number}")
        assert began.wait(60)
        if number % 3 == 0:
            principals.add(tx, str(number), "the same again")

    def write(number: int) -> None:
        store.write_now(lambda tx: add(tx, number))

    try:
        with ThreadPoolExecutor(20) as threads:
            asked = [threads.submit(write, number) for number in range(20)]
            began.set()
            failed = {number for number, each in enumerate(asked) if each.exception() is not None}
        assert failed == {number for number in range(20) if number % 3 == 0}
        kept = {one.uid for one in store.read_now(principals.list_all)}
        assert kept == {str(number) for number in range(20) if number % 3}
    finally:
        store.close()


def test_processes_that_are_always_in_each_others_way_all_get_on(url: str, clock: ManualClock) -> None:
    stores = [Store.open(url, clock) for _ in range(3)]
    # Whoever runs beside this one reads the same.
    assert counted_by(stores, 12, 120, lambda: time.sleep(0.005)) == 120


def look_twice_at_once(tx: Tx) -> None:
    scopes.ask(tx, SCOPE)
    look(tx)


def look_by_sqlalchemy(tx: Tx) -> None:
    tx.execute(text("SELECT 1"))


@pytest.mark.parametrize("last", [look, look_twice_at_once, look_by_sqlalchemy])
def test_a_process_that_stands_still_in_the_middle_does_not_keep_its_locks_for_ever(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, last: Callable[[Tx], None]
) -> None:
    """Whatever it has done last, PostgreSQL ends its transaction."""
    assert "'10s'" in postgresql._END_IF_IT_STANDS_STILL
    monkeypatch.setattr(postgresql, "_END_IF_IT_STANDS_STILL", "SET idle_in_transaction_session_timeout = '300ms'")
    stopped, other = Store.open(url, clock), Store.open(url, clock)
    stopped.write_now(add_scope)
    holds, goes_on = threading.Event(), threading.Event()

    def stand_still(tx: Tx) -> None:
        scopes.record_failure(tx, SCOPE, 7, "ours")
        scopes.hasten(tx, SCOPE, tx.now)
        last(tx)
        holds.set()
        assert goes_on.wait(60)

    try:
        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(stopped.write_now, stand_still)
            assert holds.wait(60)
            other.write_now(lambda tx: scopes.record_failure(tx, SCOPE, 1, "theirs"))
            goes_on.set()
            with pytest.raises(Unavailable):
                writing.result(60)
        known = other.read_now(lambda tx: scopes.get(tx, SCOPE))
        assert known is not None
        assert known.error == "theirs"
    finally:
        goes_on.set()
        stopped.close()
        other.close()


def test_of_many_who_claim_a_scope_at_once_one_gets_it(url: str, clock: ManualClock) -> None:
    store = Store.open(url, clock)
    store.write_now(add_scope)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(
                threads.map(
                    lambda name: store.write_now(lambda tx: lease.claim(tx, SCOPE, str(name), LENGTH)), range(8)
                )
            )
        assert sorted(generation is not None for generation in found) == [False] * 7 + [True]
    finally:
        store.close()


async def test_a_server_that_goes_away_is_told_of_and_found_again(clock: ManualClock) -> None:
    server = Cluster(("listen_addresses=",))
    try:
        store = Store.open(server.url(server.create()), clock)
        await store.write(lambda tx: principals.add(tx, "1", "ann"))
        server.stop()
        with pytest.raises(Unavailable, match="check that PostgreSQL runs"):
            await store.write(lambda tx: principals.add(tx, "2", "bob"))
        server.start()
        await _again(store, lambda tx: principals.add(tx, "3", "cyd"))
        assert [one.name for one in await store.read(principals.list_all)] == ["ann", "cyd"]
        store.close()
    finally:
        server.close()


async def _again(store: Store, work: Callable[[Tx], object]) -> None:
    for _ in range(600):
        try:
            await store.write(work)
            return
        except Unavailable:
            await asyncio.sleep(0.1)
    raise AssertionError("the server was not found again")


def test_a_table_that_a_newer_jitgate_changes_meanwhile_costs_nobody_an_error(url: str, clock: ManualClock) -> None:
    """What PostgreSQL has prepared for a connection does not fit any more then."""
    store = Store.open(url, clock)
    try:
        store.write_now(add_scope)
        for _ in range(40):  # Each reader has prepared its statements.
            store.read_now(lambda tx: scopes.get(tx, SCOPE))
            store.write_now(lambda tx: scopes.get(tx, SCOPE))
        execute(url, "ALTER TABLE scope_state ALTER COLUMN error TYPE VARCHAR(99)")
        for _ in range(40):
            assert store.read_now(lambda tx: scopes.get(tx, SCOPE)) is not None
            assert store.write_now(lambda tx: scopes.get(tx, SCOPE)) is not None
    finally:
        store.close()
