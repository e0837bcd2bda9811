"""Plans of subscriptions and machines, and where just-in-time access is switched off."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import plan as plans_core
from jitgate.core import roles
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.plan import MOST_OVERRIDES, Plan, SubPlan, Tier, covering, subscription_of
from jitgate.core.resource_id import check_resource_group, check_subscription, key
from jitgate.service import selections
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.store import installation, machines, plans
from jitgate.store.database import Tx
from jitgate.store.plans import Disabled


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan as it holds for a scope now.

    `inherited_from`  the subscription it comes from; None: it is the scope's own
    `coverage`        FullyCovered, PartiallyCovered or NotCovered: the machines below
    """

    scope: str
    plan: Plan
    now: datetime
    inherited_from: str | None
    coverage: str


async def get_plan(service: Service, asker: Asker, scope: str) -> PlanView:
    """The plan of a subscription or machine. Raises Forbidden, NotFound."""
    require(asker, roles.READ_PLAN, scope)

    def work(tx: Tx) -> PlanView:
        _check_known(tx, service, scope)
        return _view(tx, scope)

    return await service.store.read(work)


async def put_plan(service: Service, asker: Asker, wanted: Plan) -> PlanView:
    """Set a plan. What is open stays so until its end; what is asked for from now on is judged by it.

    Raises Forbidden, NotFound, Invalid, and Conflict where the subscription's plan is enforced.
    """
    _check_fits(wanted)

    def work(tx: Tx) -> PlanView:
        require(asker, roles.WRITE_PLAN, wanted.scope)
        _check_known(tx, service, wanted.scope)
        before = plans.by_key(tx)
        _check_free(wanted, before)
        old = before.get(key(wanted.scope))
        plans.put(tx, _dated(wanted, old, tx.now))
        properties = {"plan": _told(wanted), "before": _told(old or Plan(wanted.scope))}
        audit.record(tx, [event(asker, Operation.PLAN_WRITE, Outcome.SUCCEEDED, wanted.scope, properties)])
        selections.take_in_all(tx)
        return _view(tx, wanted.scope)

    return await attempt(service, asker, Operation.PLAN_WRITE, wanted.scope, work)


async def start_trial(service: Service, asker: Asker, scope: str) -> PlanView:
    """Give a subscription Standard/P2 for thirty days, and Free after that. Raises Forbidden, NotFound, Invalid."""
    now = await service.store.read(lambda tx: tx.now)
    return await put_plan(service, asker, Plan(scope, trial_ends=now + plans_core.TRIAL))


async def delete_plan(service: Service, asker: Asker, scope: str) -> bool:
    """Take away a machine's own plan: its subscription's holds again. False: it had none. Raises Forbidden, Invalid."""
    if is_subscription(scope):
        raise Invalid("scopeId", "the plan of a subscription is set, and not deleted", allowed="the id of a machine")

    def work(tx: Tx) -> bool:
        require(asker, roles.DELETE_PLAN, scope)
        if not plans.remove(tx, scope):
            return False
        audit.record(tx, [event(asker, Operation.PLAN_DELETE, Outcome.SUCCEEDED, scope)])
        selections.take_in_all(tx)
        return True

    return await attempt(service, asker, Operation.PLAN_DELETE, scope, work)


async def disable_jit(service: Service, asker: Asker, scope: str, why: str) -> bool:
    """Switch just-in-time access off for a subscription or resource group. False: it is off already.

    Ports stay shut, and what is open stays so until its end. Raises Forbidden, Invalid, NotFound.
    """

    def work(tx: Tx) -> bool:
        require(asker, roles.WRITE_SECURITY_POLICY, scope)
        _check_known(tx, service, subscription_of(scope))
        done = plans.disable(tx, scope, why, asker.principal.uid)
        if done:
            audit.record(tx, [event(asker, Operation.JIT_DISABLE, Outcome.SUCCEEDED, scope, {"why": why})])
        return done

    return await attempt(service, asker, Operation.JIT_DISABLE, scope, work)


async def enable_jit(service: Service, asker: Asker, scope: str) -> bool:
    """Switch it on again. False: it was not off. Raises Forbidden."""

    def work(tx: Tx) -> bool:
        require(asker, roles.WRITE_SECURITY_POLICY, scope)
        done = plans.enable(tx, scope)
        if done:
            audit.record(tx, [event(asker, Operation.JIT_ENABLE, Outcome.SUCCEEDED, scope)])
            selections.take_in_all(tx)
        return done

    return await attempt(service, asker, Operation.JIT_ENABLE, scope, work)


async def list_disabled(service: Service, asker: Asker) -> tuple[Disabled, ...]:
    """Where it is switched off, of what the asker may read."""
    found = await service.store.read(plans.list_disabled)
    return tuple(one for one in found if asker.principal.may(roles.READ_SECURITY_POLICY, one.scope))


def read_scope(service: Service, text: str | None, field: str = "scope") -> str:
    """The subscription or resource group that a text names: a path, a GUID, a group of this installation, or nothing
    for this installation's subscription. Raises Invalid."""
    own = f"/subscriptions/{service.settings.subscription}"
    if not text:
        return own
    parts = text.strip("/").split("/")
    if not text.startswith("/"):
        is_guid = len(text) == len(service.settings.subscription) and text.count("-") == 4
        return f"/subscriptions/{text}" if is_guid else f"{own}/resourceGroups/{check_resource_group(text, field)}"
    if [key(part) for part in parts[::2]] not in (["subscriptions"], ["subscriptions", "resourcegroups"]):
        raise Invalid(field, f"{text[:200]!r} is neither a subscription nor a resource group", allowed=_SCOPES)
    if len(parts) not in (2, 4):
        raise Invalid(field, f"{text[:200]!r} is neither a subscription nor a resource group", allowed=_SCOPES)
    check_subscription(parts[1], field)
    group = f"/resourceGroups/{check_resource_group(parts[3], field)}" if len(parts) == 4 else ""
    return f"/subscriptions/{parts[1]}{group}"


def is_subscription(scope: str) -> bool:
    """Whether a scope path is that of a whole subscription."""
    return key(scope) == key(subscription_of(scope))


_SCOPES = "/subscriptions/GUID, /subscriptions/GUID/resourceGroups/NAME, or the name of a resource group"


def _view(tx: Tx, scope: str) -> PlanView:
    known = plans.by_key(tx)
    held = covering(scope, known)
    inherited = not is_subscription(scope) and key(held.scope) != key(scope)
    return PlanView(scope, held, tx.now, held.scope if inherited else None, _coverage(scope, known, held, tx.now))


def _coverage(scope: str, known: Mapping[str, Plan], held: Plan, now: datetime) -> str:
    """Whether the machines below are under Standard. Plans of their own count, unless the one above is enforced."""
    below = [plan for plan in known.values() if key(plan.scope).startswith(key(scope) + "/")]
    others = [] if held.enforce else below
    paid = {plan.tier_at(now) is Tier.STANDARD for plan in [held, *others]}
    if paid == {True}:
        return "FullyCovered"
    return "PartiallyCovered" if True in paid else "NotCovered"


def _check_known(tx: Tx, service: Service, scope: str) -> None:
    """Raises NotFound for a subscription or machine that is not here."""
    if not is_subscription(scope):
        if not machines.by_keys(tx, [key(scope)]):
            raise NotFound(
                f"There is no machine {scope}. `jitgate machine ls` lists them.", code="VirtualMachineNotFound"
            )
        return
    guid = scope.rpartition("/")[2]
    if key(guid) != key(service.settings.subscription) and not installation.holds_subscription(tx, guid):
        raise NotFound(
            f"There is no subscription {guid!r} here. Name one of a connector, or {service.settings.subscription}.",
            code="SubscriptionNotFound",
        )


def _check_fits(wanted: Plan) -> None:
    if wanted.tier is Tier.FREE and wanted.sub_plan is not None:
        raise Invalid("properties.subPlan", "Free has no sub-plan", allowed="none, or Standard")
    if is_subscription(wanted.scope):
        return
    if wanted.sub_plan is SubPlan.P2:
        raise Invalid("properties.subPlan", "P2 is a plan of whole subscriptions", allowed="P1, or Free")
    if wanted.enforce or wanted.trial_ends:
        raise Invalid("properties.enforce", "a machine has nothing below it, and no trial", allowed="False")


def _check_free(wanted: Plan, known: Mapping[str, Plan]) -> None:
    if is_subscription(wanted.scope):
        return
    above = known.get(key(subscription_of(wanted.scope)))
    if above is not None and above.enforce:
        raise Conflict(f"The plan of {above.scope} is enforced: machines have none of their own. Set enforce to False.")
    overrides = [plan for plan in known.values() if not is_subscription(plan.scope)]
    if len(overrides) >= MOST_OVERRIDES and key(wanted.scope) not in known:
        raise Conflict(f"{MOST_OVERRIDES} machines have plans of their own, which is the most. Delete one of them.")


def _dated(wanted: Plan, old: Plan | None, now: datetime) -> Plan:
    """With the moment since when it is not Free."""
    if wanted.tier is Tier.FREE:
        return replace(wanted, enabled=None)
    goes_on = old is not None and old.tier_at(now) is Tier.STANDARD
    return replace(wanted, enabled=old.enabled if goes_on and old else now)


def _told(plan: Plan) -> dict[str, Any]:
    return {
        "pricingTier": str(plan.tier),
        "subPlan": str(plan.sub_plan) if plan.sub_plan else None,
        "enforce": plan.enforce,
        "trialEndsUtc": plan.trial_ends.isoformat() if plan.trial_ends else None,
    }
