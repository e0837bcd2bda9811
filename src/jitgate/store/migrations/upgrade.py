"""The way of a database to the newest revision, or as far as older replicas allow; checked at its end."""

import contextlib
from collections.abc import Iterator, Sequence

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, insert, inspect, select, text, update

from jitgate.core.access import TRANSITIONS
from jitgate.store import migrations
from jitgate.store.migrations import NEEDS, Revision, SchemaError, Standing, newest, standing
from jitgate.store.presence import living
from jitgate.store.schema import grant_transition, meta, metadata

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
_LOCK_MILLISECONDS = 5000


def upgrade(engine: Engine) -> list[str]:
    """Bring the tables as far as living replicas allow, in one transaction; the names of those in the way of the rest.

    Raises SchemaError, and then changes nothing.
    """
    with engine.connect() as connection, _TRANSACTIONS[engine.dialect.name](connection):
        return _upgrade(connection)


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


def _upgrade(connection: Connection) -> list[str]:
    before = standing(connection)
    _check_ours(connection, before)
    allowed, in_the_way = _allowed(connection, before)
    if allowed:
        _carry_out(connection, allowed)
    return in_the_way


def _carry_out(connection: Connection, revisions: Sequence[Revision]) -> None:
    command.upgrade(_config(connection), revisions[-1].id)
    if connection.dialect.name == "postgresql":
        _order_by_bytes(connection)
    if taken_away := [each.id for each in revisions if each.is_post]:
        _keep_needs(connection, taken_away[-1])
    found = differences(connection) if revisions[-1].id == newest() else []
    if connection.dialect.name == "sqlite":
        found += [f"broken reference: {row}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    if found:
        raise SchemaError(
            f"After the upgrade to revision {revisions[-1].id} the database is not as it must be, so it was left as it"
            f" was: {'; '.join(found)[:2000]}."
        )


def _allowed(connection: Connection, before: Standing) -> tuple[list[Revision], list[str]]:
    """The revisions that are missing, up to the first that a living replica does not know and minds; and who that is.

    Raises SchemaError where this jitgate needs more.
    """
    missing = before.missing
    minding = [] if before.at is None or connection.dialect.name == "sqlite" else living(connection)
    ids = [each.id for each in missing]
    for position, revision in enumerate(missing):
        # Who knows none of those that are missing knows this one as little.
        names = [who.name for who in minding if who.knows not in ids[position:]] if revision.is_post else []
        if names and any(not each.is_post for each in missing[position:]):
            raise SchemaError(
                f"Replicas of a jitgate that is too old for this one are running: {', '.join(names)}. Bring them to the"
                f" version in between first, or stop them and wait a minute: revision {revision.id} takes away what"
                f" they need."
            )
        if names:
            return list(missing[:position]), names
    return list(missing), []


def _keep_needs(connection: Connection, revision: str) -> None:
    kept = connection.execute(update(meta).where(meta.c.name == NEEDS).values(value=revision))
    if not kept.rowcount:
        connection.execute(insert(meta).values(name=NEEDS, value=revision))


def _check_ours(connection: Connection, found: Standing) -> None:
    """Refuse a database of somebody else, or of a newer jitgate that has taken away what this one needs."""
    if found.at is None and inspect(connection).get_table_names():
        raise SchemaError("The database has tables that jitgate did not make. Give jitgate a database of its own.")
    if not found.is_known and not found.fits:
        raise SchemaError(
            f"The database was made by a newer jitgate: its revision is {found.at}, and this jitgate knows"
            f" revisions up to {newest()}. Install the newer jitgate again, or restore a backup from before."
        )


def _order_by_bytes(connection: Connection) -> None:
    """Have PostgreSQL order texts as SQLite and Python do, whatever the language of the database: lists go on after an
    id, and what is below a path stands between two texts."""
    tables: dict[str, list[str]] = {}
    for table, column in connection.execute(text(_OTHERWISE_ORDERED)):
        tables.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE TEXT COLLATE "C"')
    for table, changes in tables.items():
        # A column that a trigger names keeps its type as long as there is the trigger.
        triggers = connection.execute(text(_TRIGGERS_OF), {"table": table}).all()
        for trigger in triggers:
            connection.execute(text(f'DROP TRIGGER "{trigger.tgname}" ON "{table}"'))
        connection.execute(text(f'ALTER TABLE "{table}" {", ".join(changes)}'))
        for trigger in triggers:
            connection.exec_driver_sql(trigger.definition)


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
    # Over a connection of its own: what waits for the lock within its own transaction sees the tables as they were
    # before it waited. The lock goes with the connection, also when this process dies.
    with connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as holding:
        holding.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        with connection.begin():
            # Who waits for a table holds up everybody who comes after: it is tried again later instead.
            connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}"))
            yield
        holding.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})


_TRANSACTIONS = {"sqlite": _sqlite_transaction, "postgresql": _postgresql_transaction}
_OTHERWISE_ORDERED = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
"""
_TRIGGERS_OF = """
SELECT tgname, pg_get_triggerdef(pg_trigger.oid) AS definition FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid = CAST(:table AS regclass)
"""
_LIST_TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
}


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "jitgate.store:migrations")
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations.VERSIONS))
    return config
