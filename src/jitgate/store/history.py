"""What stood when: every state of a policy, a guardrail, a principal, a membership, a role and a role given.

Each is written in the transaction that made it so. Retention of the record does not touch it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select

from jitgate.store.database import Tx
from jitgate.store.schema import history

Body = Mapping[str, Any]


class What(StrEnum):
    """Of what a state is kept."""

    POLICY = "policy"
    GUARDRAIL = "guardrail"
    PRINCIPAL = "principal"
    MEMBER = "member"
    ROLE = "role"
    ASSIGNMENT = "assignment"


@dataclass(frozen=True, slots=True)
class State:
    """One state. `body`: None where it was removed; `before`: the one that it replaced; `principal`: a uid."""

    id: int
    key: str
    at: datetime
    principal: str | None
    caller: str
    body: Body | None
    before: Body | None = None


def keep(tx: Tx, what: What, key: str, body: Body | None, *, principal: str | None = None, caller: str = "") -> None:
    """Put a state on top of the ones before it. None: it was removed."""
    values = {"kind": str(what), "key": key, "at": tx.now, "principal": principal, "caller": caller}
    tx.execute(_insert, {**values, "body": None if body is None else dict(body)})


def standing(tx: Tx, what: What, at: datetime) -> dict[str, Body]:
    """What stood at a moment, by key."""
    rows = tx.execute(_standing, {"kind": str(what), "at": at})
    return {row.key: row.body for row in rows if row.body is not None}


def states(tx: Tx, what: What, *, after: int = 0, most: int = 100) -> list[State]:
    """States in the order in which they came, each with the one before it, continuing after an id."""
    rows = tx.execute(_states, {"kind": str(what), "after": after, "most": most}).all()
    return [_state(tx, what, row) for row in rows]


def _state(tx: Tx, what: What, row: Row[Any]) -> State:
    before = tx.execute(_before, {"kind": str(what), "key": row.key, "id": row.id}).first()
    return State(row.id, row.key, row.at, row.principal, row.caller, row.body, before.body if before else None)


_insert = insert(history)
_last = (
    select(func.max(history.c.id))
    .where(history.c.kind == bindparam("kind"), history.c.at <= bindparam("at"))
    .group_by(history.c.key)
)
_standing = select(history.c.key, history.c.body).where(history.c.id.in_(_last)).order_by(history.c.id)
_states = (
    select(history)
    .where(history.c.kind == bindparam("kind"), history.c.id > bindparam("after"))
    .order_by(history.c.id)
    .limit(bindparam("most"))
)
_before = (
    select(history.c.body)
    .where(history.c.kind == bindparam("kind"), history.c.key == bindparam("key"), history.c.id < bindparam("id"))
    .order_by(history.c.id.desc())
    .limit(1)
)
