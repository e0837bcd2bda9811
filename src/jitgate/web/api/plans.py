"""Plans, what they would cost elsewhere, and where just-in-time access is switched off."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from jitgate.core import duration, prices
from jitgate.core.plan import Plan, SubPlan, Tier
from jitgate.service import plans
from jitgate.service.plans import PlanView
from jitgate.web.api.forms import Form, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(tags=["plans"], route_class=NativeRoute, responses=REFUSALS)

MOST_COUNTED = 10_000_000


class PlanWord(StrEnum):
    """A plan in a word. `trial`: P2 for thirty days, then Free."""

    P2 = "p2"
    P1 = "p1"
    FREE = "free"
    TRIAL = "trial"


class PlanForm(Form):
    """The plan to set. `scope`: a subscription; left out: this installation's."""

    plan: PlanWord = Field(description="The plan.")
    scope: Text | None = Field(
        default=None, description="A subscription, as its GUID or id. Left out: this installation's."
    )


class ShownPlan(Shown):
    """The plan of a subscription as it holds now. `has_jit`: just-in-time access may be asked for under it."""

    scope: str = Field(description="The id of the subscription.")
    pricing_tier: str = Field(description="`Standard` or `Free`. A trial that is over is `Free`.")
    sub_plan: str | None = Field(description="`P1` or `P2`; null where the tier is `Free`.")
    has_jit: bool = Field(description="Whether just-in-time access may be asked for under it: with `P2` only.")
    free_trial_remaining_time: str = Field(description="What is left of a trial, ISO 8601; `PT0S` where there is none.")
    trial_ends_utc: datetime | None = Field(description="When the trial ends or ended, in UTC; null: there is none.")
    enforce: bool = Field(description="Whether machines below can have no plan of their own.")


class ShownPrice(Shown):
    """A row of the published table, in US dollars; null: free of charge."""

    what: str = Field(description="What is paid for.")
    dollars: Decimal | None = Field(description="How much, in US dollars; null: it is free of charge.")
    per: str = Field(description="For how much of it.")


class Cost(Shown):
    """What so many machines cost a month here, and would cost by the published table."""

    machines: int = Field(description="How many machines were asked about.")
    here_dollars: Decimal = Field(description="What they cost a month here, in US dollars: nothing.")
    elsewhere_dollars: Decimal = Field(
        description="What they would cost a month by the published table, in US dollars."
    )
    free_days: int = Field(description="How many days the first use would be free of charge.")
    published: date = Field(description="The date of the published table.")
    prices: list[ShownPrice] = Field(description="The published table, row by row.")


class Switch(Form):
    """A subscription or resource group, or the name of a group. Left out: this installation's subscription."""

    scope: Text | None = Field(
        default=None,
        description="An id, a subscription's GUID, or the name of a group. Left out: this installation's subscription.",
    )
    why: Text = Field(
        default="",
        max_length=500,
        description="Why. It goes on record, and stands in the list of what is off. Left out: nothing is said.",
    )


class Switched(Shown):
    """What became of it. Not changed: it was so already."""

    scope: str = Field(description="The id of the subscription or resource group.")
    changed: bool = Field(description="Whether it is otherwise than before.")


class ShownDisabled(Shown):
    """Where just-in-time access is switched off."""

    scope: str = Field(description="The id of the subscription or resource group.")
    why: str = Field(description="Why; may be empty.")
    since_utc: datetime = Field(description="Since when, in UTC.")


class DisabledList(Shown):
    """All of these."""

    items: list[ShownDisabled] = Field(description="One for each subscription or resource group.")


ScopeQuery = Annotated[
    Text | None, Query(description="A subscription, as its GUID or id. Left out: this installation's.")
]


@router.get("/plan", summary="The plan of a subscription")
async def get_plan(service: CurrentService, asker: CurrentAsker, scope: ScopeQuery = None) -> ShownPlan:
    """The plan as it holds now."""
    return _show(await plans.get_plan(service, asker, plans.read_scope(service, scope)))


@router.put("/plan", summary="Set the plan of a subscription")
async def put_plan(form: PlanForm, service: CurrentService, asker: CurrentAsker) -> ShownPlan:
    """What is open stays so until its end; what is asked for from now on is judged by the new plan."""
    scope = plans.read_scope(service, form.scope)
    if form.plan is PlanWord.TRIAL:
        return _show(await plans.start_trial(service, asker, scope))
    tier, sub_plan = _WORDS[form.plan]
    return _show(await plans.put_plan(service, asker, Plan(scope, tier, sub_plan)))


@router.get("/plan/cost", summary="What it would cost")
async def get_cost(
    _service: CurrentService,
    _asker: CurrentAsker,
    machines: Annotated[int, Query(ge=0, le=MOST_COUNTED, description="How many machines.")],
) -> Cost:
    """What the published price table says of so many machines, with its date, beside what jitgate costs: nothing."""
    return Cost(
        machines=machines,
        here_dollars=Decimal(0),
        elsewhere_dollars=prices.monthly(machines),
        free_days=prices.FREE_DAYS,
        published=prices.PUBLISHED,
        prices=[ShownPrice(what=one.what, dollars=one.dollars, per=one.per) for one in prices.PRICES],
    )


@router.get("/jit/disabled", summary="Where just-in-time access is off")
async def list_disabled(service: CurrentService, asker: CurrentAsker) -> DisabledList:
    """The subscriptions and resource groups for which it is switched off."""
    found = await plans.list_disabled(service, asker)
    return DisabledList(items=[ShownDisabled(scope=one.scope, why=one.why, since_utc=one.at) for one in found])


@router.post("/jit/disable", summary="Switch just-in-time access off")
async def disable_jit(form: Switch, service: CurrentService, asker: CurrentAsker) -> Switched:
    """Nothing can be asked for below it until it is switched on again. Ports stay shut."""
    scope = plans.read_scope(service, form.scope)
    return Switched(scope=scope, changed=await plans.disable_jit(service, asker, scope, form.why))


@router.post("/jit/enable", summary="Switch just-in-time access on again")
async def enable_jit(form: Switch, service: CurrentService, asker: CurrentAsker) -> Switched:
    """Machines below it can be asked for again, as their policies say."""
    scope = plans.read_scope(service, form.scope)
    return Switched(scope=scope, changed=await plans.enable_jit(service, asker, scope))


def _show(view: PlanView) -> ShownPlan:
    plan, tier = view.plan, view.plan.tier_at(view.now)
    return ShownPlan(
        scope=view.scope,
        pricing_tier=tier,
        sub_plan=str(plan.sub_plan) if plan.sub_plan and tier is Tier.STANDARD else None,
        has_jit=plan.has_jit(view.now),
        free_trial_remaining_time=duration.iso(plan.trial_left(view.now)),
        trial_ends_utc=plan.trial_ends,
        enforce=plan.enforce,
    )


_WORDS = {
    PlanWord.P2: (Tier.STANDARD, SubPlan.P2),
    PlanWord.P1: (Tier.STANDARD, SubPlan.P1),
    PlanWord.FREE: (Tier.FREE, None),
}
