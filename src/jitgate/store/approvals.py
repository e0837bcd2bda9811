"""What others said to requests, and which requests wait for somebody to say something."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, text, update

from jitgate.core.access import Grant, Span
from jitgate.core.progress import due_at
from jitgate.store.database import Tx
from jitgate.store.schema import approval, grants


class Verdict(StrEnum):
    """What somebody said."""

    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said to a request. `name` is theirs at that time; `principal` their uid."""

    request: str
    principal: str
    name: str
    verdict: Verdict
    at: datetime
    note: str


def put(tx: Tx, said: Said) -> None:
    """Keep what somebody said, in place of what they said to the same request before."""
    tx.execute(_delete, {"b_request": said.request, "b_principal": said.principal})
    tx.execute(_insert, {name: getattr(said, name) for name in Said.__slots__})


def of(tx: Tx, requests: Sequence[str]) -> dict[str, list[Said]]:
    """What was said to each of these requests, in the order in which it was."""
    found: dict[str, list[Said]] = {request: [] for request in requests}
    for row in tx.execute(_of, {"requests": list(found)}) if found else ():
        found[row.request].append(Said(row.request, row.principal, row.name, Verdict(row.verdict), row.at, row.note))
    return found


def waiting(tx: Tx, most: int, after: tuple[datetime, str] | None = None) -> list[tuple[datetime, str]]:
    """The requests that wait for approval, the oldest first, each with when it was made."""
    at, uid = after or (None, "")
    statement = _waiting if at is None else _waiting.having(_is_after)
    values = {"most": most} | ({"at": at, "uid": uid} if at is not None else {})
    return [(row.at, row.request) for row in tx.execute(statement, values)]


def waiting_since(tx: Tx, after: datetime, until: datetime, most: int) -> list[str]:
    """The requests that wait for approval and were made after a moment, and not after another; the oldest first."""
    values = {"after": after, "until": until, "most": most}
    return [row.request for row in tx.execute(_waiting_since, values)]


def count_of(tx: Tx, principal: str) -> int:
    """How many requests of a principal wait for approval."""
    return int(tx.execute(_count_of, {"principal": principal}).scalar_one())


def shorten(tx: Tx, grant: Grant, span: Span, detail: str) -> Grant:
    """Let a grant that waits for approval last less; returns it as it is then. `detail`: what is said of it."""
    less = replace(grant, end=span.end, duration=span.duration)
    text = span.duration.text if span.duration is not None else None
    values = {"b_uid": grant.uid, "b_end": span.end, "b_duration": text, "b_due": due_at(less), "b_detail": detail}
    tx.execute(_shorten, values)
    return less


_shorten = (
    update(grants)
    .where(grants.c.uid == bindparam("b_uid"))
    .values(
        end_at=bindparam("b_end"),
        duration=bindparam("b_duration"),
        due_at=bindparam("b_due"),
        detail=bindparam("b_detail"),
        revision=grants.c.revision + 1,
    )
)
_insert = insert(approval)
_delete = delete(approval).where(
    approval.c.request == bindparam("b_request"), approval.c.principal == bindparam("b_principal")
)
_of = (
    select(approval)
    .where(approval.c.request.in_(bindparam("requests", expanding=True)))
    .order_by(approval.c.at, approval.c.principal)
)
_asked = func.min(grants.c.asked_at, type_=grants.c.asked_at.type)
# Not the bare column: SQLite would group along the index of all requests that there are or have been.
_request = func.coalesce(grants.c.request, literal_column("''"))
_waiting = (
    select(_request.label("request"), _asked.label("at"))
    .where(grants.c.state == literal_column("'pending'"))
    .group_by(_request)
    .order_by(_asked, _request)
    .limit(bindparam("most"))
)
_waiting_since = _waiting.where(grants.c.asked_at > bindparam("after"), grants.c.asked_at <= bindparam("until"))
# As the partial index of what is not over has it, so that it can be used.
_count_of = select(func.count(grants.c.request.distinct())).where(
    grants.c.principal == bindparam("principal"),
    grants.c.state == literal_column("'pending'"),
    text("grants.state NOT IN ('closing', 'closed')"),
)
_is_after = (_asked > bindparam("at", type_=grants.c.asked_at.type)) | (
    (_asked == bindparam("at", type_=grants.c.asked_at.type)) & (_request > bindparam("uid"))
)
