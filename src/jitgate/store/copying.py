"""The records of a file, moved into an empty PostgreSQL database: whole, or not at all.

Nobody writes to the file meanwhile, and it is not taken up again afterwards: two that work on copies of one record
would each shut what the other has opened.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from jitgate.clock import Clock
from jitgate.core.errors import Conflict, Invalid, Unavailable
from jitgate.store import postgresql, sqlite, time
from jitgate.store.database import MOVED, Store, Tx, parse
from jitgate.store.prepared import AtOnce
from jitgate.store.schema import (
    activity,
    duty,
    grant_transition,
    history,
    meta,
    metadata,
    notify_cursor,
    replica,
    scope_state,
)
from jitgate.store.time import StoreTime

PIECE = 1000
"""Rows that are written at once."""

_MADE_BY_REVISIONS = (meta, duty, grant_transition)
_NUMBERED = (activity, history)
_LEASED = (scope_state, notify_cursor)


def move(source: str, target: str, clock: Clock, check: Callable[[Tx], object]) -> Mapping[str, int]:
    """Move all records; how many rows each table has. Only then is the file marked as moved.

    `source`, `target`: URLs. `check`: looks at the copy before it counts, and raises what is wrong with it. Raises
    Invalid for a wrong kind of database, Conflict for a target that holds something, SchemaError, Unavailable.
    """
    file, server = parse(source), parse(target)
    if file.get_backend_name() != "sqlite":
        raise Invalid("store.url", "the records are not in a file", allowed="an SQLite database, to be moved once")
    if server.get_backend_name() != "postgresql":
        raise Invalid("--to", "that is not PostgreSQL", allowed="postgresql://USER@HOST/NAME, of an empty database")
    for url in (source, target):
        Store.open(url, clock).close()  # Both have the same tables then.
    with ExitStack() as opened:
        one = opened.enter_context(sqlite.engine(file, StoreTime(clock)).connect())
        other = opened.enter_context(postgresql.engine(server).connect())
        try:
            return _move(one, other, check, server.render_as_string(hide_password=True))
        except DBAPIError as error:
            raise postgresql.outage(error) or sqlite.outage(error) or error from error


def _move(one: Connection, other: Connection, check: Callable[[Tx], object], name: str) -> Mapping[str, int]:
    # From here on nobody else writes to the file; who tries waits, and is then told.
    sqlite.control(one, "BEGIN IMMEDIATE")
    with other.begin():
        # Each transaction of jitgate's reads this table: who would begin to work on the target waits until it is whole.
        other.execute(text(f"LOCK TABLE {meta.name} IN ACCESS EXCLUSIVE MODE"))
        _must_be_empty(other)
        rows = {table.name: _copy(one, other, table) for table in metadata.sorted_tables}
        for table in metadata.sorted_tables:
            _compare(one, other, table)
        way = AtOnce(other)
        check(Tx(way, time.ask_latest(way)))
        _number_on(one, other)
        _free_leases(other)
    one.execute(insert(meta).values(name=MOVED, value=name))
    sqlite.control(one, "COMMIT")
    return rows


def _must_be_empty(target: Connection) -> None:
    for table in metadata.sorted_tables:
        if table not in _MADE_BY_REVISIONS and target.execute(select(table).limit(1)).first() is not None:
            raise Conflict(
                f"The target is not empty: there is something in {table.name}. Nothing was copied. Make a new database."
            )
    for table in _MADE_BY_REVISIONS:
        target.execute(delete(table))


def _copy(one: Connection, other: Connection, table: Table) -> int:
    copied = 0
    for piece in _rows(one, table).mappings().partitions(PIECE):
        other.execute(insert(table), [dict(row) for row in piece])
        copied += len(piece)
    return copied


def _compare(one: Connection, other: Connection, table: Table) -> None:
    """Row by row: what was written is what is read back. Raises Unavailable."""
    with closing(_rows(one, table)) as here, closing(_rows(other, table)) as there:
        same = all(tuple(row) == tuple(next(there, ())) for row in here) and next(there, None) is None
    if not same:
        raise Unavailable(f"The copy of {table.name} is not what it should be, so nothing was kept of it. Try again.")


def _rows(connection: Connection, table: Table) -> Any:
    """All rows in the order of their keys, which both databases order alike, without holding them all."""
    statement: Select[Any] = select(table).order_by(*table.primary_key.columns)
    return connection.execute(statement.execution_options(yield_per=PIECE))


def _number_on(one: Connection, other: Connection) -> None:
    """New rows are numbered on from the highest number that was ever given, also where its row has gone."""
    for table in _NUMBERED:
        last = one.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}).scalar()
        if last:
            place = func.pg_get_serial_sequence(table.name, "id")
            other.execute(select(func.setval(place, last)))


def _free_leases(target: Connection) -> None:
    """They were by another clock, and whoever held them has ended."""
    for table in _LEASED:
        target.execute(update(table).values(lease_owner=None, lease_until=None))
    target.execute(update(duty).values(owner=None, until=None))
    target.execute(delete(replica))
