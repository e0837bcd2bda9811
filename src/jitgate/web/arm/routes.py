"""The eight operations of the contract."""

from fastapi import FastAPI, Request, Response

from jitgate.core.resource_id import PolicyId, check_location, check_name, check_resource_group, check_subscription
from jitgate.service import policies, requests, subscriptions
from jitgate.web import body
from jitgate.web.arm import description
from jitgate.web.arm.paging import next_link, skip_token
from jitgate.web.arm.parse import parse_ask, parse_policy
from jitgate.web.arm.render import render_policy, render_request
from jitgate.web.arm.routing import ArmRoute, add
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.errors import json_response

PAGE = 25
"""Policies on one page of a list. Each brings its requests along, which can be thousands."""

_SUBSCRIPTION = "/subscriptions/{subscriptionId}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{resourceGroupName}"
_PROVIDER = "/providers/Microsoft.Security"
_LOCATION = "/locations/{ascLocation}"
_LIST = "/jitNetworkAccessPolicies"
_POLICY = _GROUP + _PROVIDER + _LOCATION + _LIST + "/{jitNetworkAccessPolicyName}"

LISTS = tuple(scope + _PROVIDER + location + _LIST for scope in (_SUBSCRIPTION, _GROUP) for location in ("", _LOCATION))


def add_routes(app: FastAPI) -> None:
    """Add the operations to an application.

    One by one, and not as an included router, which would match paths by its own, case-sensitive expressions.
    """
    # Paths are tried in this order; what is called most comes first.
    _add(app, "POST", _POLICY + "/initiate", initiate, status=202)
    _add(app, "GET", _POLICY, get_policy)
    _add(app, "PUT", _POLICY, put_policy)
    _add(app, "DELETE", _POLICY, delete_policy)
    for path in LISTS:
        _add(app, "GET", path, list_policies)


async def list_policies(request: Request) -> Response:
    """The policies of a subscription, resource group or location."""
    service, asker = service_of(request), asker_of(request)
    subscription = check_subscription(request.path_params["subscriptionId"])
    group, location = request.path_params.get("resourceGroupName"), request.path_params.get("ascLocation")
    page = await policies.list_policies(
        service,
        asker,
        subscription,
        resource_group=None if group is None else check_resource_group(group),
        location=None if location is None else check_location(location),
        limit=PAGE,
        after=skip_token(request),
    )
    if not page.items:
        await subscriptions.check_subscription(service, subscription)
    listed = {"value": [render_policy(view) for view in page.items]}
    return json_response(listed if page.after is None else {**listed, "nextLink": next_link(request, page.after)})


async def get_policy(request: Request) -> Response:
    """One policy, with its live and lately ended requests."""
    view = await policies.get_policy(service_of(request), asker_of(request), _policy_id(request))
    return json_response(render_policy(view))


async def put_policy(request: Request) -> Response:
    """Create a policy, or replace it whole. Live requests stay; those in the body are not looked at."""
    service = service_of(request)
    wanted = body.parse(await request.body(), fold_names=True)
    policy = parse_policy(wanted, _policy_id(request), service.settings.longest_access)
    kept = await policies.put_policy(service, asker_of(request), policy, keep_selections=True)
    return json_response(render_policy(kept))


async def delete_policy(request: Request) -> Response:
    """Remove a policy; 204 if there was none."""
    removed = await policies.delete_policy(service_of(request), asker_of(request), _policy_id(request))
    return Response(status_code=200 if removed else 204)


async def initiate(request: Request) -> Response:
    """Ask for access under a policy. The body is judged before the policy is looked up, as the real service does."""
    asker, policy = asker_of(request), _policy_id(request)
    ask = parse_ask(body.parse(await request.body(), fold_names=True), asker.address)
    view = await requests.initiate(service_of(request), asker, policy, ask)
    return json_response(render_request(view), 202)


def _add(app: FastAPI, method: str, path: str, endpoint: description.Endpoint, status: int = 200) -> None:
    operation_id = description.operation_id(endpoint, path)
    add(app, method, path, endpoint, operation_id, description.of(endpoint, path), route=ArmRoute, status=status)


def _policy_id(request: Request) -> PolicyId:
    """The policy that a path names. Raises Invalid."""
    parts = request.path_params
    return PolicyId(
        check_subscription(parts["subscriptionId"]),
        check_resource_group(parts["resourceGroupName"]),
        check_location(parts["ascLocation"]),
        check_name(parts["jitNetworkAccessPolicyName"], "jitNetworkAccessPolicyName"),
    )
