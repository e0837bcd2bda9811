"""The record's rows. They are added and numbered, and never changed: the database refuses the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, insert, select, update

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
    """

    since: datetime | None = None
    until: datetime | None = None
    resource: str | None = None
    within: str | None = None
    principal: str | None = None
    operation: str | None = None
    correlation: str | None = None


ALL = Filter()


def append(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add entries: values by column, without `id` and `sequence`."""
    if rows:
        tx.run(_insert, rows)


def newest(tx: Tx, wanted: Filter = ALL, *, before: int | None = None, most: int = 100) -> list[Entry]:
    """Entries, newest first, continuing before an id."""
    statement = select(activity).where(*_conditions(wanted))
    if before is not None:
        statement = statement.where(activity.c.id < before)
    return [_entry(row) for row in tx.execute(statement.order_by(activity.c.id.desc()).limit(most))]


def oldest(tx: Tx, wanted: Filter = ALL, *, after: int = 0, most: int = 1000) -> list[Entry]:
    """Entries, oldest first, continuing after an id: page by page, an export of any length."""
    statement = select(activity).where(*_conditions(wanted), activity.c.id > after)
    return [_entry(row) for row in tx.execute(statement.order_by(activity.c.id).limit(most))]


def give_sequence(tx: Tx, most: int) -> list[int]:
    """Number the next entries that have no sequence yet; returns the numbers. For one sealer at a time."""
    unsealed = [row.id for row in tx.execute(_unsealed, {"most": most})]
    if not unsealed:
        return []
    first = (tx.execute(_last_sequence).scalar() or 0) + 1
    numbers = list(range(first, first + len(unsealed)))
    tx.execute(_seal, [{"b_id": entry, "b_sequence": number} for entry, number in zip(unsealed, numbers, strict=True)])
    return numbers


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    columns = activity.c
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(columns.at >= wanted.since)
    if wanted.until is not None:
        found.append(columns.at < wanted.until)
    if wanted.resource is not None:
        found.append(columns.resource_key == key(wanted.resource))
    if wanted.within is not None:
        found.append(_is_within(key(wanted.within).rstrip("/")))
    for column, value in (
        (columns.principal, wanted.principal),
        (columns.operation, wanted.operation),
        (columns.correlation, wanted.correlation),
    ):
        if value is not None:
            found.append(column == value)
    return found


def _is_within(scope: str) -> ColumnElement[bool]:
    # Not LIKE: an id may hold what LIKE takes for a wildcard.
    below = func.substr(activity.c.resource_key, 1, len(scope) + 1) == scope + "/"
    return below | (activity.c.resource_key == scope)


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.__slots__})


_insert = Prepared(insert(activity), [name for name in activity.columns.keys() if name not in ("id", "sequence")])
_unsealed = select(activity.c.id).where(activity.c.sequence.is_(None)).order_by(activity.c.id).limit(bindparam("most"))
_last_sequence = select(func.max(activity.c.sequence))
_seal = update(activity).where(activity.c.id == bindparam("b_id")).values(sequence=bindparam("b_sequence"))
