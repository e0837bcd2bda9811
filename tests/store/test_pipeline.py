"""Statements that go to the database together do what they would do one by one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from sqlite3 import IntegrityError

import pytest
from psycopg.errors import UniqueViolation
from sqlalchemy import bindparam, insert, select, update
from tests.store.rows import add_scope
from tests.store.test_doors import gathered, written_together
from tests.store.test_lease import SCOPE
from tests.trips import counted_trips

from jitgate.core.errors import NotFound
from jitgate.store import scopes
from jitgate.store.database import Store, Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import meta, scope_state

REFUSED = (IntegrityError, UniqueViolation)

ADD = Prepared(insert(meta), ["name", "value"])
IN_GROUP = Prepared(select(meta.c.name).where(meta.c.value == bindparam("of_group")))
ATTEMPTS = Prepared(select(scope_state.c.attempts).where(scope_state.c.scope == bindparam("wanted")))
SET_ATTEMPTS = Prepared(
    update(scope_state).where(scope_state.c.scope == bindparam("wanted")).values(attempts=bindparam("new"))
)


def attempts(tx: Tx) -> int:
    [row] = tx.fetch(ATTEMPTS, {"wanted": SCOPE})
    return int(row.attempts)


def test_what_is_asked_ahead_is_told_as_it_was_when_it_was_asked(store: Store) -> None:
    def work(tx: Tx) -> tuple[int, int]:
        ahead = tx.ask(ATTEMPTS, {"wanted": SCOPE})
        tx.run(SET_ATTEMPTS, [{"wanted": SCOPE, "new": 7}])
        now = attempts(tx)
        return ahead()[0].attempts, now

    store.write_now(add_scope)
    assert store.write_now(work) == (0, 7)


def test_statements_that_are_not_prepared_see_what_was_sent_before_them(store: Store) -> None:
    def work(tx: Tx) -> int:
        tx.run(SET_ATTEMPTS, [{"wanted": SCOPE, "new": 7}])
        return int(tx.execute(select(scope_state.c.attempts)).scalar_one())

    store.write_now(add_scope)
    assert store.write_now(work) == 7


def test_each_of_very_many_gets_its_own_answer(store: Store) -> None:
    names = [f"host/{number}" for number in range(700)]
    store.write_now(add_scope)

    def work(tx: Tx) -> list[list[int]]:
        found = tx.fetch_each(ATTEMPTS, ({"wanted": name} for name in [*names, SCOPE]))
        return [[row.attempts for row in rows] for rows in found]

    assert store.read_now(work) == [[]] * 700 + [[0]]


def test_what_was_sent_by_who_fails_afterwards_is_not_done(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.run(SET_ATTEMPTS, [{"wanted": SCOPE, "new": 7}])
        raise NotFound("Nothing is here.")

    store.write_now(add_scope)
    with pytest.raises(NotFound):
        store.write_now(work)
    assert store.read_now(attempts) == 0


async def test_who_sends_what_is_refused_is_told_and_those_beside_go_on(store: Store) -> None:
    """Also where it was sent last, and where it was not sent at all because its function failed before."""

    def add(tx: Tx, group: str, name: str) -> None:
        tx.run(ADD, [{"name": group + name, "value": group}])

    def add_and_count(tx: Tx, group: str, name: str) -> int:
        add(tx, group, name)
        return len(tx.fetch(IN_GROUP, {"of_group": group}))

    def fail_at_once(tx: Tx, group: str) -> None:
        add(tx, group, "b")
        raise NotFound("Nothing is here.")

    for group in ("one", "two", "three"):
        add_b, add_b_and_count = (partial(each, group=group, name="b") for each in (add, add_and_count))
        async with gathered(store):
            beside = [asyncio.create_task(store.write(add_b_and_count))]
            at_once = asyncio.create_task(store.write(partial(fail_at_once, group=group)))
            refused = [asyncio.create_task(store.write(work)) for work in (add_b, add_b_and_count)]
            beside.append(asyncio.create_task(store.write(partial(add_and_count, group=group, name="c"))))
            await asyncio.sleep(0)
        assert await asyncio.gather(*beside) == [1, 2]
        for each in refused:
            with pytest.raises(REFUSED):
                await each
        with pytest.raises((NotFound, *REFUSED)):  # a file refuses at once
            await at_once


async def test_what_the_driver_was_about_to_prepare_when_something_before_it_was_refused_works_afterwards(
    store: Store,
) -> None:
    """psycopg prepares what it has seen some times, and believes that it did so even where that was never run."""

    def add(tx: Tx) -> None:
        tx.run(ADD, [{"name": "a", "value": "a"}])

    def add_and_look(tx: Tx) -> None:
        add(tx)
        look(tx)

    def look(tx: Tx) -> None:
        tx.fetch(IN_GROUP, {"of_group": "a"})

    await store.write(add)
    await store.write(look)
    for _ in range(12):
        async with gathered(store):
            refused = [asyncio.create_task(store.write(add_and_look)) for _ in range(2)]
            beside = asyncio.create_task(store.write(lambda tx: scopes.get(tx, SCOPE)))
            await asyncio.sleep(0)
        for each in refused:
            with pytest.raises(REFUSED):
                await each
        await beside
    await store.write(look)


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_what_nobody_waits_for_goes_together_with_what_somebody_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = counted_trips(monkeypatch)

    def work(tx: Tx) -> None:
        ahead = [tx.ask(IN_GROUP, {"of_group": group}) for group in ("a", "b")]
        assert [rows() for rows in ahead] == [[], []]
        for group in ("a", "b"):
            tx.run(ADD, [{"name": group, "value": group}])
        assert len(tx.fetch(IN_GROUP, {"of_group": "a"})) == 1
        tx.run(ADD, [{"name": "c", "value": "c"}])

    await store.write(work)
    assert trips == [2, 2, 3, 1], "the lock and the time; asked ahead; written and asked; written last"


GROUPS = Prepared(select(meta.c.name).where(meta.c.value == "group"))


async def test_what_is_asked_once_is_asked_again_after_it_was_written_or_its_writer_undone(store: Store) -> None:
    def groups(tx: Tx) -> list[str]:
        return [row.name for row in tx.ask_once(GROUPS)()]

    def add(tx: Tx, name: str) -> list[str]:
        groups(tx)
        tx.run(ADD, [{"name": name, "value": "group"}])
        return groups(tx)

    def add_by_sqlalchemy(tx: Tx, name: str) -> list[str]:
        groups(tx)
        tx.execute(insert(meta), {"name": name, "value": "group"})
        return groups(tx)

    def add_and_fail(tx: Tx) -> None:
        assert add(tx, "undone") == ["a", "undone"]
        raise NotFound("Nothing is here.")

    adds: list[Callable[[Tx], object]] = [
        partial(add, name="a"),
        groups,
        add_and_fail,
        groups,
        partial(add_by_sqlalchemy, name="b"),
    ]
    work = [groups, *adds, groups]
    told = await written_together(store, *work)
    assert isinstance(told.pop(3), NotFound)
    assert told == [[], ["a"], ["a"], ["a"], ["a", "b"], ["a", "b"]]


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_functions_that_share_a_transaction_share_what_is_asked_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(tx: Tx) -> int:
        return len(tx.ask_once(GROUPS)())

    async with gathered(store):
        asked = [asyncio.create_task(store.write(work)) for _ in range(8)]
        await asyncio.sleep(0)
        trips = counted_trips(monkeypatch)
    assert await asyncio.gather(*asked) == [0] * 8
    assert sum(trips) == 2 + 8 * 2 + 1, "the lock and the time, a savepoint each, and the question"


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_who_goes_on_although_a_statement_was_refused_is_not_told_that_it_was_done(store: Store) -> None:
    def add(tx: Tx, name: str) -> None:
        tx.run(ADD, [{"name": name, "value": "v"}])

    def swallow(tx: Tx) -> None:
        add(tx, "theirs")
        with suppress(UniqueViolation):
            add(tx, "a")
            tx.fetch(IN_GROUP, {"of_group": "v"})

    await store.write(partial(add, name="a"))
    shared: list[Callable[[Tx], None]] = [partial(add, name="b"), partial(add, name="c")]
    for beside in ([], shared):
        told = await written_together(store, swallow, *beside)
        assert isinstance(told[0], RuntimeError)
        assert told[1:] == [None] * len(beside)
    kept = await store.read(lambda tx: tx.fetch(IN_GROUP, {"of_group": "v"}))
    assert sorted(row.name for row in kept) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_what_the_driver_refuses_after_the_database_did_harms_nobody(store: Store) -> None:
    """A value that no column takes is refused before it is sent; what was sent before it has failed by then."""

    def add(tx: Tx, name: str) -> None:
        tx.run(ADD, [{"name": name, "value": "v"}])

    def look(tx: Tx) -> int:
        return len(tx.fetch(IN_GROUP, {"of_group": "v"}))

    def refused(tx: Tx) -> int:
        add(tx, "a")
        tx.ask(IN_GROUP, {"of_group": "v"})
        add(tx, "nul\0")
        return look(tx)

    await store.write(partial(add, name="a"))
    await store.write(look)
    for _ in range(8):
        with pytest.raises(UniqueViolation):
            await store.write(refused)
        told = await written_together(store, refused, look)
        assert isinstance(told[0], UniqueViolation)
        assert told[1] == 1


async def test_what_is_asked_once_is_asked_again_after_a_write_that_tells_something(store: Store) -> None:
    adding = Prepared(insert(meta).returning(meta.c.name), ["name", "value"])

    def work(tx: Tx) -> list[int]:
        before = len(tx.ask_once(GROUPS)())
        tx.fetch(adding, {"name": "a", "value": "group"})
        return [before, len(tx.ask_once(GROUPS)())]

    assert await store.write(work) == [0, 1]
