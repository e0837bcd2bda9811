"""Resource Graph: a table of all resources, which may be told of changes late.

It understands of its query language what one question here needs: ``where type in~ ('a', 'b')``.
"""

import json
import re

from jitgate.testing.azure import rendering
from jitgate.testing.azure.messages import Json, Request, Response, bad
from jitgate.testing.azure.world import World

KIND = "Microsoft.ResourceGraph/resources"
_PAGE = 1000
_TYPES = re.compile(r"\btype in~ \(([^)]*)\)")
_COLUMNS = ("id", "name", "type", "location", "tags", "sku", "properties")


def answer(world: World, request: Request) -> Response:
    """A page of what is asked for, in the order of ids. Raises Refusal."""
    asked = json.loads(request.body or b"{}")
    found = _TYPES.search(asked.get("query", ""))
    if found is None or not asked.get("subscriptions"):
        raise bad("BadRequest", "The fake wants subscriptions, and a query with: where type in~ ('a', 'b').")
    kinds = {each.strip().strip("'").lower() for each in found[1].split(",")}
    among = tuple(f"/subscriptions/{each}/".lower() for each in asked["subscriptions"])
    told = rows(world) if world.graph is None else world.graph
    all_rows = [row for row in told if row["type"] in kinds and row["id"].lower().startswith(among)]
    options = asked.get("options") or {}
    begin, size = int(options.get("$skipToken") or 0), min(_PAGE, int(options.get("$top") or 100))
    page = all_rows[begin : begin + size]
    more: Json = {"$skipToken": str(begin + size)} if begin + size < len(all_rows) else {}
    body = {"totalRecords": len(all_rows), "count": len(page), "resultTruncated": "false", "data": page, **more}
    return Response(200, body)


def rows(world: World) -> list[Json]:
    """What there is, as it tells it: types in small letters, no etags."""
    refers = rendering.referring(world.resources)
    told = [
        rendering.resource(held, refers, with_view=False)
        for kind in rendering.TYPES
        for held in world.resources.of_kind(kind)
    ]
    found = [{**{name: body.get(name) for name in _COLUMNS}, "type": body["type"].lower()} for body in told]
    return sorted(found, key=lambda row: row["id"].lower())
