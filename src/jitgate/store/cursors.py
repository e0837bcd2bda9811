"""How far each receiver of notifications has got with the record, and who is at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, insert, or_, select, update

from jitgate.store.activity import Entry, entry
from jitgate.store.database import Tx
from jitgate.store.schema import activity, meta, notify_cursor


@dataclass(frozen=True, slots=True)
class Cursor:
    """One receiver's place: it has everything up to `sequence`. `attempts`: failures in a row with the next one."""

    name: str
    sequence: int
    attempts: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Receiver:
    """How a receiver fares.

    `behind`: so much is sealed that it was not told of; `error`: why the last attempt failed.
    """

    name: str
    behind: int
    attempts: int
    due_at: datetime
    error: str


def list_receivers(tx: Tx) -> list[Receiver]:
    """All of them, by name."""
    last = tx.execute(_last).scalar() or 0
    rows = tx.execute(_receivers)
    return [Receiver(row.name, max(0, last - row.sequence), row.attempts, row.due_at, row.error) for row in rows]


def make_known(tx: Tx, name: str) -> None:
    """Give a receiver a cursor: what is on record by now is not told to it."""
    if tx.execute(_get, {"cursor_name": name}).first() is None:
        last = tx.execute(_last).scalar() or 0
        values = {"name": name, "sequence": last, "attempts": 0, "due_at": tx.now, "error": ""}
        tx.execute(_insert, values)


def get(tx: Tx, name: str) -> Cursor | None:
    """A receiver's cursor."""
    row = tx.execute(_get, {"cursor_name": name}).first()
    return Cursor(row.name, row.sequence, row.attempts, row.due_at) if row else None


def claim(tx: Tx, name: str, owner: str, length: timedelta) -> Cursor | None:
    """Take a receiver for some time. None: another process has it, or it is not due."""
    values = {"b_name": name, "b_owner": owner, "b_now": tx.now, "b_until": tx.now + length}
    return get(tx, name) if tx.execute(_claim, values).rowcount == 1 else None


def after(tx: Tx, sequence: int, most: int) -> list[Entry]:
    """The lines of the record after one, in their order."""
    return [entry(row) for row in tx.execute(_after, {"sequence": sequence, "most": most})]


def advance(tx: Tx, name: str, sequence: int) -> None:
    """A receiver has everything up to here."""
    _set(tx, name, {"sequence": sequence, "attempts": 0, "due_at": tx.now, "error": ""})


def put_off(tx: Tx, name: str, attempts: int, until: datetime, error: str) -> None:
    """A receiver did not take the next one; try again later."""
    _set(tx, name, {"attempts": attempts, "due_at": until, "error": error[:500]})


def _set(tx: Tx, name: str, values: Mapping[str, Any]) -> None:
    tx.execute(update(notify_cursor).where(notify_cursor.c.name == name).values(values))


def watermark(tx: Tx, name: str) -> datetime | None:
    """Up to when something has been looked at."""
    text = tx.execute(_mark, {"mark_name": name}).scalar()
    return None if text is None else datetime.fromisoformat(text)


def set_watermark(tx: Tx, name: str, at: datetime) -> None:
    """Everything up to here has been looked at."""
    if tx.execute(_move_mark, {"b_name": name, "b_value": at.isoformat()}).rowcount == 0:
        tx.execute(insert(meta), {"name": name, "value": at.isoformat()})


_get = select(notify_cursor).where(notify_cursor.c.name == bindparam("cursor_name"))
_receivers = select(notify_cursor).order_by(notify_cursor.c.name)
_insert = insert(notify_cursor)
_last = select(func.max(activity.c.sequence))
_claim = (
    update(notify_cursor)
    .where(
        notify_cursor.c.name == bindparam("b_name"),
        notify_cursor.c.due_at <= bindparam("b_now", type_=notify_cursor.c.due_at.type),
        or_(
            notify_cursor.c.lease_owner.is_(None),
            notify_cursor.c.lease_owner == bindparam("b_owner"),
            notify_cursor.c.lease_until <= bindparam("b_now", type_=notify_cursor.c.due_at.type),
        ),
    )
    .values(lease_owner=bindparam("b_owner"), lease_until=bindparam("b_until", type_=notify_cursor.c.due_at.type))
)
_after = (
    select(activity)
    .where(activity.c.sequence > bindparam("sequence"))
    .order_by(activity.c.sequence)
    .limit(bindparam("most"))
)
_mark = select(meta.c.value).where(meta.c.name == bindparam("mark_name"))
_move_mark = update(meta).where(meta.c.name == bindparam("b_name")).values(value=bindparam("b_value"))
