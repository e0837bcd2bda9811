"""Scopes: what the reconciler knows of each firewall, and when to look at it next."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, func, insert, or_, select, update

from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import scope_state
from jitgate.store.time import DatabaseClock

LEFT_LYING_AFTER = timedelta(seconds=60)
"""A scope that its home has not looked at for so long after it was due is looked at by any replica: grants end on
record, and what is late is told, though the firewall may be out of its reach."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope's state.

    `sweep_at`    when everything is to be compared again; None: now
    `home`        the replica that its agent talks to; None: any replica reaches it
    `silent`      nothing has been heard for a minute of the process beside its home that holds it
    `attempts`    failures in a row
    `report`      the last report without its keys
    `reported_at` as of when that holds; None: never
    """

    scope: str
    connector: str
    generation: int
    home: str | None
    silent: bool
    due_at: datetime | None
    sweep_at: datetime | None
    attempts: int
    error: str
    memory: Mapping[str, Any]
    report: Mapping[str, Any]
    reported_at: datetime | None


def make_known(tx: Tx, scope: str, connector: str, home: str | None = None) -> None:
    """Add a scope, due at once, unless it is known; a connector of another name, or a new home, takes it over."""
    known = get(tx, scope)
    if known is not None:
        if (known.connector, known.home) != (connector, home):
            taken = {"connector": connector, "home": home, "silent_since": None}
            tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(taken))
            sweep_soon(tx, [scope])
        return
    tx.execute(
        insert(scope_state).values(
            scope=scope,
            connector=connector,
            home=home,
            generation=0,
            due_at=tx.now,
            attempts=0,
            error="",
            memory={},
            report={},
        )
    )


def make_home(tx: Tx, scope: str, replica: str | None) -> None:
    """The agent of a scope talks to this replica from now on; everything there is compared again."""
    tx.execute(_make_home, {"scope_name": scope, "replica": replica})
    sweep_soon(tx, [scope])


_make_home = update(scope_state).where(scope_state.c.scope == bindparam("scope_name")).values(home=bindparam("replica"))


def fall_silent(tx: Tx, connector: str, replica: str | None) -> list[str]:
    """Mark the scopes that a process beside a replica holds as silent; those that were not yet."""
    return _mark(tx, connector, replica, scope_state.c.silent_since.is_(None), tx.now)


def be_heard(tx: Tx, connector: str, replica: str | None) -> list[str]:
    """The process beside a replica is heard again; the scopes that had been silent, which are compared again now."""
    found = _mark(tx, connector, replica, scope_state.c.silent_since.is_not(None), None)
    sweep_soon(tx, found)
    return found


def _mark(tx: Tx, connector: str, replica: str | None, which: ColumnElement[bool], since: datetime | None) -> list[str]:
    values = {"connector_name": connector, "replica": replica}
    found = [row.scope for row in tx.execute(select(scope_state.c.scope).where(_beside, which), values)]
    if found:
        tx.execute(update(scope_state).where(_beside, which).values(silent_since=since), values)
    return found


_beside = and_(
    scope_state.c.connector == bindparam("connector_name"),
    scope_state.c.home.is_not_distinct_from(bindparam("replica")),
)


def get(tx: Tx, scope: str) -> Scope | None:
    """One scope."""
    return ask(tx, scope)()


def ask(tx: Tx, scope: str) -> Callable[[], Scope | None]:
    """The same, asked ahead."""
    rows = tx.ask(_get, {"scope": scope})
    return lambda: next(map(_scope, rows()), None)


_get = Prepared(select(scope_state).where(scope_state.c.scope == bindparam("scope")))


def get_many(tx: Tx, scopes: Iterable[str]) -> dict[str, Scope]:
    """Scopes by name."""
    names = sorted(set(scopes))
    pieces = (names[first : first + _PIECE] for first in range(0, len(names), _PIECE))
    return {row.scope: _scope(row) for piece in pieces for row in tx.execute(_get_many, {"scopes": piece})}


_PIECE = 1000
"""Names in one statement: PostgreSQL takes 65,535 in all."""
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
    # One by one, by the index: a list of a hundred thousand is more than a statement takes.
    tx.run(_sweep_soon, [{"scope_name": name, "at": tx.now} for name in names])
    for name in names:
        tx.wake(name)


_sweep_soon = Prepared(
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(sweep_at=None, due_at=bindparam("at"))
)


def sweep_by(tx: Tx, scope: str, at: datetime) -> None:
    """Have everything in a scope compared again no later than a given time."""
    tx.execute(_sweep_by, {"scope_name": scope, "at": at})


_sweep_by = (
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"), scope_state.c.sweep_at > bindparam("at"))
    .values(sweep_at=bindparam("at"))
)


def of_connector(tx: Tx, connector: str) -> list[str]:
    """The scopes behind one connector."""
    return list(tx.execute(_of_connector, {"connector_name": connector}).scalars())


def forget(tx: Tx, scopes: Iterable[str]) -> None:
    """Look at these no more. Nothing of ours may be left there."""
    for scope in scopes:
        tx.execute(_forget, {"scope_name": scope})


_forget = delete(scope_state).where(scope_state.c.scope == bindparam("scope_name"))


def sweep_all_of(tx: Tx, connector: str) -> None:
    """Have everything behind one connector compared again now."""
    sweep_soon(tx, of_connector(tx, connector))


_of_connector = select(scope_state.c.scope).where(scope_state.c.connector == bindparam("connector_name"))


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


def due(tx: Tx, connectors: Iterable[str], limit: int, replica: str = "") -> list[str]:
    """Scopes that a replica is to look at now and that nobody is looking at, the longest overdue first."""
    values = {"connectors": list(connectors), "now": tx.now, "limit": limit, "replica": replica}
    rows = tx.execute(_due, {**values, "left": tx.now - LEFT_LYING_AFTER})
    return [row.scope for row in rows]


def is_for(tx: Tx, state: Scope, replica: str) -> bool:
    """Whether a replica is to look at a scope: it reaches it, or whoever does has left it lying."""
    if state.home is None or state.home == replica:
        return True
    return state.due_at is not None and state.due_at <= tx.now - LEFT_LYING_AFTER


_is_ours = or_(scope_state.c.home.is_(None), scope_state.c.home == bindparam("replica"))
_due = (
    select(scope_state.c.scope)
    .where(
        scope_state.c.due_at <= bindparam("now"),
        or_(_is_ours, scope_state.c.due_at <= bindparam("left")),
        scope_state.c.connector.in_(bindparam("connectors", expanding=True)),
        or_(scope_state.c.lease_owner.is_(None), scope_state.c.lease_until <= DatabaseClock()),
    )
    .order_by(scope_state.c.due_at)
    .limit(bindparam("limit"))
)


def next_due(tx: Tx, connectors: Iterable[str], replica: str = "") -> datetime | None:
    """When the next scope that nobody is looking at, and that is not due yet, is to be looked at."""
    values = {"connectors": list(connectors), "now": tx.now, "replica": replica}
    found: datetime | None = tx.execute(_next_due, values).scalar()
    return found


_next_due = select(func.min(scope_state.c.due_at, type_=scope_state.c.due_at.type)).where(
    scope_state.c.due_at > bindparam("now"),
    _is_ours,
    scope_state.c.lease_owner.is_(None),
    scope_state.c.connector.in_(bindparam("connectors", expanding=True)),
)


def all_due(tx: Tx, connectors: Iterable[str], replica: str = "") -> None:
    """Have every scope of these connectors that a replica reaches swept now: what a start does."""
    tx.execute(_all_due, {"connectors": list(connectors), "at": tx.now, "replica": replica})


_all_due = (
    update(scope_state)
    .where(scope_state.c.connector.in_(bindparam("connectors", expanding=True)), _is_ours)
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
        tx.run(_keep_report, [{"scope_name": scope, "said": dict(report), "as_of": at}])
        tx.run(_end_sweep, [{"scope_name": scope, "at": sweep_at}])


_succeed = Prepared(
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(memory=bindparam("done"), attempts=0, error="")
)
_keep_report = Prepared(
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(report=bindparam("said"), reported_at=bindparam("as_of"))
)


def record_part(tx: Tx, scope: str, found: Mapping[str, Any], under_way: str) -> None:
    """How machines are reached, as far as a report about a part has told, and what takes a while yet."""
    known = get(tx, scope)
    report = dict(known.report) if known else {}
    connections = {**report.get("connections", {}), **found}
    values = {"report": {**report, "connections": connections, "underWay": under_way}}
    tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(values))


def record_pending(tx: Tx, scope: str, memory: Mapping[str, Any], error: str) -> None:
    """A firewall is at it. `error`: what is the matter if that takes too long."""
    values = {"memory": dict(memory), "attempts": 0, "error": error}
    tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(values))


def begin_sweep(tx: Tx, scope: str) -> None:
    """A comparison of everything begins. Whoever asks for one from now on asks for another."""
    tx.run(_begin_sweep, [{"scope_name": scope, "at": tx.now}])


_set_sweep = update(scope_state).where(scope_state.c.scope == bindparam("scope_name")).values(sweep_at=bindparam("at"))
_begin_sweep = Prepared(_set_sweep)
# Not where somebody has asked for another one meanwhile.
_end_sweep = Prepared(_set_sweep.where(scope_state.c.sweep_at.is_not(None)))


def record_failure(tx: Tx, scope: str, attempts: int, error: str) -> None:
    """Why a firewall did not do what it was asked."""
    tx.execute(_record_failure, {"scope_name": scope, "attempts": attempts, "error": error})


_record_failure = (
    update(scope_state)
    .where(scope_state.c.scope == bindparam("scope_name"))
    .values(attempts=bindparam("attempts"), error=bindparam("error"))
)


def remember(tx: Tx, scope: str, memory: Mapping[str, Any]) -> None:
    """What a connector wants to be told again, although it has failed."""
    tx.execute(update(scope_state).where(scope_state.c.scope == scope).values(memory=dict(memory)))


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
        home=row.home,
        silent=row.silent_since is not None,
        due_at=row.due_at,
        sweep_at=row.sweep_at,
        attempts=row.attempts,
        error=row.error,
        memory=row.memory,
        report=row.report,
        reported_at=row.reported_at,
    )
