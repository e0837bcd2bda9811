"""The way of a database to the newest revision."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text

from jitgate.clock import ManualClock
from jitgate.core.errors import Unavailable
from jitgate.core.roles import OWNER, READER, Assignment
from jitgate.store import principals, sqlite
from jitgate.store.database import Store
from jitgate.store.migrations import SchemaError, chain, newest
from jitgate.store.migrations.upgrade import differences
from jitgate.store.migrations.upgrade import upgrade as migrations_upgrade
from jitgate.store.schema import metadata


@pytest.fixture
def connection(url: str, store: Store) -> Iterator[Connection]:
    """A connection of its own to the store's database, without the store's settings."""
    engine = create_engine(url)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_the_migrated_tables_are_those_that_the_code_expects(connection: Connection) -> None:
    assert differences(connection) == []


def test_the_migrated_tables_are_the_same_to_the_last_word(connection: Connection) -> None:
    """Alembic's comparison sees neither conditions of partial indexes nor options of tables."""
    made = create_engine("sqlite://")
    metadata.create_all(made)
    with made.connect() as expected:
        assert definitions(connection) == definitions(expected)
    made.dispose()


@pytest.fixture
def kind() -> str:
    """SQLite. What is about PostgreSQL alone is in test_postgresql.py."""
    return "sqlite"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("ALTER TABLE machine DROP COLUMN facts", "facts"),
        ("ALTER TABLE machine ADD COLUMN colour TEXT", "colour"),
        ("DROP INDEX uq_machine_id_key_present", "uq_machine_id_key_present"),
        ("INSERT INTO grant_transition VALUES ('closed', 'open')", "closed"),
        ("DELETE FROM grant_transition WHERE to_state = 'closing'", "closing"),
        ("DROP TRIGGER activity_is_never_changed", "activity_is_never_changed"),
    ],
)
def test_any_difference_is_found(connection: Connection, change: str, found: str) -> None:
    connection.execute(text(change))
    assert found in "; ".join(differences(connection))


def test_a_database_of_a_newer_jitgate_is_refused_and_left_as_it_was(url: str, clock: ManualClock) -> None:
    Store.open(url, clock).close()
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    execute(url, "INSERT INTO meta VALUES ('needs', '9998')")
    with pytest.raises(SchemaError, match=rf"made by a newer jitgate: its revision is 9999.*up to {newest()}"):
        Store.open(url, clock)
    assert scalar(url, "SELECT version_num FROM alembic_version") == "9999"


def test_a_database_of_somebody_else_is_refused_and_left_as_it_was(url: str, clock: ManualClock) -> None:
    execute(url, "CREATE TABLE books (title TEXT)")
    with pytest.raises(SchemaError, match="a database of its own"):
        Store.open(url, clock)
    assert scalar(url, "SELECT group_concat(name) FROM sqlite_master") == "books"


def test_an_upgrade_that_does_not_end_as_it_must_changes_nothing(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = migrations_upgrade.__globals__
    monkeypatch.setitem(module, "differences", lambda _connection: ["a table is missing"])
    with pytest.raises(SchemaError, match="a table is missing"):
        Store.open(url, clock)
    assert scalar(url, "SELECT count(*) FROM sqlite_master") == 0
    monkeypatch.undo()
    Store.open(url, clock).close()


def test_a_reference_that_an_upgrade_would_break_stops_it(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(url, clock).close()
    execute(url, "INSERT INTO group_member VALUES ('nobody', 'no one', 0)")
    execute(url, f"UPDATE alembic_version SET version_num = '{chain()[-2].id}'")
    module = migrations_upgrade.__globals__
    monkeypatch.setattr(module["command"], "upgrade", lambda *_: None)
    with pytest.raises(SchemaError, match=r"broken reference.*group_member"):
        Store.open(url, clock)


def test_opening_again_changes_nothing(url: str, clock: ManualClock) -> None:
    Store.open(url, clock).close()
    before = scalar(url, "PRAGMA schema_version")
    Store.open(url, clock).close()
    assert scalar(url, "PRAGMA schema_version") == before


def test_the_revisions_are_the_same_with_and_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", "jitgate.store:migrations")
    known = ScriptDirectory.from_config(config).walk_revisions()
    assert [each.id for each in chain()] == [script.revision for script in known][::-1]


def test_alembic_is_not_loaded_where_there_is_nothing_for_it_to_do(url: str, clock: ManualClock) -> None:
    Store.open(url, clock).close()
    opens = (
        "import sys; from jitgate.clock import ManualClock; from jitgate.store.database import Store;"
        f" Store.open({url!r}, ManualClock()).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", opens], check=True, timeout=60)


def test_a_database_that_another_process_holds_is_unavailable_not_broken(
    url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    engine = engine_of(url)
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked by another process"):
            Store.open(url, clock)
        other.exec_driver_sql("ROLLBACK")
    engine.dispose()
    Store.open(url, clock).close()


def test_what_stood_before_the_history_is_its_beginning(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = migrations_upgrade.__globals__
    with monkeypatch.context() as at_that_time:
        up = module["command"].upgrade
        at_that_time.setattr(module["command"], "upgrade", lambda config, _to: up(config, "0003"))
        at_that_time.setitem(module, "differences", lambda _connection: [])
        Store.open(url, clock).close()
    execute(url, "INSERT INTO principal VALUES ('u', 'ann', 'ann', 'user', 5, 9)")
    execute(url, "INSERT INTO principal VALUES ('g', 'ops', 'ops', 'group', 5, NULL)")
    execute(url, "INSERT INTO group_member VALUES ('g', 'u', 6)")
    execute(url, "INSERT INTO role_assignment VALUES ('a', 'g', 'r', '/', '/', '', 7, NULL)")
    execute(url, "INSERT INTO role_definition VALUES ('r', 'R', 'r', '', '[\"x\"]', '[]', '[]', 5, 8)")
    execute(url, "INSERT INTO policy VALUES ('p', '/k', 's', 's', 'g', '/g', 'l', 'n', 'Basic', 1, 10)")
    execute(url, "INSERT INTO policy_machine VALUES ('p', 0, 'M', 'm', NULL, 0, '[{\"number\": 22}]')")
    execute(url, "INSERT INTO guardrail VALUES ('e', 'E', '{\"limits\": {}}', 11, 'u')")
    Store.open(url, clock).close()
    engine = engine_of(url)
    with engine.connect() as connection:
        rows = connection.execute(text('SELECT kind, "key", at, body FROM history ORDER BY id')).all()
    engine.dispose()
    assert [(row.kind, row.key, row.at) for row in rows] == [
        ("principal", "u", 5),
        ("principal", "g", 5),
        ("member", "g u", 6),
        ("assignment", "a", 7),
        ("role", "r", 8),
        ("principal", "u", 9),
        ("policy", "/k", 10),
        ("guardrail", "e", 11),
    ]
    assert json.loads(rows[6].body)["machines"] == [{"id": "M", "ports": [{"number": 22}]}]
    assert json.loads(rows[5].body)["disabled"]


def definitions(connection: Connection) -> dict[str, str]:
    """Every table and index, by name, as SQLite keeps it."""
    rows = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type <> 'trigger' AND name <> 'alembic_version'")
    )
    return {row.name: sorted_lines(row.sql or "") for row in rows if not row.name.startswith("sqlite_")}


def sorted_lines(sql: str) -> str:
    """The order of the constraints of a table is of no meaning, nor are the quotes that SQLite gives to the name of one
    that was made again; a column that was added stands on the line of the one before it."""
    bare = sql.replace('CREATE TABLE "', "CREATE TABLE ", 1).replace('" (', " (", 1)
    bare = re.sub(r", (?=\w+ [A-Z])", ",\n", bare)
    return "\n".join(sorted(line.strip().rstrip(",") for line in bare.splitlines() if line.strip()))


def engine_of(url: str) -> Engine:
    return create_engine(url, isolation_level="AUTOCOMMIT")


def execute(url: str, statement: str) -> None:
    engine = engine_of(url)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def scalar(url: str, statement: str) -> object:
    engine = engine_of(url)
    with engine.connect() as connection:
        found: object = connection.exec_driver_sql(statement).scalar()
    engine.dispose()
    return found


def test_roles_that_were_given_by_name_are_held_after_the_upgrade(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = migrations_upgrade.__globals__
    upgrade = module["command"].upgrade
    monkeypatch.setattr(module["command"], "upgrade", lambda config, _head: upgrade(config, "0002"))
    monkeypatch.setitem(module, "differences", lambda _connection: [])
    Store.open(url, clock).close()
    monkeypatch.undo()
    execute(url, "INSERT INTO principal VALUES ('1', 'Ann', 'ann', 'user', 0, NULL)")
    for uid, role, scope in (("a", "Owner", "/"), ("b", "Owner", "/"), ("c", "Reader", "/subscriptions/X")):
        execute(url, f"INSERT INTO role_assignment VALUES ('{uid}', '1', '{role}', '{scope}', 0)")
    store = Store.open(url, clock)
    ann = store.read_now(lambda tx: principals.load(tx, "1"))
    store.close()
    assert ann is not None
    assert set(ann.assignments) == {Assignment(OWNER, "/"), Assignment(READER, "/subscriptions/X")}


@pytest.mark.parametrize(
    ("issuers", "expected"), [(["https://a"], "https://a"), (["https://a", "https://b"], None), ([], None)]
)
def test_a_claimed_group_becomes_the_only_known_issuers_or_nobodys(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, issuers: list[str], expected: str | None
) -> None:
    module = migrations_upgrade.__globals__
    upgrade = module["command"].upgrade
    monkeypatch.setattr(module["command"], "upgrade", lambda config, _head: upgrade(config, "0015"))
    monkeypatch.setitem(module, "differences", lambda _connection: [])
    Store.open(url, clock).close()
    monkeypatch.undo()
    execute(url, "INSERT INTO principal VALUES ('g', 'ops', 'ops', 'claimedGroup', 0, NULL)")
    for issuer in issuers:
        values = f"'{issuer}', 'g', 'account', 'bob at work at {issuer}', 'none', 0"
        execute(url, f"INSERT INTO credential (id, principal, kind, label, secret_hash, created_at) VALUES ({values})")
    store = Store.open(url, clock)
    found = store.read_now(lambda tx: principals.get_many(tx, ["g"]))
    store.close()
    assert found["g"].issuer == expected
