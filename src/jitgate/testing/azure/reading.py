"""GET: lists in pages, single resources, operations, and what stands around resources."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from urllib.parse import urlencode

from jitgate.testing.azure import rendering
from jitgate.testing.azure.access import LOCKS, lock_body
from jitgate.testing.azure.messages import (
    Json,
    Refusal,
    Request,
    Response,
    child_not_found,
    parent_not_found,
    resource_not_found,
)
from jitgate.testing.azure.paths import Path
from jitgate.testing.azure.resources import CHILDREN, Resource, parts
from jitgate.testing.azure.world import World


def answer(world: World, request: Request, path: Path) -> Response:
    """The answer to a GET. Raises Refusal."""
    if not path.namespace:
        return _place(world, request, path)
    if path.namespace.lower() == "microsoft.authorization":
        return _authorization(world, path)
    if path.types[0].lower() == "locations":
        return _of_location(world, request, path)
    if len(path.types) == 1 and path.is_collection:
        return _list(world, request, path)
    return _one(world, request, path)


def listed(world: World, request: Request, items: Iterable[Json]) -> Response:
    """A page of a list, with the link to the next."""
    begin = int(request.query.get("$skiptoken") or 0)
    page = list(islice(items, begin, begin + world.page_size + 1))
    body: Json = {"value": page[: world.page_size]}
    if len(page) > world.page_size:
        query = {**request.query, "$skiptoken": str(begin + world.page_size)}
        body["nextLink"] = f"{request.base}{request.path}?{urlencode(query)}"
    return Response(200, body)


def _place(world: World, request: Request, path: Path) -> Response:
    words = path.text.lower().strip("/").split("/")
    if words == ["subscriptions"]:
        return listed(world, request, world.subscriptions.values())
    if len(words) == 2:
        return Response(200, world.subscriptions[words[1]])
    if words[2:] == ["resourcegroups"]:
        prefix = f"/{words[0]}/{words[1]}/"
        return listed(world, request, (each for key, each in world.groups.items() if key.startswith(prefix)))
    if len(words) == 4 and words[2] == "resourcegroups":
        return Response(200, world.groups[f"/{'/'.join(words)}"])
    raise Refusal(404, "InvalidResourceType", f"The fake has no {path.text}.")


def _authorization(world: World, path: Path) -> Response:
    kind = path.kind
    if kind == "microsoft.authorization/permissions":
        empty: Json = {"dataActions": [], "notDataActions": []}
        return Response(200, {"value": [{"notActions": [], **each, **empty} for each in world.permissions]})
    if kind != LOCKS:
        raise Refusal(404, "InvalidResourceType", f"The fake has no {path.full_kind}.")
    if path.is_collection:
        found = [lock for lock in world.locks.values() if lock.holds(path.scope) or lock.is_below(path.scope)]
        return Response(200, {"value": [lock_body(lock) for lock in found]})
    held = world.locks.get(path.text.lower())
    if held is None:
        raise Refusal(404, "LockNotFound", f"The lock '{path.names[0]}' could not be found.")
    return Response(200, lock_body(held))


def _of_location(world: World, request: Request, path: Path) -> Response:
    kind, name = path.types[1].lower(), path.names[-1]
    if kind == "servicetags":
        return Response(200, _service_tags(world, path))
    operation = world.resources.operations.get(name)
    if operation is None:
        raise Refusal(404, "OperationNotFound", f"The operation {name} could not be found.")
    is_over = operation.until <= world.clock.elapsed()
    wait = {} if is_over else {"retry-after": str(world.retry_after)}
    if kind == "operationresults":
        return Response(204 if is_over else 202, None, wait if is_over else {**wait, "location": _here(request)})
    if not is_over:
        return Response(200, {"status": "InProgress"}, wait)
    if operation.outcome == "Succeeded":
        return Response(200, {"status": "Succeeded"})
    return Response(200, {"status": operation.outcome, "error": _why(operation.outcome)})


def _here(request: Request) -> str:
    return f"{request.base}{request.path}?{urlencode(request.query)}"


def _why(outcome: str) -> Json:
    if outcome == "Canceled":
        message = "Operation was canceled and superseded by another operation."
        detail = {"code": "CanceledAndSupersededDueToAnotherOperation", "message": message}
        return {"code": "Canceled", "message": "Operation was canceled.", "details": [detail]}
    return {"code": "InternalServerError", "message": "An error occurred.", "details": []}


def _service_tags(world: World, path: Path) -> Json:
    values = [
        {"name": name, "id": name, "properties": {"changeNumber": "1", "region": "", "addressPrefixes": list(prefixes)}}
        for name, prefixes in world.tags.items()
    ]
    return {"name": "Public", "type": "Microsoft.Network/serviceTags", "id": path.text, "cloud": "Public"} | {
        "changeNumber": "1",
        "values": values,
    }


def _list(world: World, request: Request, path: Path) -> Response:
    if path.kind not in rendering.TYPES:
        raise Refusal(404, "InvalidResourceType", f"The fake has no {path.full_kind}.")
    refers = rendering.referring(world.resources)
    wants = request.query.get("$expand", "") or request.query.get("statusOnly", "")
    with_view = wants.lower() in ("instanceview", "true")
    found = world.resources.of_kind(path.kind, path.scope)
    return listed(world, request, (rendering.resource(each, refers, with_view=with_view) for each in found))


def _one(world: World, request: Request, path: Path) -> Response:
    held = world.holder(path)
    if held is None:
        missing = resource_not_found(f"{path.namespace}/{path.types[0]}", path.names[0], path.group)
        raise missing if len(path.types) == 1 else parent_not_found(path.top)
    if len(path.types) == 1:
        with_view = request.query.get("$expand", "").lower() == "instanceview"
        return Response(200, rendering.resource(held, rendering.referring(world.resources), with_view=with_view))
    if path.types[1].lower() == "instanceview":
        return Response(200, held.body["properties"].get("instanceView", {}))
    return _parts(world, request, path, held)


def _parts(world: World, request: Request, path: Path, held: Resource) -> Response:
    told_as = kept_as(held.kind, path)
    if not path.is_collection:
        found = rendering.child(held, told_as, path.names[1])
        if found is None:
            raise child_not_found(path.text)
        return Response(200, found)
    return listed(world, request, _told(held, told_as))


def _told(held: Resource, told_as: str) -> Iterator[Json]:
    for each in parts(held.body, told_as):
        found: Mapping[str, object] | None = rendering.child(held, told_as, each["name"])
        if found is not None:
            yield dict(found)


def kept_as(kind: str, path: Path) -> str:
    """As which property the parts that a path is about are kept. Raises Refusal."""
    found = CHILDREN.get(kind, {}).get(path.types[1].lower())
    if found is None:
        raise Refusal(404, "InvalidResourceType", f"The fake has no {path.full_kind}.")
    return found
