"""Prepared statements say what SQLAlchemy says, without its price."""

from datetime import UTC, datetime
from sqlite3 import IntegrityError

import pytest
from psycopg import ProgrammingError
from psycopg.errors import UniqueViolation
from sqlalchemy import bindparam, delete, insert, select, update

from jitgate.store.database import Store
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import grant_key, grants, group_member, meta, scope_state
from jitgate.store.wants import keyed

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ROW = {
    "scope": "host/a",
    "connector": "hosts",
    "generation": 7,
    "due_at": MOMENT,
    "attempts": 0,
    "error": "",
    "memory": {"a": [1, None]},
    "report": {},
}
ADD = Prepared(insert(scope_state), list(ROW))
GET = Prepared(select(scope_state).where(scope_state.c.scope == bindparam("wanted")))


def test_what_is_written_comes_back_as_the_same_values(store: Store) -> None:
    store.write_now(lambda tx: tx.run(ADD, [ROW]))
    [row] = store.read_now(lambda tx: tx.fetch(GET, {"wanted": "host/a"}))
    assert {name: getattr(row, name) for name in ROW} == ROW
    assert row.sweep_at is None


def test_it_reads_what_sqlalchemy_reads(store: Store) -> None:
    store.write_now(lambda tx: tx.execute(insert(scope_state), ROW))
    prepared = store.read_now(lambda tx: tx.fetch(GET, {"wanted": "host/a"}))
    plain = store.read_now(lambda tx: tx.execute(select(scope_state)).all())
    assert [tuple(row) for row in prepared] == [tuple(row) for row in plain]


def test_one_parameter_may_stand_in_several_places(store: Store) -> None:
    later = Prepared(
        update(scope_state)
        .where(scope_state.c.scope == bindparam("wanted"), scope_state.c.due_at < bindparam("at"))
        .values(due_at=bindparam("at"))
    )
    at = MOMENT.replace(year=2031)
    store.write_now(lambda tx: tx.run(ADD, [ROW]))
    store.write_now(lambda tx: tx.run(later, [{"wanted": "host/a", "at": at}]))
    assert store.read_now(lambda tx: tx.fetch(GET, {"wanted": "host/a"}))[0].due_at == at


def test_it_runs_once_for_each_set_of_values_and_not_at_all_for_none(store: Store) -> None:
    remove = Prepared(delete(scope_state).where(scope_state.c.scope == bindparam("wanted")))
    store.write_now(lambda tx: tx.run(ADD, [ROW, {**ROW, "scope": "host/b"}, {**ROW, "scope": "host/c"}]))
    store.write_now(lambda tx: tx.run(remove, [{"wanted": "host/a"}, {"wanted": "host/b"}]))
    store.write_now(lambda tx: tx.run(remove, []))
    left = store.read_now(lambda tx: tx.execute(select(scope_state.c.scope)).scalars().all())
    assert left == ["host/c"]


def test_a_value_cannot_become_part_of_the_statement(store: Store) -> None:
    store.write_now(lambda tx: tx.run(ADD, [ROW]))
    assert store.read_now(lambda tx: tx.fetch(GET, {"wanted": "x' OR '1'='1"})) == []


def test_what_the_database_refuses_is_raised_and_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises((IntegrityError, UniqueViolation)):
        store.write_now(lambda tx: tx.run(ADD, [{**ROW, "scope": "host/b"}, ROW, ROW]))
    assert store.read_now(lambda tx: tx.execute(select(scope_state)).all()) == []


def test_a_missing_value_is_an_error_not_a_null(store: Store) -> None:
    with pytest.raises((KeyError, ProgrammingError), match="wanted"):
        store.read_now(lambda tx: tx.fetch(GET, {}))


def test_written_out_values_let_a_partial_index_be_used(store: Store) -> None:
    chosen = Prepared(select(scope_state.c.scope).where(literal_in(scope_state.c.error, ("", "x"))))
    store.write_now(lambda tx: tx.run(ADD, [ROW]))
    assert [row.scope for row in store.read_now(lambda tx: tx.fetch(chosen, {}))] == ["host/a"]


def test_it_knows_the_tables_that_it_reads_or_writes() -> None:
    group = group_member.c.group
    beside = select(group_member.c.member).where(group.in_(select(grant_key.c.grant)))
    read = {
        "one": Prepared(select(meta)),
        "joined": Prepared(select(meta.c.name).join(group_member, group == meta.c.name)),
        "in others": Prepared(select(meta.c.name).where(meta.c.name.in_(beside))),
        "together": Prepared(select(keyed(grants.c.uid).c.uid)),
        "added": Prepared(insert(meta)),
        "changed": Prepared(update(meta).values(value="")),
        "removed": Prepared(delete(meta)),
    }
    assert {what: sorted(statement.tables) for what, statement in read.items()} == {
        "one": ["meta"],
        "joined": ["group_member", "meta"],
        "in others": ["grant_key", "group_member", "meta"],
        "together": ["grant_key", "grants"],
        "added": ["meta"],
        "changed": ["meta"],
        "removed": ["meta"],
    }
