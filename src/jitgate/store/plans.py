"""Plans, and where just-in-time access is switched off. Both are few, and mostly none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select

from jitgate.core import plan as plans_core
from jitgate.core.machine import Machine
from jitgate.core.plan import Plan, SubPlan, Tier
from jitgate.core.resource_id import key
from jitgate.store import classification
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import jit_disabled, plan

DISABLED = "disabled by policy"
"""What is said of a machine for whose subscription or resource group just-in-time access is switched off."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """Where it is switched off: since when, by whom (a uid), and why."""

    scope: str
    why: str
    at: datetime
    by: str


def put(tx: Tx, new: Plan) -> None:
    """Write a plan in place of what is at its scope."""
    remove(tx, new.scope)
    tx.execute(
        _insert,
        {
            "scope_key": key(new.scope),
            "scope": new.scope,
            "tier": str(new.tier),
            "sub_plan": str(new.sub_plan) if new.sub_plan else None,
            "enforce": new.enforce,
            "trial_ends_at": new.trial_ends,
            "enabled_at": new.enabled,
            "extensions": [dict(each) for each in new.extensions],
        },
    )


def remove(tx: Tx, scope: str) -> bool:
    """Forget what was said of a scope. False: nothing was."""
    return tx.execute(_delete, {"scope_key": key(scope)}).rowcount == 1


def by_key(tx: Tx) -> dict[str, Plan]:
    """Every plan that was set, by the key of its scope."""
    return _by_key(tx.fetch(_list, {}))


def disable(tx: Tx, scope: str, why: str, by: str) -> bool:
    """Switch just-in-time access off at a scope. False: it is already."""
    if any(key(one.scope) == key(scope) for one in list_disabled(tx)):
        return False
    values = {"scope_key": key(scope), "scope": scope, "why": why, "disabled_at": tx.now, "disabled_by": by}
    tx.execute(_disable, values)
    classification.classify_below(tx, scope)
    return True


def enable(tx: Tx, scope: str) -> bool:
    """Switch it on again. False: it was not off."""
    was_off = tx.execute(_enable, {"scope_key": key(scope)}).rowcount == 1
    classification.classify_below(tx, scope)
    return was_off


def list_disabled(tx: Tx) -> list[Disabled]:
    """Every scope at which it is switched off."""
    return [Disabled(row.scope, row.why, row.disabled_at, row.disabled_by) for row in tx.fetch(_list_disabled, {})]


def gated(tx: Tx, machines: Iterable[Machine]) -> list[Machine]:
    """Machines as they may be asked for: with what a plan or a switch takes away from them.

    For what people see and ask. Firewalls are held to what policies say, whatever the plan.
    """
    return ask_gate(tx)(machines)


def ask_gate(tx: Tx) -> Callable[[Iterable[Machine]], list[Machine]]:
    """The same, asked ahead."""
    plans, disabled, now = tx.ask_once(_list), tx.ask_once(_list_disabled), tx.now

    def gate(machines: Iterable[Machine]) -> list[Machine]:
        set_plans, off = _by_key(plans()), [row.scope for row in disabled()]
        if not set_plans and not off:
            return list(machines)
        return [_gated(machine, plans_core.covering(machine.id, set_plans), off, now) for machine in machines]

    return gate


def _gated(machine: Machine, held: Plan, off: list[str], now: datetime) -> Machine:
    uncovered = "" if held.has_jit(now) else held.describe(now)
    disabled = DISABLED if plans_core.disabling(machine.id, off) else ""
    return replace(machine, unsupported=machine.unsupported or disabled, uncovered=uncovered)


def _by_key(rows: Iterable[Row[Any]]) -> dict[str, Plan]:
    return {row.scope_key: _plan(row) for row in rows}


def _plan(row: Row[Any]) -> Plan:
    return Plan(
        scope=row.scope,
        tier=Tier(row.tier),
        sub_plan=SubPlan(row.sub_plan) if row.sub_plan else None,
        enforce=bool(row.enforce),
        trial_ends=row.trial_ends_at,
        enabled=row.enabled_at,
        extensions=tuple(row.extensions),
    )


_list = Prepared(select(plan).order_by(plan.c.scope_key))
_insert = insert(plan)
_delete = delete(plan).where(plan.c.scope_key == bindparam("scope_key"))
_list_disabled = Prepared(select(jit_disabled).order_by(jit_disabled.c.scope_key))
_disable = insert(jit_disabled)
_enable = delete(jit_disabled).where(jit_disabled.c.scope_key == bindparam("scope_key"))
