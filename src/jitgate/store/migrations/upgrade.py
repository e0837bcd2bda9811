"""The way of a database to the newest revision, checked at its end."""

import contextlib
from collections.abc import Iterator

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text

from jitgate.core.access import TRANSITIONS
from jitgate.core.errors import JitgateError
from jitgate.store.schema import grant_transition, metadata

TRIGGERS = frozenset(
    {
        "activity_is_never_changed",
        "activity_is_sealed_once",
        "activity_is_never_deleted",
        "activity_head_is_never_changed",
        "activity_head_is_never_deleted",
    }
)
_LOCK = 0x6A697467
"""Any number that other users of the same PostgreSQL database do not lock by."""


class SchemaError(JitgateError):
    """The database is not one that this jitgate can work with."""

    code = "DatabaseSchema"


def upgrade(engine: Engine) -> None:
    """Bring the tables up to date, in one transaction. Raises SchemaError, and then changes nothing."""
    with engine.connect() as connection:
        if _revision(connection) == head():
            return
        connection.rollback()
        with _TRANSACTIONS[engine.dialect.name](connection):
            _upgrade(connection)


def head() -> str:
    """The newest revision that this jitgate knows."""
    return _scripts().get_current_head() or ""


def differences(connection: Connection) -> list[str]:
    """In what the database differs from what the code expects; nothing if all is well."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = [str(difference) for difference in compare_metadata(context, metadata)]
    moves = {(row.from_state, row.to_state) for row in connection.execute(select(grant_transition))}
    if moves != TRANSITIONS:
        found.append(f"legal moves of a grant: {sorted(moves ^ TRANSITIONS)}")
    triggers = set(connection.execute(text(_LIST_TRIGGERS[connection.dialect.name])).scalars())
    if missing := TRIGGERS - triggers:
        found.append(f"triggers: {sorted(missing)}")
    return found


def _upgrade(connection: Connection) -> None:
    _check_ours(connection)
    command.upgrade(_config(connection), "head")
    found = differences(connection)
    if connection.dialect.name == "sqlite":
        found += [f"broken reference: {row}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    if found:
        raise SchemaError(
            f"After the upgrade to revision {head()} the database is not as it must be, so it was left as it was:"
            f" {'; '.join(found)[:2000]}."
        )


def _check_ours(connection: Connection) -> None:
    """Refuse a database of somebody else, or of a newer jitgate."""
    revision = _revision(connection)
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is None and inspect(connection).get_table_names():
        raise SchemaError("The database has tables that jitgate did not make. Give jitgate a database of its own.")
    if revision is not None and revision not in known:
        raise SchemaError(
            f"The database was made by a newer jitgate: its revision is {revision}, and this jitgate knows"
            f" revisions up to {head()}. Install the newer jitgate again, or restore a backup from before."
        )


@contextlib.contextmanager
def _sqlite_transaction(connection: Connection) -> Iterator[None]:
    # A table that is made again would take along what refers to it; the check at the end makes up for it.
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


@contextlib.contextmanager
def _postgresql_transaction(connection: Connection) -> Iterator[None]:
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield


_TRANSACTIONS = {"sqlite": _sqlite_transaction, "postgresql": _postgresql_transaction}
_LIST_TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
}


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "jitgate.store:migrations")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
