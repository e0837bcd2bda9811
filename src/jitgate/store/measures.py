"""How an installation stands, in a few figures that are found in indexes: for whoever watches over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, distinct, exists, func, literal_column, or_, select, text

from jitgate.store import heads, presence
from jitgate.store.database import Tx
from jitgate.store.schema import (
    activity,
    activity_head,
    connector,
    grants,
    head_delivery,
    host,
    machine,
    notify_cursor,
    scope_state,
)


@dataclass(frozen=True, slots=True)
class Measures:
    """All of it at one moment, `at`. A time that is None: there is nothing of the kind.

    `grants`      how many are in each state, but for closed; `oldest`: since when the first of them is
    `requests`    how many wait for somebody's word
    `due`         when the scope was due that has waited for its turn the longest
    `failing`     how many scopes have an error, by connector
    `hosts`       how many there are elsewhere, by kind and state: waiting, heard, silent; and of the kind "beside" how
                  many firewalls are held by a process beside a replica that is silent
    `machines`    how many there are, by how they stand with just-in-time access
    `replicas`    how many live, by the part that they do
    `connectors`  whether each cloud's machines could be listed
    `untold`      by receiver, since when there is an event that it was not told of
    `unsent`      by outlet, since when there is a head that was not sent there
    `unsealed`    since when there is an event that is not sealed; `head`: when the last ones were
    """

    at: datetime
    grants: Mapping[str, int]
    oldest: Mapping[str, datetime]
    requests: int
    due: datetime | None
    failing: Mapping[str, int]
    hosts: Mapping[tuple[str, str], int]
    machines: Mapping[str, int]
    replicas: Mapping[str, int]
    connectors: Mapping[str, bool]
    untold: Mapping[str, datetime | None]
    unsent: Mapping[str, datetime | None]
    unsealed: datetime | None
    head: datetime | None


def take(tx: Tx, receivers: Sequence[str] = (), outlets: Sequence[str] = ()) -> Measures:
    """Measure. `receivers` of notifications and `outlets` for heads: those that there are now."""
    states, sealed = tx.execute(_grants).all(), heads.last(tx)
    return Measures(
        at=tx.now,
        grants={row.state: row.number for row in states},
        oldest={row.state: row.since for row in states},
        requests=int(tx.execute(_requests).scalar_one()),
        due=tx.execute(_due, {"now": tx.now}).scalar(),
        failing={row.connector: row.number for row in tx.execute(_failing)},
        hosts=_count_hosts(tx),
        machines={row.standing: row.number for row in tx.execute(_machines)},
        replicas=presence.by_part(tx),
        connectors={row.name: row.failed_at is None for row in tx.execute(_connectors)},
        untold={name: tx.execute(_untold, {"receiver": name}).scalar() for name in receivers},
        unsent={name: tx.execute(_unsent, {"b_outlet": name}).scalar() for name in outlets},
        unsealed=tx.execute(_unsealed).scalar(),
        head=sealed.head.at if sealed else None,
    )


def _count_hosts(tx: Tx) -> Mapping[tuple[str, str], int]:
    found = {(row.kind, _host_state(row)): int(row.number) for row in tx.execute(_hosts)}
    return found | {("beside", "silent"): int(tx.execute(_silent_beside).scalar_one())}


def _host_state(row: Row[Any]) -> str:
    if row.state != "joined":
        return str(row.state)
    return "silent" if row.silent else "heard"


_number = func.count().label("number")
_grants = (
    select(grants.c.state, _number, func.min(grants.c.since, type_=grants.c.since.type).label("since"))
    .where(grants.c.state != literal_column("'closed'"))
    .group_by(grants.c.state)
)
_requests = select(func.count(distinct(grants.c.request))).where(grants.c.state == literal_column("'pending'"))
# A scope stays when its host is gone for good, and nobody reaches it any more. It matters while there is a machine
# behind it, or a grant there that is not yet known to stand as asked, or to be shut.
_matters = or_(
    exists().where(machine.c.scope == scope_state.c.scope, machine.c.removed_at.is_(None)),
    exists().where(grants.c.scope == scope_state.c.scope, text("grants.changed")),
)
_due = (
    select(scope_state.c.due_at)
    .where(scope_state.c.due_at <= bindparam("now"), _matters)
    .order_by(scope_state.c.due_at)
    .limit(1)
)
_failing = (
    select(scope_state.c.connector, _number)
    .where(scope_state.c.error != literal_column("''"), _matters)
    .group_by(scope_state.c.connector)
)
_hosts = (
    select(host.c.kind, host.c.state, host.c.silent, _number)
    .where(host.c.state != literal_column("'removed'"))
    .group_by(host.c.kind, host.c.state, host.c.silent)
)
_silent_beside = select(func.count()).where(scope_state.c.silent_since.is_not(None))
_machines = select(machine.c.standing, _number).where(machine.c.removed_at.is_(None)).group_by(machine.c.standing)
_connectors = select(connector.c.name, connector.c.failed_at).where(connector.c.removed_at.is_(None))
_told = select(notify_cursor.c.sequence).where(notify_cursor.c.name == bindparam("receiver")).scalar_subquery()
_untold = select(activity.c.at).where(activity.c.sequence > _told).order_by(activity.c.sequence).limit(1)
_sent = select(func.max(head_delivery.c.number)).where(head_delivery.c.outlet == bindparam("b_outlet"))
_unsent = (
    select(activity_head.c.at)
    .where(activity_head.c.number > func.coalesce(_sent.scalar_subquery(), 0))
    .order_by(activity_head.c.number)
    .limit(1)
)
_unsealed = select(activity.c.at).where(activity.c.sequence.is_(None)).order_by(activity.c.id).limit(1)
