"""The record: complete, in order, and never changed."""

from datetime import timedelta
from functools import partial
from operator import methodcaller
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jitgate.clock import ManualClock
from jitgate.store import activity
from jitgate.store.activity import Entry, Filter
from jitgate.store.database import Store, Tx


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


def test_sequence_numbers_have_no_gap_and_follow_the_order_of_writing(store: Store) -> None:
    append(store, "/a", "/b", "/c")
    assert store.write_now(lambda tx: activity.give_sequence(tx, 2)) == [1, 2]
    append(store, "/d")
    assert store.write_now(lambda tx: activity.give_sequence(tx, 10)) == [3, 4]
    assert store.write_now(lambda tx: activity.give_sequence(tx, 10)) == []
    entries = store.read_now(lambda tx: activity.oldest(tx))
    assert [(entry.sequence, entry.resource) for entry in entries] == [(1, "/a"), (2, "/b"), (3, "/c"), (4, "/d")]


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
    store.write_now(lambda tx: activity.give_sequence(tx, 1))
    before = store.read_now(lambda tx: activity.oldest(tx))
    with pytest.raises(IntegrityError, match="append-only"):
        store.write_now(lambda tx: tx.execute(text(statement)))
    assert store.read_now(lambda tx: activity.oldest(tx)) == before


def test_every_column_of_the_record_is_protected(store: Store) -> None:
    append(store, "/a")
    store.write_now(lambda tx: activity.give_sequence(tx, 1))
    columns = store.read_now(lambda tx: [row.name for row in tx.execute(text("PRAGMA table_info(activity)"))])
    assert len(columns) == 13
    for column in columns:
        with pytest.raises(IntegrityError, match="append-only"):
            store.write_now(methodcaller("execute", text(f"UPDATE activity SET {column} = {column}")))
