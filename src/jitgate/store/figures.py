"""Figures of days, and what they are counted from: one day's requests, and no more than that at a time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, literal_column, select

from jitgate.core import duration
from jitgate.core.insight import DayFigures, Spread, Trace, Use
from jitgate.core.prefixes import Prefix
from jitgate.store.database import Tx
from jitgate.store.schema import approval, day_figures, grants, policy_use, request

_COUNTED = ("requests", "needed_approval", "denied", "grants", "opened")


def days(tx: Tx, first: date, last: date) -> dict[date, tuple[DayFigures, datetime]]:
    """The figures that are kept of some days, each with when it was counted."""
    rows = tx.execute(_days, {"first": first.isoformat(), "last": last.isoformat()})
    return {figures.day: (figures, row.at) for row in rows for figures in [_figures(row)]}


def put(tx: Tx, counted: Iterable[tuple[DayFigures, Sequence[Use]]]) -> None:
    """Keep the figures of some days, in place of those that are kept."""
    for figures, uses in counted:
        day = figures.day.isoformat()
        for statement in _forget:
            tx.execute(statement, {"b_day": day})
        tx.execute(_insert_day, {"day": day, "at": tx.now, "final": figures.is_final, "body": _body(figures)})
        if uses:
            tx.execute(_insert_use, [_use_values(day, use) for use in uses])


def traces(tx: Tx, begin: datetime, end: datetime) -> list[Trace]:
    """What became of all that was asked for from one moment until before another."""
    return [_trace(row) for row in tx.execute(_traces, {"begin": begin, "end": end})]


def uses_since(tx: Tx, first: date, policies: Sequence[str]) -> dict[str, dict[int, Use]]:
    """How the ports of some policies (by uid) were used from a day on: by policy, and port."""
    found: dict[str, dict[int, Use]] = {uid: {} for uid in policies}
    for row in tx.execute(_uses, {"first": first.isoformat(), "policies": list(policies)}) if policies else ():
        widest = {family: bits for family, bits in ((4, row.widest_4), (6, row.widest_6)) if bits is not None}
        use = Use(row.policy, row.port, int(row.number), timedelta(seconds=row.longest), widest)
        found[row.policy][row.port] = use
    return found


def _trace(row: Row[Any]) -> Trace:
    begun = max(each for each in (row.asked_at, row.start_at, row.agreed_at) if each is not None)
    length = duration.parse(row.duration, "duration").length if row.duration else None
    return Trace(
        request=row.request,
        policy=row.policy,
        port=row.port,
        sources=[Prefix(source) for source in row.sources],
        asked_for=length if length is not None else row.end_at and row.end_at - (row.start_at or row.asked_at),
        needed_approval=row.approvals > 0,
        ready=begun if row.opened_at is not None else None,
        opened=row.opened_at,
        ended=row.end_at,
        closed=row.closed_at,
        reason=row.reason,
    )


def _figures(row: Row[Any]) -> DayFigures:
    body: Mapping[str, Any] = row.body
    opening, closing = (Spread({int(k): v for k, v in body[name].items()}) for name in ("opening", "closing"))
    requests, needed_approval, denied, given, opened = (body[name] for name in _COUNTED)
    day = date.fromisoformat(row.day)
    return DayFigures(day, requests, needed_approval, denied, given, opened, opening, closing, row.final)


def _body(figures: DayFigures) -> dict[str, Any]:
    told = asdict(figures)
    spreads = {"opening": dict(figures.opening.counts), "closing": dict(figures.closing.counts)}
    return {name: told[name] for name in _COUNTED} | spreads


def _use_values(day: str, use: Use) -> dict[str, Any]:
    return {
        "day": day,
        "policy": use.policy,
        "port": use.port,
        "count": use.count,
        "longest": int(use.longest.total_seconds()),
        "widest_4": use.widest.get(4),
        "widest_6": use.widest.get(6),
    }


_days = select(day_figures).where(day_figures.c.day >= bindparam("first"), day_figures.c.day <= bindparam("last"))
_forget = tuple(delete(table).where(table.c.day == bindparam("b_day")) for table in (day_figures, policy_use))
_insert_day, _insert_use = insert(day_figures), insert(policy_use)
_agreed = (
    select(func.max(approval.c.at, type_=approval.c.at.type))
    .where(approval.c.request == request.c.uid, approval.c.verdict == literal_column("'approved'"))
    .correlate(request)
    .scalar_subquery()
)
_traces = (
    select(
        grants.c.request,
        grants.c.policy,
        grants.c.port,
        grants.c.sources,
        grants.c.duration,
        grants.c.start_at,
        grants.c.end_at,
        grants.c.opened_at,
        grants.c.closed_at,
        grants.c.reason,
        request.c.asked_at,
        request.c.approvals,
        _agreed.label("agreed_at"),
    )
    .join(grants, grants.c.request == request.c.uid)
    .where(request.c.asked_at >= bindparam("begin"), request.c.asked_at < bindparam("end"))
)
_uses = (
    select(
        policy_use.c.policy,
        policy_use.c.port,
        func.sum(policy_use.c.count).label("number"),
        func.max(policy_use.c.longest).label("longest"),
        func.min(policy_use.c.widest_4).label("widest_4"),
        func.min(policy_use.c.widest_6).label("widest_6"),
    )
    .where(policy_use.c.day >= bindparam("first"), policy_use.c.policy.in_(bindparam("policies", expanding=True)))
    .group_by(policy_use.c.policy, policy_use.c.port)
)
