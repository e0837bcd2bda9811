"""PUT and DELETE: of whole resources, and of parts that are resources themselves."""

import json
import uuid
from collections.abc import Callable

from jitgate.testing.azure import rendering, rules
from jitgate.testing.azure.access import LOCKS, Lock, check_locks, lock_body
from jitgate.testing.azure.calls import Fault
from jitgate.testing.azure.messages import (
    Json,
    Refusal,
    Request,
    Response,
    another_operation,
    bad,
    etag_mismatch,
    in_progress,
    parent_not_found,
)
from jitgate.testing.azure.paths import Path
from jitgate.testing.azure.reading import kept_as
from jitgate.testing.azure.resources import CHILDREN, Operation, Resource, part, parts, with_part, without_part
from jitgate.testing.azure.world import World

FIREWALL = "microsoft.network/azurefirewalls"
STUCK_SECONDS = 600.0
"""How much longer an operation takes that sticks: `Fault.STICK`."""
_OUTCOMES = {Fault.FAIL: "Failed", Fault.CANCEL: "Canceled"}
_TOLD_ONLY = ("id", "etag", "type")
_FIREWALL_PRIORITIES = range(100, 65001)


def put(world: World, request: Request, path: Path, fault: Fault | None) -> Response:
    """Make or replace what a path names. Raises Refusal."""
    body = _body(request)
    if path.kind == LOCKS:
        return _put_lock(world, path, body)
    held = _free(world, request, path)
    if len(path.types) == 2:
        return _put_part(world, request, path, fault, held, body)
    goal = _goal(path, body, held)
    status, state = (200, "Updating") if held else (201, "Creating" if path.kind == rendering.VM else "Updating")
    resource = held or Resource(path.text, path.kind, goal, effective={"properties": {}})
    resource.body = goal
    operation = _begin(world, path, resource, state, goal, fault)
    told = rendering.resource(resource, rendering.referring(world.resources))
    return Response(status, told, _links(request, path, operation, with_location=False))


def delete(world: World, request: Request, path: Path, fault: Fault | None) -> Response:
    """Remove what a path names. Raises Refusal."""
    if path.kind == LOCKS:
        return Response(200 if world.locks.pop(path.text.lower(), None) else 204)
    held = _free(world, request, path)
    if held is None:
        return Response(204)
    if len(path.types) == 1:
        operation = _begin(world, path, held, "Deleting", None, fault)
        return Response(202, None, _links(request, path, operation, with_location=True))
    told_as, name = kept_as(held.kind, path), path.names[1]
    found = part(held.body, told_as, name)
    if found is None:
        return Response(204)
    goal = without_part(held.body, told_as, name)
    operation = _begin(world, path, held, "Deleting", goal, fault, f"{told_as}/{name}".lower())
    return Response(202, None, _links(request, path, operation, with_location=True))


def _put_part(
    world: World, request: Request, path: Path, fault: Fault | None, held: Resource | None, body: Json
) -> Response:
    if held is None:
        raise parent_not_found(path.top)
    told_as, name = kept_as(held.kind, path), path.names[1]
    known = part(held.body, told_as, name)
    goal = with_part(held.body, told_as, {**without_told(body), "name": known["name"] if known else name})
    _check(held.kind, goal)
    held.body = goal
    operation = _begin(world, path, held, "Updating", goal, fault, f"{told_as}/{name}".lower())
    told = rendering.child(held, told_as, name)
    return Response(200 if known else 201, told, _links(request, path, operation, with_location=False))


def _free(world: World, request: Request, path: Path) -> Resource | None:
    """The resource that a write is about, if nothing stands in the way of writing it. Raises Refusal."""
    check_locks(list(world.locks.values()), request.method, path.text)
    held = world.holder(path)
    if held is None:
        return None
    if held.operation is not None:
        raise (in_progress if held.kind == FIREWALL else another_operation)(held.id)
    given = request.headers.get("if-match", "*")
    if given not in ("*", held.etag):
        raise etag_mismatch(given, held.etag, held.id)
    return held


def _goal(path: Path, body: Json, held: Resource | None) -> Json:
    """What is to stand after a PUT: what it says, and nothing of what was there before."""
    if path.kind not in rendering.TYPES:
        raise Refusal(404, "InvalidResourceType", f"The fake has no {path.full_kind}.")
    goal = {name: value for name, value in without_told(body).items() if name != "name"}
    properties = goal.setdefault("properties", {})
    for told_as in CHILDREN.get(path.kind, {}).values():
        properties[told_as] = [without_told(each) for each in properties.get(told_as) or []]
    if path.kind == rendering.VM:
        # A machine made again is another one.
        known = held.body["properties"].get("vmId") if held else None
        properties["vmId"] = known or properties.get("vmId") or str(uuid.uuid4())
        if held and "instanceView" in held.body["properties"]:
            properties.setdefault("instanceView", held.body["properties"]["instanceView"])
    _check(path.kind, goal)
    return goal


def without_told(body: Json) -> Json:
    """What somebody sends back of what they were told, without what is not theirs to say."""
    told = {"provisioningState", "defaultSecurityRules", "resourceGuid", "virtualMachine"}
    kept = {name: value for name, value in body.items() if name not in _TOLD_ONLY}
    kept["properties"] = {name: value for name, value in (body.get("properties") or {}).items() if name not in told}
    return kept


def _check(kind: str, goal: Json) -> None:
    checks: dict[str, Callable[[Json], None]] = {rendering.NSG: _check_rules, FIREWALL: _check_firewall}
    if kind in checks:
        checks[kind](goal)


def _check_rules(goal: Json) -> None:
    rules.check_group(parts(goal, "securityRules"))


def _check_firewall(goal: Json) -> None:
    """Priorities, and that no two collections lead one port of one address to two places."""
    taken: dict[tuple[str, str, str], str] = {}
    for collection in goal["properties"].get("natRuleCollections") or []:
        if collection["properties"].get("priority") not in _FIREWALL_PRIORITIES:
            raise bad("AzureFirewallInvalidPriority", f"{collection['name']}: the priority must be 100 to 65000.")
        for rule in collection["properties"].get("rules", []):
            for at in _mapped(rule):
                if at in taken:
                    message = f"NAT rule {rule['name']} maps the same port as {taken[at]}."
                    raise bad("AzureFirewallNatRuleConflict", message)
                taken[at] = rule["name"]


def _mapped(rule: Json) -> list[tuple[str, str, str]]:
    return [
        (address, protocol.lower(), port)
        for address in rule["destinationAddresses"]
        for protocol in rule["protocols"]
        for port in rule["destinationPorts"]
    ]


def _begin(
    world: World, path: Path, resource: Resource, state: str, goal: Json | None, fault: Fault | None, child: str = ""
) -> Operation:
    outcome = _OUTCOMES.get(fault, "Succeeded") if fault else "Succeeded"
    until = world.until(path) + (STUCK_SECONDS if fault is Fault.STICK else 0)
    operation = Operation(str(uuid.uuid4()), until, state, goal, child, outcome)
    world.resources.begin(resource, operation)
    return operation


def _links(request: Request, path: Path, operation: Operation, *, with_location: bool) -> dict[str, str]:
    """Where to ask how it goes."""
    version = request.query.get("api-version", "")
    at = f"{request.base}/subscriptions/{path.subscription}/providers/{path.namespace}/locations/westeurope"
    links = {"azure-asyncoperation": f"{at}/operations/{operation.id}?api-version={version}"}
    if with_location:
        links["location"] = f"{at}/operationResults/{operation.id}?api-version={version}"
    return links


def _put_lock(world: World, path: Path, body: Json) -> Response:
    level = body.get("properties", {}).get("level")
    if level not in ("CanNotDelete", "ReadOnly"):
        raise bad("InvalidLockLevel", "The lock level must be CanNotDelete or ReadOnly.")
    lock = Lock(path.text, path.scope, level)
    world.locks[path.text.lower()] = lock
    return Response(201, lock_body(lock))


def _body(request: Request) -> Json:
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise bad("InvalidRequestContent", "The request content was invalid and could not be deserialized.") from error
    if not isinstance(body, dict):
        raise bad("InvalidRequestContent", "The request content must be an object.")
    return body
