"""Scopes: what the reconciler knows of each firewall, and when to look at it next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, or_, select, update

from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import scope_state


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope's state.

    `sweep_at`    when everything is to be compared again; None: now
    `attempts`    failures in a row
    `report`      the last report without its keys
    `reported_at` as of when that holds; None: never
    """

    scope: str
    connector: str
    generation: int
    due_at: datetime | None
    sweep_at: datetime | None
    attempts: int
    error: str
    memory: Mapping[str, Any]
    report: Mapping[str, Any]
    reported_at: datetime | None


def make_known(tx: Tx, scope: str, connector: str) -> None:
    """Add a scope, due at once, unless it is known; a connector of another name takes it over."""
    known = get(tx, scope)
    if known is not None:
        if known.connector != connector:
            tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(connector=connector))
            sweep_soon(tx, [scope])
        return
    tx.execute(
        insert(scope_state).values(
            scope=scope,
            connector=connector,
            generation=0,
            due_at=tx.now,
            attempts=0,
            error="",
            memory={},
            report={},
        )
    )


def get(tx: Tx, scope: str) -> Scope | None:
    """One scope."""
    rows = tx.fetch(_get, {"scope": scope})
    return _scope(rows[0]) if rows else None


_get = Prepared(select(scope_state).where(scope_state.c.scope == bindparam("scope")))


def get_many(tx: Tx, scopes: Iterable[str]) -> dict[str, Scope]:
    """Scopes by name."""
    names = list(set(scopes))
    if not names:
        return {}
    rows = tx.execute(_get_many, {"scopes": names})
    return {row.scope: _scope(row) for row in rows}


_get_many = select(scope_state).where(scope_state.c.scope.in_(bindparam("scopes", expanding=True)))


def wake(tx: Tx, scope: str) -> None:
    """Have a scope looked at now: on record, and by a signal after the commit."""
    hasten(tx, scope, tx.now)


def hasten(tx: Tx, scope: str, at: datetime) -> None:
    """Have a scope looked at no later than a given time."""
    tx.run(_hasten, [{"scope_name": scope, "at": at}])
    tx.wake(scope)


_hasten = Prepared(
    update(scope_state)
    .where(
        scope_state.c.scope == bindparam("scope_name"),
        or_(scope_state.c.due_at.is_(None), scope_state.c.due_at > bindparam("at")),
    )
    .values(due_at=bindparam("at"))
)


def sweep_soon(tx: Tx, scopes: Iterable[str]) -> None:
    """Have everything in these scopes compared again now."""
    names = sorted(set(scopes))
    if not names:
        return
    tx.execute(_sweep_soon, {"scopes": names, "at": tx.now})
    for name in names:
        tx.wake(name)


_sweep_soon = (
    update(scope_state)
    .where(scope_state.c.scope.in_(bindparam("scopes", expanding=True)))
    .values(sweep_at=None, due_at=bindparam("at"))
)


def sweep_all(tx: Tx) -> None:
    """Have everything everywhere compared again now."""
    names = [row.scope for row in tx.execute(select(scope_state.c.scope))]
    sweep_soon(tx, names)


def begin(tx: Tx, scope: str, until: datetime) -> None:
    """A look at a scope begins, which ends at the latest at `until`. Whoever hastens it from now on wants another."""
    tx.run(_begin, [{"scope_name": scope, "at": until}])


_begin = Prepared(
    update(scope_state).where(scope_state.c.scope == bindparam("scope_name")).values(due_at=bindparam("at"))
)


def due(tx: Tx, connectors: Iterable[str], limit: int) -> list[str]:
    """Scopes that are to be looked at now and that nobody is looking at, the longest overdue first."""
    rows = tx.execute(_due, {"connectors": list(connectors), "now": tx.now, "limit": limit})
    return [row.scope for row in rows]


_due = (
    select(scope_state.c.scope)
    .where(
        scope_state.c.due_at <= bindparam("now"),
        scope_state.c.connector.in_(bindparam("connectors", expanding=True)),
        or_(scope_state.c.lease_owner.is_(None), scope_state.c.lease_until <= bindparam("now")),
    )
    .order_by(scope_state.c.due_at)
    .limit(bindparam("limit"))
)


def next_due(tx: Tx, connectors: Iterable[str]) -> datetime | None:
    """When the next scope that nobody is looking at, and that is not due yet, is to be looked at."""
    found: datetime | None = tx.execute(_next_due, {"connectors": list(connectors), "now": tx.now}).scalar()
    return found


_next_due = select(func.min(scope_state.c.due_at, type_=scope_state.c.due_at.type)).where(
    scope_state.c.due_at > bindparam("now"),
    scope_state.c.lease_owner.is_(None),
    scope_state.c.connector.in_(bindparam("connectors", expanding=True)),
)


def all_due(tx: Tx, connectors: Iterable[str]) -> None:
    """Have every scope of these connectors swept now: what a start does."""
    tx.execute(_all_due, {"connectors": list(connectors), "at": tx.now})


_all_due = (
    update(scope_state)
    .where(scope_state.c.connector.in_(bindparam("connectors", expanding=True)))
    .values(due_at=bindparam("at"), sweep_at=None, attempts=0)
)


def record_success(
    tx: Tx, scope: str, memory: Mapping[str, Any], report: Mapping[str, Any] | None, at: datetime, sweep_at: datetime
) -> None:
    """What a firewall said of what it had to hold `at` a time, and when everything is to be compared again.

    `report`  None: it was asked about a part only, so the last report and the next comparison stay.
    """
    tx.run(_succeed, [{"scope_name": scope, "done": dict(memory)}])
    if report is not None:
        tx.execute(_keep_report, {"scope_name": scope, "said": dict(report), "as_of": at})
        tx.execute(_end_sweep, {"scope_name": scope, "at": sweep_at})


_succeed = Prepared(
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(memory=bindparam("done"), attempts=0, error="")
)
_keep_report = (
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(report=bindparam("said"), reported_at=bindparam("as_of"))
)


def record_connections(tx: Tx, scope: str, found: Mapping[str, Any]) -> None:
    """How machines are reached, as far as a report about a part has told."""
    known = get(tx, scope)
    report = dict(known.report) if known else {}
    values = {"report": {**report, "connections": {**report.get("connections", {}), **found}}}
    tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(values))


def record_pending(tx: Tx, scope: str, memory: Mapping[str, Any], error: str) -> None:
    """A firewall is at it. `error`: what is the matter if that takes too long."""
    values = {"memory": dict(memory), "attempts": 0, "error": error}
    tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(values))


def begin_sweep(tx: Tx, scope: str) -> None:
    """A comparison of everything begins. Whoever asks for one from now on asks for another."""
    tx.execute(_begin_sweep, {"scope_name": scope, "at": tx.now})


_begin_sweep = (
    update(scope_state).where(scope_state.c.scope == bindparam("scope_name")).values(sweep_at=bindparam("at"))
)
# Not where somebody has asked for another one meanwhile.
_end_sweep = _begin_sweep.where(scope_state.c.sweep_at.is_not(None))


def record_failure(tx: Tx, scope: str, attempts: int, error: str) -> None:
    """Why a firewall did not do what it was asked."""
    tx.execute(_record_failure, {"scope_name": scope, "attempts": attempts, "error": error})


_record_failure = (
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(attempts=bindparam("attempts"), error=bindparam("error"))
)


def raise_generation(tx: Tx, scope: str, generation: int) -> None:
    """Go on from a generation that an enforcer already holds: it is ahead of a restored database."""
    tx.execute(_raise_generation, {"scope_name": scope, "generation": generation})


_raise_generation = (
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"), scope_state.c.generation < bindparam("generation"))
    .values(generation=bindparam("generation"))
)


def _scope(row: Row[Any]) -> Scope:
    return Scope(
        scope=row.scope,
        connector=row.connector,
        generation=row.generation,
        due_at=row.due_at,
        sweep_at=row.sweep_at,
        attempts=row.attempts,
        error=row.error,
        memory=row.memory,
        report=row.report,
        reported_at=row.reported_at,
    )
