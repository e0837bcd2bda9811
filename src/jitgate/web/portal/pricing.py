"""Pricing and settings: the plan of a subscription, what the published table would have it cost, and where just-in-time
access is switched off."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response

from jitgate.core import prices
from jitgate.core.catalogue import Sought
from jitgate.core.errors import Invalid
from jitgate.core.plan import Plan, SubPlan, Tier
from jitgate.core.roles import WRITE_PLAN, WRITE_SECURITY_POLICY
from jitgate.service import catalogue, inventory, plans
from jitgate.service.base import Asker, Service
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route

PATH = "/pricing"
MOST_MACHINES = 1_000_000
_CHOICES: Mapping[str, tuple[Tier, SubPlan | None]] = {
    "p2": (Tier.STANDARD, SubPlan.P2),
    "p1": (Tier.STANDARD, SubPlan.P1),
    "free": (Tier.FREE, None),
}


async def show(request: Request) -> Response:
    """The page, for one subscription."""
    service, asker = service_of(request), asker_of(request)
    scope = plans.read_scope(service, request.query_params.get("subscription"), "subscription")
    view = await plans.get_plan(service, asker, scope)
    known = await inventory.list_subscriptions(service, asker)
    groups = await inventory.list_groups(service, asker, scope.rpartition("/")[2])
    counts = await catalogue.count_machines(service, asker, Sought(scope=scope))
    machines = _number(request.query_params.get("machines"), sum(counts.values()))
    return page(
        request,
        "pricing.html",
        view=view,
        subscriptions=known,
        subscription=scope.rpartition("/")[2],
        groups=groups,
        machines=machines,
        monthly=prices.monthly(machines),
        table=prices.PRICES,
        published=prices.PUBLISHED,
        free_days=prices.FREE_DAYS,
        disabled=await plans.list_disabled(service, asker),
        may_set=asker.principal.may(WRITE_PLAN, scope),
        may_switch=asker.principal.may(WRITE_SECURITY_POLICY, scope),
    )


async def set_plan(request: Request) -> Response:
    """Give a subscription another plan."""
    form = await read_form(request)
    service, asker = service_of(request), asker_of(request)
    scope = plans.read_scope(service, form.get("subscription"), "subscription")
    work = _set(service, asker, scope, form.get("plan", ""))
    return await act(request, work, at="plan", then=PATH, said="The plan is set.")


async def disable(request: Request) -> Response:
    """Switch just-in-time access off, for a subscription or a resource group."""
    form = await read_form(request)
    service, asker = service_of(request), asker_of(request)
    scope = plans.read_scope(service, form.get("scope"))
    work = _disable(service, asker, scope, form.get("why", "").strip())
    return await act(request, work, at="disable", then=PATH, said="Just-in-time access is off there.")


async def enable(request: Request) -> Response:
    """Switch it on again."""
    form = await read_form(request)
    service, asker = service_of(request), asker_of(request)
    work = plans.enable_jit(service, asker, plans.read_scope(service, form.get("scope")))
    return await act(request, work, at="enable", then=PATH, said="Just-in-time access is on again.")


async def _set(service: Service, asker: Asker, scope: str, choice: str) -> object:
    if choice == "trial":
        return await plans.start_trial(service, asker, scope)
    if choice not in _CHOICES:
        raise Invalid("plan", f"{choice[:20]!r} is no plan", allowed="p2, p1, free, trial")
    tier, sub_plan = _CHOICES[choice]
    return await plans.put_plan(service, asker, Plan(scope, tier, sub_plan))


async def _disable(service: Service, asker: Asker, scope: str, why: str) -> bool:
    if not 0 < len(why) <= 500:
        raise Invalid("why", "no reason is given, or one that is too long", allowed="1 to 500 characters")
    return await plans.disable_jit(service, asker, scope, why)


def _number(text: str | None, otherwise: int) -> int:
    """So many machines. Raises Invalid."""
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit()) or len(text) > 7 or int(text) > MOST_MACHINES:
        raise Invalid("machines", f"{text[:20]!r} is no number of machines", allowed=f"0 to {MOST_MACHINES}")
    return int(text)


ROUTES: tuple[Route, ...] = (
    Route("GET", PATH, show),
    Route("POST", "/pricing/plan", set_plan),
    Route("POST", "/pricing/disable", disable),
    Route("POST", "/pricing/enable", enable),
)
