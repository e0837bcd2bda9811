"""Requests that broke the glass, and what was said when they were looked at."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from jitgate.store.database import Tx
from jitgate.store.schema import review


@dataclass(frozen=True, slots=True)
class Review:
    """One of them. `reviewed_at` None: nobody has looked at it yet. `by`: a principal's uid."""

    request: str
    opened_at: datetime
    reviewed_at: datetime | None = None
    by: str | None = None
    note: str | None = None


def open_for(tx: Tx, request: str) -> None:
    """A request broke the glass, just now."""
    tx.execute(_insert, {"request": request, "opened_at": tx.now})


def get(tx: Tx, request: str) -> Review | None:
    """The review of a request; None: it did not break the glass."""
    row = tx.execute(_get, {"uid": request}).first()
    return _review(row) if row else None


def list_open(tx: Tx, most: int) -> list[Review]:
    """Those that nobody has looked at yet, the oldest first."""
    return [_review(row) for row in tx.execute(_open, {"most": most})]


def close(tx: Tx, request: str, by: str, note: str) -> bool:
    """Somebody has looked at it. False: somebody had already."""
    values = {"b_request": request, "b_at": tx.now, "b_by": by, "b_note": note}
    return tx.execute(_close, values).rowcount == 1


def _review(row: Row[Any]) -> Review:
    return Review(row.request, row.opened_at, row.reviewed_at, row.reviewed_by, row.note)


_insert = insert(review)
_get = select(review).where(review.c.request == bindparam("uid"))
_open = (
    select(review)
    .where(review.c.reviewed_at.is_(None))
    .order_by(review.c.opened_at, review.c.request)
    .limit(bindparam("most"))
)
_close = (
    update(review)
    .where(review.c.request == bindparam("b_request"), review.c.reviewed_at.is_(None))
    .values(reviewed_at=bindparam("b_at"), reviewed_by=bindparam("b_by"), note=bindparam("b_note"))
)
