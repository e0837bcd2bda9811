"""Requests: what somebody asked for, and the grants that came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, insert, or_, select, text

from jitgate.core.access import Grant
from jitgate.core.resource_id import key
from jitgate.store import grants as grant_rows
from jitgate.store import told
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import grants, machine, request, scope_state


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was made. `approvals`: how many it needs."""

    uid: str
    principal: str
    requestor: str
    justification: str
    caller: str | None
    credential: str
    at: datetime
    start: datetime | None
    approvals: int


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant with what was written about it in its request. `at`: when it was made."""

    grant: Grant
    at: datetime
    asked: Asked
    position: int
    policy: str
    machine_id: str
    source_texts: str | tuple[str, ...] | None
    detail: str


def add(tx: Tx, asked: Asked, given: Sequence[Granted]) -> None:
    """Add a request and its grants."""
    tx.run(_insert, [_asked_values(asked)])
    told.asked(tx, asked.uid)
    grant_rows.add(tx, [(one.grant, more(one)) for one in given])


_insert = Prepared(insert(request), [column.name for column in request.columns])

_joined = select(
    *grant_rows.columns(),
    grants.c.position,
    grants.c.policy,
    grants.c.machine_id,
    grants.c.source_texts,
    grants.c.detail,
    request.c.requestor,
    request.c.justification,
    request.c.caller,
    request.c.credential,
    request.c.asked_at.label("request_asked_at"),
    request.c.start_at.label("request_start_at"),
    request.c.approvals,
).join(request, request.c.uid == grants.c.request)


def get(tx: Tx, uid: str) -> list[Granted]:
    """The grants of one request, in order; empty if there is no such request."""
    return [_granted(row) for row in tx.execute(_get, {"request_uid": uid})]


_get = _joined.where(grants.c.request == bindparam("request_uid")).order_by(grants.c.position)


def of_policy(tx: Tx, policy: str, ended_since: datetime, most: int) -> list[Granted]:
    """What a policy (by uid) gave that is not closed, or closed lately, oldest first.

    At most `most`: of what is closed the oldest are left out first.
    """
    rows = list(tx.execute(_not_closed_of_policy, {"policy_uid": policy, "most": most}))
    if len(rows) < most:
        rows += tx.execute(_closed_of_policy, {"policy_uid": policy, "since": ended_since, "most": most - len(rows)})
    return [_granted(row) for row in sorted(rows, key=lambda row: (row.asked_at, row.request, row.position))]


_of_policy = (
    _joined.where(grants.c.policy == bindparam("policy_uid"))
    .order_by(grants.c.asked_at.desc(), grants.c.request.desc(), grants.c.position.desc())
    .limit(bindparam("most"))
)
_not_closed_of_policy = _of_policy.where(grants.c.closed_at.is_(None))
_closed_of_policy = _of_policy.where(grants.c.closed_at >= bindparam("since"))


def of_grants(tx: Tx, uids: Sequence[str]) -> list[Granted]:
    """Grants by uid."""
    return [_granted(row) for row in tx.execute(_of_grants, {"uids": list(uids)})]


_of_grants = _joined.where(grants.c.uid.in_(bindparam("uids", expanding=True)))


def ending(tx: Tx, after: datetime, until: datetime) -> list[Granted]:
    """Open grants that end after a moment, and not after another."""
    return [_granted(row) for row in tx.execute(_ending, {"after": after, "until": until})]


# Firewall by firewall, as the index has it.
_ending = (
    _joined.join(scope_state, scope_state.c.scope == grants.c.scope)
    .where(grants.c.due_at > bindparam("after"), grants.c.due_at <= bindparam("until"))
    .where(grants.c.due_at.is_not(None), literal_in(grants.c.state, ("open",)))
)


def latest_of(tx: Tx, principal: str, before: datetime, most: int) -> list[str]:
    """What a principal asked for before a moment, the newest first."""
    return [row.uid for row in tx.execute(_latest_of, {"principal_uid": principal, "before": before, "most": most})]


_latest_of = (
    select(request.c.uid)
    .where(request.c.principal == bindparam("principal_uid"), request.c.asked_at < bindparam("before"))
    .order_by(request.c.asked_at.desc(), request.c.uid.desc())
    .limit(bindparam("most"))
)


def find(tx: Tx, uid_prefix: str, most: int) -> list[str]:
    """The requests whose uid begins like this."""
    rows = tx.execute(_find_request, {"low": uid_prefix, "high": uid_prefix + "~", "most": most})
    return [row.uid for row in rows]


_find_request = (
    select(request.c.uid)
    .where(request.c.uid >= bindparam("low"), request.c.uid < bindparam("high"))
    .limit(bindparam("most"))
)


def find_grants(tx: Tx, uid_prefix: str, most: int) -> list[Granted]:
    """Grants whose uid begins like this."""
    return [_granted(row) for row in tx.execute(_find, {"low": uid_prefix, "high": uid_prefix + "~", "most": most})]


_find = _joined.where(grants.c.uid >= bindparam("low"), grants.c.uid < bindparam("high")).limit(bindparam("most"))


def list_grants(
    tx: Tx,
    *,
    states: Iterable[str],
    on_machine: str | None = None,
    principal: str,
    within: Sequence[str] = (),
    before: tuple[datetime, str] | None = None,
    most: int = 100,
) -> list[Granted]:
    """A principal's grants in these states, newest first, continuing before a moment and uid.

    `within`: and everybody's on the machines at or below these scope paths.
    """
    wanted = frozenset(map(str, states))
    statement = _joined.order_by(grants.c.asked_at.desc(), grants.c.uid.desc()).limit(most)
    if on_machine is not None:
        statement = statement.where(grants.c.machine == on_machine)
    if "/" not in within:
        statement = statement.where(or_(grants.c.principal == principal, *map(_is_on_machine_in, within)))
    if before is not None:
        at, uid = before
        statement = statement.where(or_(grants.c.asked_at < at, (grants.c.asked_at == at) & (grants.c.uid < uid)))
    found: list[Granted] = []
    # One after the other: what is not closed is little and spread over all that is, so each has an index of its own.
    for part, condition in ((wanted - {"closed"}, _IS_NOT_CLOSED), (wanted & {"closed"}, _IS_CLOSED)):
        if part:
            # Not the bare column: SQLite would find the states by their index, and sort all that it finds.
            is_wanted = func.coalesce(grants.c.state, "").in_(sorted(part))
            rows = tx.execute(statement.where(condition, is_wanted))
            found += [_granted(row) for row in rows]
    return sorted(found, key=lambda one: (one.grant.asked_at, one.grant.uid), reverse=True)[:most]


# As the partial indexes have it, so that they can be used.
_IS_NOT_CLOSED, _IS_CLOSED = text("grants.state != 'closed'"), text("grants.state = 'closed'")


def _is_on_machine_in(scope: str) -> ColumnElement[bool]:
    # Not LIKE: an id may hold what LIKE takes for a wildcard.
    path = key(scope).rstrip("/") + "/"
    inside = select(machine.c.uuid).where(func.substr(machine.c.id_key + "/", 1, len(path)) == path)
    return grants.c.machine.in_(inside)


def more(given: Granted) -> dict[str, Any]:
    """The columns of a grant that its value does not carry."""
    texts = given.source_texts
    return {
        "position": given.position,
        "policy": given.policy,
        "machine_id": given.machine_id,
        "source_texts": list(texts) if isinstance(texts, tuple) else texts,
        "detail": given.detail,
    }


def _asked_values(asked: Asked) -> dict[str, Any]:
    return {
        "uid": asked.uid,
        "principal": asked.principal,
        "requestor": asked.requestor,
        "justification": asked.justification,
        "caller": asked.caller,
        "credential": asked.credential,
        "asked_at": asked.at,
        "start_at": asked.start,
        "approvals": asked.approvals,
    }


def _granted(row: Row[Any]) -> Granted:
    texts = row.source_texts
    return Granted(
        grant=grant_rows.from_row(row),
        at=row.asked_at,
        asked=Asked(
            uid=row.request,
            principal=row.principal,
            requestor=row.requestor,
            justification=row.justification,
            caller=row.caller,
            credential=row.credential or "",
            at=row.request_asked_at,
            start=row.request_start_at,
            approvals=row.approvals,
        ),
        position=row.position,
        policy=row.policy,
        machine_id=row.machine_id,
        source_texts=tuple(texts) if isinstance(texts, list) else texts,
        detail=row.detail,
    )
