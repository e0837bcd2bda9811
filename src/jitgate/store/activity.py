"""The record's rows. They are added and numbered, and never changed: the database refuses the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select

from jitgate.core.resource_id import key
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import activity


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record.

    `id`         rises in the order of writing
    `sequence`   rises without a gap in the order of sealing; None until then
    `principal`  a uid; None: jitgate itself
    """

    id: int
    sequence: int | None
    at: datetime
    operation: str
    outcome: str
    principal: str | None
    caller: str
    credential: str | None
    address: str | None
    resource: str
    correlation: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries. None: any.

    `since`     from this moment on
    `until`     before this moment
    `resource`  about exactly this
    `within`    about anything at or below this scope path
    `principal` by uid; `caller`: by name, in any case of ASCII letters
    `outcomes`  one of these; empty: any
    `provider`  operations of this resource provider, such as Microsoft.Security
    """

    since: datetime | None = None
    until: datetime | None = None
    resource: str | None = None
    within: str | None = None
    principal: str | None = None
    caller: str | None = None
    operation: str | None = None
    outcomes: Sequence[str] = ()
    correlation: str | None = None
    provider: str | None = None


ALL = Filter()


def append(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add entries: values by column, without `id` and `sequence`."""
    if rows:
        tx.run(_insert, rows)


def newest(tx: Tx, wanted: Filter = ALL, *, before: int | None = None, most: int = 100) -> list[Entry]:
    """Entries, newest first, continuing before an id."""
    statement = select(activity).where(*conditions(wanted))
    if before is not None:
        statement = statement.where(activity.c.id < before)
    return [entry(row) for row in tx.execute(statement.order_by(activity.c.id.desc()).limit(most))]


def oldest(tx: Tx, wanted: Filter = ALL, *, after: int = 0, most: int = 1000) -> list[Entry]:
    """Entries, oldest first, continuing after an id: page by page, an export of any length."""
    statement = select(activity).where(*conditions(wanted), activity.c.id > after)
    return [entry(row) for row in tx.execute(statement.order_by(activity.c.id).limit(most))]


def conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    """What must hold of an entry; None for what may be anything."""
    columns = activity.c
    found = [
        None if wanted.since is None else columns.at >= wanted.since,
        None if wanted.until is None else columns.at < wanted.until,
        None if wanted.resource is None else columns.resource_key == key(wanted.resource),
        None if wanted.within is None else _is_within(key(wanted.within).rstrip("/")),
        None if wanted.caller is None else func.lower(columns.caller) == func.lower(wanted.caller),
        None if wanted.provider is None else _is_of_provider(wanted.provider),
        None if wanted.principal is None else columns.principal == wanted.principal,
        None if wanted.operation is None else columns.operation == wanted.operation,
        columns.outcome.in_(wanted.outcomes) if wanted.outcomes else None,
        None if wanted.correlation is None else columns.correlation == wanted.correlation,
    ]
    return [condition for condition in found if condition is not None]


def _is_of_provider(provider: str) -> ColumnElement[bool]:
    start = provider + "/"
    return func.lower(func.substr(activity.c.operation, 1, len(start))) == func.lower(start)


def _is_within(scope: str) -> ColumnElement[bool]:
    # Not LIKE: an id may hold what LIKE takes for a wildcard.
    below = func.substr(activity.c.resource_key, 1, len(scope) + 1) == scope + "/"
    return below | (activity.c.resource_key == scope)


def entry(row: Row[Any]) -> Entry:
    """A row as an entry."""
    return Entry(**{name: getattr(row, name) for name in Entry.__slots__})


_insert = Prepared(insert(activity), [name for name in activity.columns.keys() if name not in ("id", "sequence")])
