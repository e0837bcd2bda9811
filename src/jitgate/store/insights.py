"""What is open now, which protected machines nobody asks for, and what policies allow: pages of what there is now."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, cast, exists, func, select

from jitgate.core.policy import PortRule
from jitgate.core.resource_id import PolicyId
from jitgate.store.database import Tx
from jitgate.store.policies import decode_ports
from jitgate.store.prepared import literal_in
from jitgate.store.schema import grants, machine, policy, policy_machine


@dataclass(frozen=True, slots=True)
class Idle:
    """A protected machine that nobody asked for lately. `last`: when somebody did before; None: never."""

    id: str
    name: str
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a policy allows: by the same rules for so many machines."""

    uid: str
    id: PolicyId
    updated_at: datetime
    rules: Sequence[tuple[int, tuple[PortRule, ...]]]


def open_now(tx: Tx) -> Mapping[int, int]:
    """How many grants are open or opening, by port."""
    return {row.port: row.number for row in tx.execute(_open_now)}


def machines_open_now(tx: Tx) -> int:
    """On how many machines."""
    return int(tx.execute(_machines_open_now).scalar_one())


def idle(tx: Tx, since: datetime, *, after: str = "", most: int = 100) -> list[Idle]:
    """Protected machines that nobody asked for since a moment, in the order of their ids, continuing after one."""
    rows = tx.execute(_idle, {"since": since, "after": after, "most": most})
    return [Idle(row.id, row.name, row.last) for row in rows]


def count_idle(tx: Tx, since: datetime) -> int:
    """How many there are."""
    return int(tx.execute(_count_idle, {"since": since}).scalar_one())


def allowed(tx: Tx, *, after: str = "", most: int = 100) -> list[Allowed]:
    """What policies allow, in the order of their ids, continuing after one."""
    found = tx.execute(_policies, {"after": after, "most": most}).all()
    rules: dict[str, list[tuple[int, tuple[PortRule, ...]]]] = {row.uid: [] for row in found}
    for row in tx.execute(_rules, {"uids": list(rules)}) if rules else ():
        rules[row.policy].append((row.machines, decode_ports(json.loads(row.ports))))
    return [Allowed(row.uid, _id(row), row.updated_at, rules[row.uid]) for row in found]


def _id(row: Any) -> PolicyId:
    return PolicyId(row.subscription, row.resource_group, row.location, row.name)


_is_live = literal_in(grants.c.state, ("opening", "open"))
_open_now = select(grants.c.port, func.count().label("number")).where(_is_live).group_by(grants.c.port)
_machines_open_now = select(func.count(grants.c.machine.distinct())).where(_is_live)
_is_asked_for = exists().where(grants.c.machine == machine.c.uuid, grants.c.asked_at >= bindparam("since"))
_is_protected = exists().where(policy_machine.c.machine_key == machine.c.id_key)
_is_idle = machine.c.removed_at.is_(None) & _is_protected & ~_is_asked_for
_last = (
    select(func.max(grants.c.asked_at, type_=grants.c.asked_at.type))
    .where(grants.c.machine == machine.c.uuid)
    .correlate(machine)
    .scalar_subquery()
)
_idle = (
    select(machine.c.id, machine.c.name, _last.label("last"))
    .where(_is_idle, machine.c.id_key > bindparam("after"))
    .order_by(machine.c.id_key)
    .limit(bindparam("most"))
)
_count_idle = select(func.count()).select_from(machine).where(_is_idle)
_policies = select(policy).where(policy.c.key > bindparam("after")).order_by(policy.c.key).limit(bindparam("most"))
# As text: machines under the same rules are one row, and PostgreSQL compares no JSON.
_text = cast(policy_machine.c.ports, Text)
_rules = (
    select(policy_machine.c.policy, _text.label("ports"), func.count().label("machines"))
    .where(policy_machine.c.policy.in_(bindparam("uids", expanding=True)))
    .group_by(policy_machine.c.policy, _text)
)
