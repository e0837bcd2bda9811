"""``Microsoft.Security/pricings``: the plan of a subscription, or of one machine, as Azure's clients know it."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response

from jitgate.core import duration
from jitgate.core.errors import Invalid, NotFound
from jitgate.core.plan import NAME, Plan, SubPlan, Tier
from jitgate.core.resource_id import check_name, check_resource_group, check_subscription, key, machine_id
from jitgate.service import plans
from jitgate.service.plans import PlanView
from jitgate.web import body
from jitgate.web.arm import around_schemas, description
from jitgate.web.arm.fields import Fields, shown
from jitgate.web.arm.inventory import GROUP, MACHINES, SUBSCRIPTION
from jitgate.web.arm.routing import ArmRoute, add, query
from jitgate.web.arm.schemas import Schema
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.errors import json_response

Json = Mapping[str, Any]

LIST = "/providers/Microsoft.Security/pricings"
ONE = LIST + "/{pricingName}"
MACHINE = GROUP + MACHINES + "/{vmName}"
_TYPE = "Microsoft.Security/pricings"
_MOST_EXTENSIONS = 50
_FILTER = "Asks for some plans. What does not name `VirtualMachines` finds none. Left out: all there are."


class PricingRoute(ArmRoute):
    """A route of this contract, in the versions that clients send."""

    versions: ClassVar[Collection[str]] = ("2024-01-01", "2023-01-01", "2022-03-01", "2018-06-01")


def add_routes(app: FastAPI) -> None:
    """Add them to an application."""
    one = {200: around_schemas.PRICING}
    for scope in (SUBSCRIPTION, MACHINE):
        _add(app, "GET", scope + LIST, list_pricings, {200: around_schemas.PRICINGS}, query={"$filter": _FILTER})
        _add(app, "GET", scope + ONE, get_pricing, one)
        _add(app, "PUT", scope + ONE, put_pricing, one, body=around_schemas.PUT_PRICING)
    _add(app, "DELETE", MACHINE + ONE, delete_pricing, {200: "It is removed.", 204: "There was none."})


async def list_pricings(request: Request) -> Response:
    """The one plan that there is. A filter that asks for others finds none."""
    wanted = query(request, "$filter")
    if wanted and key(NAME) not in key(wanted):
        return json_response({"value": []})
    view = await plans.get_plan(service_of(request), asker_of(request), _scope(request))
    return json_response({"value": [render(view)]})


async def get_pricing(request: Request) -> Response:
    """The plan as it holds for a subscription or machine."""
    _check_pricing(request)
    return json_response(render(await plans.get_plan(service_of(request), asker_of(request), _scope(request))))


async def put_pricing(request: Request) -> Response:
    """Set the plan."""
    _check_pricing(request)
    wanted = parse(body.parse(await request.body(), fold_names=True), _scope(request))
    return json_response(render(await plans.put_plan(service_of(request), asker_of(request), wanted)))


async def delete_pricing(request: Request) -> Response:
    """Take away a machine's own plan; 204 if it had none."""
    _check_pricing(request)
    removed = await plans.delete_plan(service_of(request), asker_of(request), _scope(request))
    return Response(status_code=200 if removed else 204)


def parse(value: object, scope: str) -> Plan:
    """A plan to set. ``Standard`` without a sub-plan is the one that just-in-time access belongs to. Raises Invalid."""
    properties = Fields(Fields(value, "").need("properties", "an object with pricingTier"), "properties")
    tier = _one_of(properties, "pricingTier", Tier)
    if tier is None:
        raise Invalid("properties.pricingTier", "the property is missing", allowed="Free or Standard")
    sub_plan = _one_of(properties, "subPlan", SubPlan)
    if tier is Tier.STANDARD and sub_plan is None:
        sub_plan = SubPlan.P2 if plans.is_subscription(scope) else SubPlan.P1
    enforce = (properties.text("enforce") or "False").lower()
    if enforce not in ("true", "false"):
        raise Invalid("properties.enforce", f"{shown(enforce)} is not accepted", allowed='"True" or "False"')
    return Plan(scope, tier, sub_plan, enforce == "true", extensions=tuple(_extensions(properties)))


def render(view: PlanView) -> Json:
    """A plan as the contract shows it."""
    plan, now = view.plan, view.now
    tier = plan.tier_at(now)
    properties: dict[str, Any] = {
        "pricingTier": str(tier),
        "freeTrialRemainingTime": duration.iso(plan.trial_left(now)),
        "enforce": str(plan.enforce),
        "resourcesCoverageStatus": view.coverage,
        "extensions": list(plan.extensions),
    }
    if tier is Tier.STANDARD:
        properties["subPlan"] = str(plan.sub_plan)
        if plan.enabled is not None:
            properties["enablementTime"] = plan.enabled.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if not plans.is_subscription(view.scope):
        properties["inherited"] = str(view.inherited_from is not None)
        if view.inherited_from is not None:
            properties["inheritedFrom"] = view.inherited_from
    return {"id": f"{view.scope}{LIST}/{NAME}", "name": NAME, "type": _TYPE, "properties": properties}


def _one_of(fields: Fields, name: str, kinds: type[Tier] | type[SubPlan]) -> Any:
    """A word of the contract, in any case; None where it is left out. Raises Invalid."""
    text = fields.text(name)
    found = next((kind for kind in kinds if text is not None and key(kind) == key(text)), None)
    if text is not None and found is None:
        raise Invalid(fields.field(name), f"{shown(text)} is not accepted", allowed=" or ".join(kinds))
    return found


def _extensions(properties: Fields) -> list[Json]:
    """Kept as they are said: a client reads back what it put."""
    if properties.get("extensions") is None:
        return []
    found: list[Json] = []
    for each in properties.objects("extensions", _MOST_EXTENSIONS):
        name, enabled = each.text("name"), each.text("isEnabled")
        if not name or key(enabled or "") not in ("true", "false") or len(name) > 100:
            raise Invalid(each.path, "this is not an extension", allowed='a name, and isEnabled "True" or "False"')
        found.append({"name": name, "isEnabled": (enabled or "").capitalize()})
    return found


def _scope(request: Request) -> str:
    """The id of the subscription or machine that a path names. Raises Invalid."""
    parts = request.path_params
    subscription = check_subscription(parts["subscriptionId"])
    if "vmName" not in parts:
        return f"/subscriptions/{subscription}"
    group = check_resource_group(parts["resourceGroupName"])
    return machine_id(subscription, group, check_name(parts["vmName"], "vmName"))


def _check_pricing(request: Request) -> None:
    """Raises NotFound for a plan of something else than servers."""
    name = request.path_params["pricingName"]
    if key(name) != key(NAME):
        raise NotFound(f"There is no plan {name[:60]!r} here. Ask for {NAME}.", code="ResourceNotFound")


def _add(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: description.Endpoint,
    answers: Mapping[int, Schema | str],
    **more: Any,
) -> None:
    described = description.around(path, answers, versions=PricingRoute.versions, **more)
    add(app, method, path, endpoint, f"{endpoint.__name__}_{len(path)}", described, route=PricingRoute)
