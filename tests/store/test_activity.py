"""The record: complete, in order, and never changed."""

from datetime import timedelta
from functools import partial
from operator import methodcaller
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jitgate.clock import ManualClock
from jitgate.core.record import Head
from jitgate.store import activity, heads
from jitgate.store.activity import Entry, Filter
from jitgate.store.database import Store, Tx
from jitgate.store.heads import Sealed
from jitgate.store.schema import activity as rows


def append(store: Store, *resources: str, **other: Any) -> None:
    def row(tx: Tx, resource: str) -> dict[str, Any]:
        values = {"operation": "write", "outcome": "Succeeded", "principal": "ann", "caller": "Ann", "correlation": "c"}
        place = {
            "at": tx.now,
            "resource": resource,
            "resource_key": resource.lower(),
            "credential": None,
            "address": None,
        }
        return {**values, **place, "properties": {"n": 1}, **other}

    store.write_now(lambda tx: activity.append(tx, [row(tx, resource) for resource in resources]))


def seal(store: Store, count: int) -> None:
    """Number the first events, under a head."""
    last = store.read_now(heads.last)
    first = last.head.last + 1 if last else 1
    number = last.head.number + 1 if last else 1

    def work(tx: Tx) -> None:
        ids = [entry.id for entry in heads.unsealed(tx, first - 1, count)]
        head = Head(number, first, len(ids), "0" * 64, "0" * 64, tx.now, "key")
        heads.add(tx, Sealed(head, "signature"), ids)

    store.write_now(work)


def found(store: Store, **wanted: Any) -> list[str]:
    return [entry.resource for entry in store.read_now(lambda tx: activity.newest(tx, Filter(**wanted)))]


def test_an_entry_reads_as_it_was_written(store: Store, clock: ManualClock) -> None:
    append(store, "/A")
    expected = Entry(1, None, clock.wall(), "write", "Succeeded", "ann", "Ann", None, None, "/A", "c", {"n": 1})
    assert store.read_now(lambda tx: activity.newest(tx)) == [expected]


def test_entries_are_listed_newest_first_page_by_page(store: Store) -> None:
    append(store, *(f"/{n}" for n in range(10)))
    pages, before = [], None
    while page := store.read_now(partial(activity.newest, before=before, most=4)):
        pages.append([entry.resource for entry in page])
        before = page[-1].id
    assert pages == [["/9", "/8", "/7", "/6"], ["/5", "/4", "/3", "/2"], ["/1", "/0"]]


def test_an_export_goes_through_all_entries_oldest_first(store: Store) -> None:
    append(store, *(f"/{n}" for n in range(10)))
    pages, after = [], 0
    while page := store.read_now(partial(activity.oldest, after=after, most=4)):
        pages += [entry.resource for entry in page]
        after = page[-1].id
    assert pages == [f"/{n}" for n in range(10)]


def test_entries_are_found_by_what_they_are_about(store: Store) -> None:
    append(store, "/a", "/a/b", "/A/B/c", "/ab", "/a_b/x")
    append(store, "/z", principal=None, operation="delete", correlation="other")
    assert found(store, resource="/A/b") == ["/a/b"]
    assert found(store, within="/A/") == ["/A/B/c", "/a/b", "/a"]
    assert found(store, within="/a_b") == ["/a_b/x"]
    assert found(store, within="/", operation="delete") == ["/z"]
    assert found(store, correlation="other") == ["/z"]
    assert found(store, principal="ann", resource="/z") == []
    assert found(store, principal="ann") == ["/a_b/x", "/ab", "/A/B/c", "/a/b", "/a"]


def test_entries_are_found_by_their_time_with_its_start_and_without_its_end(store: Store, clock: ManualClock) -> None:
    start = clock.wall()
    for name in ("/0", "/1", "/2"):
        append(store, name)
        clock.advance(timedelta(hours=1))
    assert found(store, since=start + timedelta(hours=1)) == ["/2", "/1"]
    assert found(store, until=start + timedelta(hours=1)) == ["/0"]
    assert found(store, since=start, until=start) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE activity SET caller = 'Bob'",
        "UPDATE activity SET at = at + 1 WHERE sequence IS NULL",
        "UPDATE activity SET sequence = 7 WHERE sequence = 1",
        "UPDATE activity SET sequence = NULL WHERE sequence = 1",
        "DELETE FROM activity",
        "DELETE FROM activity WHERE sequence IS NULL",
    ],
)
def test_the_database_refuses_to_change_what_is_on_record(store: Store, statement: str) -> None:
    append(store, "/a", "/b")
    seal(store, 1)
    before = store.read_now(lambda tx: activity.oldest(tx))
    with pytest.raises(IntegrityError, match="append-only"):
        store.write_now(lambda tx: tx.execute(text(statement)))
    assert store.read_now(lambda tx: activity.oldest(tx)) == before


def test_every_column_of_the_record_is_protected(store: Store) -> None:
    append(store, "/a")
    seal(store, 1)
    columns = rows.columns.keys()
    assert len(columns) == 13
    for column in columns:
        with pytest.raises(IntegrityError, match="append-only"):
            store.write_now(methodcaller("execute", text(f"UPDATE activity SET {column} = {column}")))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE activity_head SET root = '1'",
        "UPDATE activity_head SET signature = 'x'",
        "UPDATE activity_head SET number = 7",
        "DELETE FROM activity_head",
        "DELETE FROM activity WHERE sequence = 1",
    ],
)
def test_the_database_refuses_to_change_what_is_sealed(store: Store, statement: str) -> None:
    append(store, "/a")
    seal(store, 1)
    with pytest.raises(IntegrityError, match="append-only"):
        store.write_now(lambda tx: tx.execute(text(statement)))


def test_only_whole_batches_go_and_only_where_their_head_says_so(store: Store, clock: ManualClock) -> None:
    append(store, "/a", "/b", "/c")
    seal(store, 2)
    clock.advance(timedelta(days=1))
    seal(store, 1)
    gone = store.write_now(lambda tx: heads.expire(tx, tx.now, 10))
    assert gone is not None
    assert (gone.head.number, gone.head.last) == (1, 2)
    assert [entry.sequence for entry in store.read_now(activity.oldest)] == [3]
    assert [one.expired_at is None for one in store.read_now(heads.page)] == [False, True]
    assert store.write_now(lambda tx: heads.expire(tx, tx.now, 10)) is None
    with pytest.raises(IntegrityError, match="append-only"):
        store.write_now(lambda tx: tx.execute(text("DELETE FROM activity")))
