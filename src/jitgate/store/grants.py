"""Grants: one port of one machine out of a request."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, text, true, update

from jitgate.core import duration
from jitgate.core.access import CloseReason, Grant, State, supersedes
from jitgate.core.desired import AccessKey, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, is_wide
from jitgate.core.progress import Move, due_at
from jitgate.core.resource_id import key
from jitgate.store import told
from jitgate.store.classification import remember_access
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import grant_key, grants, group_member, machine
from jitgate.store.wants import keyed, parameters

NOT_OVER = ("pending", "scheduled", "opening", "open")

_columns = (
    grants.c.uid,
    grants.c.request,
    grants.c.principal,
    grants.c.machine,
    grants.c.scope,
    grants.c.port,
    grants.c.protocol,
    grants.c.sources,
    grants.c.session,
    grants.c.state,
    grants.c.asked_at,
    grants.c.since,
    grants.c.end_at,
    grants.c.duration,
    grants.c.start_at,
    grants.c.reason,
    grants.c.wait_until,
    grants.c.opened_at,
    grants.c.closed_at,
    grants.c.successor,
    grants.c.changed,
    grants.c.revision,
    grants.c.moved_from,
)

_set_later = ("reason", "opened_at", "closed_at", "successor")
_given_columns = [column.name for column in grants.columns if column.name not in _set_later]


def columns() -> Sequence[Any]:
    """The columns that `from_row` reads, for statements that join more."""
    return _columns


def from_row(row: Row[Any]) -> Grant:
    """A grant out of the columns above."""
    return Grant(
        uid=row.uid,
        request=row.request,
        principal=row.principal,
        machine=row.machine,
        scope=row.scope,
        port=row.port,
        protocol=Protocol(row.protocol),
        sources=tuple(Prefix(source) for source in row.sources),
        session=SessionEnd(row.session),
        state=State(row.state),
        asked_at=row.asked_at,
        since=row.since,
        end=row.end_at,
        duration=duration.parse(row.duration, "duration") if row.duration else None,
        start=row.start_at,
        reason=CloseReason(row.reason) if row.reason else None,
        wait_until=row.wait_until,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        successor=row.successor,
        changed=row.changed,
        revision=row.revision,
        moved_from=row.moved_from,
    )


_insert = Prepared(insert(grants), _given_columns)
_insert_key = Prepared(insert(grant_key), [column.name for column in grant_key.columns])


def add(tx: Tx, new: Sequence[tuple[Grant, Mapping[str, Any]]]) -> None:
    """Add grants, each with the columns that the value does not carry (position, policy, principal, …)."""
    if not new:
        return
    tx.run(_insert, [{**_values(grant), **more} for grant, more in new])
    tx.run(_insert_key, [_key_values(key, grant.uid) for grant, _ in new for key in grant.keys()])
    told.added(tx, [grant for grant, _ in new])


def get(tx: Tx, uids: Sequence[str]) -> dict[str, Grant]:
    """Grants by uid; those that do not exist are left out."""
    if not uids:
        return {}
    return {row.uid: from_row(row) for row in tx.execute(_by_uid, {"uids": list(uids)})}


_by_uid = select(*_columns).where(grants.c.uid.in_(bindparam("uids", expanding=True)))


def unchanged(tx: Tx, some: Sequence[Grant]) -> list[Grant]:
    """Those that nobody has changed since they were read."""
    found = tx.fetch_each(_revision, ({"grant_uid": grant.uid} for grant in some))
    read = zip(some, found, strict=True)
    return [grant for grant, rows in read if [row.revision for row in rows] == [grant.revision]]


_revision = Prepared(select(grants.c.revision).where(grants.c.uid == bindparam("grant_uid")))


def supersede(tx: Tx, new: Grant) -> list[Grant]:
    """Name a grant that begins to open as the successor of those whose place it takes; returns these."""
    old = [grant for grant in _candidates(tx, new) if supersedes(new, grant)]
    old += [grant for grant in _moved(tx, new) if grant not in old]
    name_successor(tx, [grant.uid for grant in old], new.uid)
    return old


def _moved(tx: Tx, new: Grant) -> list[Grant]:
    """The grant that a new one moves to another source, while it is open and nothing else takes its place."""
    found = get(tx, [new.moved_from] if new.moved_from else []).values()
    return [old for old in found if old.state.is_live and old.successor is None]


def _candidates(tx: Tx, new: Grant) -> list[Grant]:
    """The same principal's grants for the port that may lie inside the new one's sources.

    What lies inside single addresses are these addresses, so an index finds them. Only who asks for a
    wider prefix pays for a look at all of his own grants for the port.
    """
    place = {"principal": new.principal, "machine": new.machine, "port": new.port}
    if any(is_wide(prefix) for prefix in new.sources):
        return [from_row(row) for row in tx.execute(_not_over_of, place)]
    keys = ({**place, "protocol": str(key.protocol), "prefix": key.prefix} for key in new.keys())
    found = tx.fetch_each(_with_key, keys)
    return list({row.uid: from_row(row) for rows in found for row in rows}.values())


_not_over_of = select(*_columns).where(
    grants.c.principal == bindparam("principal"),
    grants.c.machine == bindparam("machine"),
    grants.c.port == bindparam("port"),
    grants.c.state.not_in(("closing", "closed")),
    grants.c.successor.is_(None),
)


_keyed = keyed(*_columns)
_with_key = Prepared(
    select(*(_keyed.c[column.key] for column in _columns)).where(
        _keyed.c.principal == bindparam("principal"),
        _keyed.c.successor.is_(None),
        literal_in(_keyed.c.state, NOT_OVER),
    )
)


# As the partial index has it: SQLAlchemy would write `changed = 1`, for which SQLite reads the whole table.
_is_changed = text("grants.changed")


def changed(tx: Tx, scope: str, limit: int) -> list[Grant]:
    """Grants of a scope that are not yet known to stand as asked. Closing ones first."""
    return ask_changed(tx, scope, limit)()


def ask_changed(tx: Tx, scope: str, limit: int) -> Callable[[], list[Grant]]:
    """The same, asked ahead."""
    rows = tx.ask(_changed, {"scope_name": scope, "most": limit})
    return lambda: [from_row(row) for row in rows()]


_changed = Prepared(
    select(*_columns)
    .where(grants.c.scope == bindparam("scope_name"), _is_changed)
    .order_by((grants.c.state == "closing").desc())
    .limit(bindparam("most"))
)


def due(tx: Tx, scope: str, limit: int) -> list[Grant]:
    """Grants of a scope that time alone moves now."""
    return [from_row(row) for row in tx.fetch(_due, {"scope_name": scope, "now": tx.now, "most": limit})]


_due = Prepared(
    select(*_columns)
    .where(grants.c.scope == bindparam("scope_name"), grants.c.due_at <= bindparam("now"))
    .where(grants.c.due_at.is_not(None))
    .order_by(grants.c.due_at, grants.c.asked_at)
    .limit(bindparam("most"))
)


def next_due(tx: Tx, scope: str) -> datetime | None:
    """When time next moves a grant of a scope."""
    return ask_next_due(tx, scope)()


def ask_next_due(tx: Tx, scope: str) -> Callable[[], datetime | None]:
    """The same, asked ahead."""
    rows = tx.ask(_next_due, {"scope_name": scope})
    return lambda: next((row.due_at for row in rows()), None)


_next_due = Prepared(
    select(grants.c.due_at)
    .where(grants.c.scope == bindparam("scope_name"), grants.c.due_at.is_not(None))
    .order_by(grants.c.due_at)
    .limit(1)
)


def cut_since(tx: Tx, scope: str, since: datetime) -> list[Grant]:
    """Grants of a scope that were closed lately for a reason that cuts sessions."""
    return [from_row(row) for row in tx.fetch(_cut_since, {"scope_name": scope, "since": since})]


_cut_since = Prepared(
    select(*_columns).where(
        grants.c.scope == bindparam("scope_name"),
        grants.c.closed_at >= bindparam("since"),
        grants.c.closed_at.is_not(None),
        literal_in(grants.c.reason, [str(reason) for reason in CloseReason if reason.cuts_sessions]),
        grants.c.opened_at.is_not(None),
    )
)


def live_on(tx: Tx, machine: str) -> list[Grant]:
    """Grants of a machine that are not over."""
    return [from_row(row) for row in tx.execute(_live_on, {"machine": machine})]


_live_on = select(*_columns).where(grants.c.machine == bindparam("machine"), grants.c.state.in_(NOT_OVER))


def not_over_of(tx: Tx, holders: Sequence[str]) -> list[Grant]:
    """Grants that are not over, of some principals and of the members of some groups, by uid."""
    if not holders:
        return []
    rows = [row for statement in (_of_principals, _of_members) for row in tx.execute(statement, {"uids": holders})]
    return [from_row(row) for row in {row.uid: row for row in rows}.values()]


# As the partial index has it, so that it can be used.
_is_not_over = text("grants.state NOT IN ('closing', 'closed')")
_of_principals = select(*_columns).where(grants.c.principal.in_(bindparam("uids", expanding=True)), _is_not_over)
_of_members = (
    select(*_columns)
    .join(group_member, group_member.c.member == grants.c.principal)
    .where(group_member.c.group.in_(bindparam("uids", expanding=True)), _is_not_over)
)


def live_below(tx: Tx, scope_path: str) -> list[Grant]:
    """Grants that are not over, of the machines at or below a scope path."""
    path = key(scope_path).rstrip("/") + "/"
    # Not LIKE: an id may hold what LIKE takes for a wildcard.
    below = (func.substr(machine.c.id_key, 1, len(path)) == path) | (machine.c.id_key == path.rstrip("/"))
    inside = select(machine.c.uuid).where(below)
    is_inside = grants.c.machine.in_(inside) if path != "/" else true()
    return [from_row(row) for row in tx.execute(select(*_columns).where(_is_not_over, is_inside))]


def superseded_by(tx: Tx, uids: Sequence[str]) -> list[Grant]:
    """Grants that wait for one of these to open, to be closed then."""
    return [from_row(row) for rows in tx.fetch_each(_superseded_by, ({"new": uid} for uid in uids)) for row in rows]


_superseded_by = Prepared(
    select(*_columns).where(
        grants.c.successor == bindparam("new"),
        grants.c.successor.is_not(None),
        literal_in(grants.c.state, NOT_OVER),
    )
)


def name_successor(tx: Tx, old: Sequence[str], successor: str | None) -> None:
    """Say which grant takes the place of these; None: none does after all."""
    if old:
        tx.run(_name_successor, [{"old": uid, "new": successor} for uid in old])


_name_successor = Prepared(update(grants).where(grants.c.uid == bindparam("old")).values(successor=bindparam("new")))


def move(tx: Tx, moves: Sequence[Move]) -> None:
    """Carry out moves that were decided in this same transaction. Illegal ones are refused by the database.

    A grant that is over before it stood takes nobody's place: who waits for it waits for its own successor.
    """
    if not moves:
        return
    tx.run(_move, [_move_values(m) for m in moves])
    remember_access(tx, moves)
    tx.run(_pass_on, [{"gone": m.grant.uid} for m in moves if m.state.is_over and not m.grant.opened_at])
    tx.run(_forget_keys, [{"over": m.grant.uid} for m in moves if m.state is State.CLOSED])
    told.moved(tx, moves)


_move = Prepared(
    update(grants)
    .where(grants.c.uid == bindparam("b_uid"))
    .values(
        previous_state=grants.c.state,
        state=bindparam("b_state"),
        since=bindparam("b_since"),
        reason=bindparam("b_reason"),
        # Why it failed is still worth knowing when it is shut.
        detail=func.coalesce(func.nullif(bindparam("b_detail"), ""), grants.c.detail),
        end_at=bindparam("b_end"),
        due_at=bindparam("b_due"),
        opened_at=bindparam("b_opened"),
        closed_at=bindparam("b_closed"),
        changed=bindparam("b_changed"),
        revision=grants.c.revision + 1,
    )
)
_gone = grants.alias("gone")
_pass_on = Prepared(
    update(grants)
    .where(grants.c.successor == bindparam("gone"), grants.c.successor.is_not(None))
    .values(successor=select(_gone.c.successor).where(_gone.c.uid == bindparam("gone")).scalar_subquery())
)
_forget_keys = Prepared(delete(grant_key).where(grant_key.c.grant == bindparam("over")))


def opening_since(tx: Tx, scope: str, before: datetime) -> list[Grant]:
    """Grants of a scope that began to open before a time, and are still not open."""
    return [from_row(row) for row in tx.execute(_opening_since, {"scope": scope, "before": before})]


_opening_since = select(*_columns).where(
    grants.c.scope == bindparam("scope"),
    _is_changed,
    grants.c.state == str(State.OPENING),
    grants.c.since < bindparam("before"),
)


def doubt(tx: Tx, keys: Iterable[AccessKey]) -> None:
    """Open grants that ask for these keys are not known to stand any more."""
    tx.run(_doubt, [parameters(key) for key in keys])


_doubt = Prepared(
    update(grants)
    .where(
        literal_in(grants.c.state, ("open",)),
        grants.c.uid.in_(
            select(grant_key.c.grant).where(
                grant_key.c.machine == bindparam("machine"),
                grant_key.c.port == bindparam("port"),
                grant_key.c.protocol == bindparam("protocol"),
                grant_key.c.prefix == bindparam("prefix"),
            )
        ),
    )
    .values(changed=True)
)


def settle(tx: Tx, uids: Sequence[str]) -> None:
    """These stand as asked."""
    if uids:
        tx.run(_settle, [{"settled": uid} for uid in uids])


_settle = Prepared(
    update(grants)
    .where(grants.c.uid == bindparam("settled"), literal_in(grants.c.state, ("open",)))
    .values(changed=False)
)


def set_end(tx: Tx, grant: Grant, end: datetime) -> None:
    """Give a grant another, absolute end: extended or shortened."""
    due = due_at(replace(grant, end=end))
    tx.execute(_set_end, {"b_uid": grant.uid, "b_end": end, "b_due": due, "b_changed": grant.state.is_live})


_set_end = (
    update(grants)
    .where(grants.c.uid == bindparam("b_uid"))
    .values(
        end_at=bindparam("b_end"),
        due_at=bindparam("b_due"),
        duration=None,
        changed=bindparam("b_changed"),
        revision=grants.c.revision + 1,
    )
)


def _values(grant: Grant) -> dict[str, Any]:
    return {
        "uid": grant.uid,
        "request": grant.request,
        "principal": grant.principal,
        "machine": grant.machine,
        "scope": grant.scope,
        "port": grant.port,
        "protocol": str(grant.protocol),
        "sources": list(grant.sources),
        "session": str(grant.session),
        "previous_state": str(State.NEW),
        "state": str(grant.state),
        "asked_at": grant.asked_at,
        "since": grant.since,
        "end_at": grant.end,
        "duration": grant.duration.text if grant.duration else None,
        "start_at": grant.start,
        "wait_until": grant.wait_until,
        "due_at": due_at(grant),
        "changed": grant.state is State.OPENING,
        "revision": 0,
        "moved_from": grant.moved_from,
    }


def _key_values(key: AccessKey, uid: str) -> dict[str, Any]:
    return {**parameters(key), "grant": uid}


def _move_values(m: Move) -> dict[str, Any]:
    end = m.end or m.grant.end
    return {
        "b_uid": m.grant.uid,
        "b_state": str(m.state),
        "b_since": m.at,
        "b_reason": str(m.reason) if m.reason else None,
        "b_detail": m.detail,
        "b_end": end,
        "b_due": due_at(replace(m.grant, state=m.state, end=end)),
        "b_opened": m.at if m.state is State.OPEN else m.grant.opened_at,
        "b_closed": m.at if m.state is State.CLOSED else None,
        "b_changed": m.state in (State.OPENING, State.CLOSING),
    }
