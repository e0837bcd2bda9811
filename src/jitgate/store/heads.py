"""Sealed heads of the record, what is not sealed yet, and what retention lets go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from jitgate.core.record import Head
from jitgate.store.activity import Entry, Filter, conditions, entry
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import activity, activity_head, head_delivery


@dataclass(frozen=True, slots=True)
class Sealed:
    """A head with its signature. `expired_at`: when its events went, as retention demands."""

    head: Head
    signature: str
    expired_at: datetime | None = None

    @property
    def line(self) -> bytes:
        """As it stands in files."""
        return self.head.line(self.signature)


def add(tx: Tx, sealed: Sealed, entries: Sequence[int]) -> None:
    """Keep a head, and number the events that it seals: by id, in their order."""
    head = sealed.head
    values = {name: getattr(head, name) for name in Head.__slots__}
    tx.execute(_insert, {**values, "signature": sealed.signature})
    numbers = range(head.first, head.first + head.count)
    tx.run(_number, [{"b_id": entry, "b_sequence": number} for entry, number in zip(entries, numbers, strict=True)])


def last(tx: Tx) -> Sealed | None:
    """The newest head."""
    row = tx.execute(_last).first()
    return _sealed(row) if row else None


def has_sealed(tx: Tx, key: str) -> bool:
    """Whether a key (by its public half) has signed any head."""
    return tx.execute(_by, {"key": key}).first() is not None


def page(tx: Tx, after: int = 0, most: int = 1000) -> list[Sealed]:
    """Heads in their order, continuing after a number."""
    return [_sealed(row) for row in tx.execute(_page, {"after": after, "most": most})]


def holding(tx: Tx, sequence: int) -> Sealed | None:
    """The head that an event is sealed under."""
    row = tx.execute(_holding, {"sequence": sequence}).first()
    return _sealed(row) if row and sequence < row.first + row.count else None


def unsealed(tx: Tx, after: int, most: int) -> list[Entry]:
    """The next events to seal: those numbered `after` or later by an older jitgate, then the new ones."""
    numbered = tx.fetch(_numbered, {"after": after, "most": most})
    new = tx.fetch(_new, {"most": most - len(numbered)}) if len(numbered) < most else []
    return [entry(row) for row in [*numbered, *new]]


def sealed_after(tx: Tx, sequence: int, most: int) -> list[Entry]:
    """The next sealed events after a sequence, in their order."""
    return [entry(row) for row in tx.fetch(_numbered, {"after": sequence, "most": most})]


def events(tx: Tx, head: Head) -> list[Entry]:
    """The events of a batch in their order; none where they have expired."""
    return [entry(row) for row in tx.execute(_events, {"first": head.first, "last": head.last})]


def matching(tx: Tx, wanted: Filter, first: int, last: int) -> list[Entry]:
    """Sealed events of some batches that a filter lets through, in their order."""
    among = select(activity).where(*conditions(wanted), activity.c.sequence.between(first, last))
    return [entry(row) for row in tx.execute(among.order_by(activity.c.sequence))]


def first_matching(tx: Tx, wanted: Filter) -> Sealed | None:
    """The first head that seals an event which a filter lets through."""
    lowest = tx.execute(select(func.min(activity.c.sequence)).where(*conditions(wanted))).scalar()
    return None if lowest is None else holding(tx, lowest)


def expire(tx: Tx, before: datetime, most: int) -> Sealed | None:
    """Delete the events of the oldest batches that were sealed before a moment; the last one of these heads.

    None: there was none. The heads stay.
    """
    old = tx.execute(_old, {"before": before, "most": most}).all()
    if not old:
        return None
    final = _sealed(old[-1])
    tx.execute(_expire, {"b_number": final.head.number, "b_at": tx.now})
    tx.execute(_delete, {"first": old[0].first, "last": final.head.last})
    return final


def delivered(tx: Tx, outlet: str) -> int:
    """The last head that an outlet has taken; 0: none yet."""
    return tx.execute(_delivered, {"outlet": outlet}).scalar() or 0


def keep_delivered(tx: Tx, outlet: str, number: int) -> None:
    """An outlet has taken all heads up to a number."""
    values = {"b_outlet": outlet, "b_number": number}
    if not tx.execute(_keep_delivered, values).rowcount:
        tx.execute(_first_delivered, {"outlet": outlet, "number": number})


def _sealed(row: Row[Any]) -> Sealed:
    return Sealed(Head(**{name: getattr(row, name) for name in Head.__slots__}), row.signature, row.expired_at)


_insert = insert(activity_head)
_last = select(activity_head).where(
    activity_head.c.number == select(func.max(activity_head.c.number)).scalar_subquery()
)
_by = select(activity_head.c.number).where(activity_head.c.key == bindparam("key")).limit(1)
_page = (
    select(activity_head)
    .where(activity_head.c.number > bindparam("after"))
    .order_by(activity_head.c.number)
    .limit(bindparam("most"))
)
_holding = (
    select(activity_head)
    .where(activity_head.c.first <= bindparam("sequence"))
    .order_by(activity_head.c.first.desc())
    .limit(1)
)
_number = Prepared(
    update(activity)
    .where(activity.c.id == bindparam("b_id"), activity.c.sequence.is_(None))
    .values(sequence=bindparam("b_sequence"))
)
_numbered = Prepared(
    select(activity)
    .where(activity.c.sequence > bindparam("after"))
    .order_by(activity.c.sequence)
    .limit(bindparam("most"))
)
_new = Prepared(select(activity).where(activity.c.sequence.is_(None)).order_by(activity.c.id).limit(bindparam("most")))
_events = (
    select(activity)
    .where(activity.c.sequence.between(bindparam("first"), bindparam("last")))
    .order_by(activity.c.sequence)
)
_old = (
    select(activity_head)
    .where(activity_head.c.expired_at.is_(None), activity_head.c.at < bindparam("before"))
    .order_by(activity_head.c.number)
    .limit(bindparam("most"))
)
_expire = (
    update(activity_head)
    .where(activity_head.c.number <= bindparam("b_number"), activity_head.c.expired_at.is_(None))
    .values(expired_at=bindparam("b_at"))
)
_delete = delete(activity).where(activity.c.sequence.between(bindparam("first"), bindparam("last")))
_delivered = select(head_delivery.c.number).where(head_delivery.c.outlet == bindparam("outlet"))
_keep_delivered = (
    update(head_delivery).where(head_delivery.c.outlet == bindparam("b_outlet")).values(number=bindparam("b_number"))
)
_first_delivered = insert(head_delivery)
