"""Asking Azure Resource Graph whether anything has changed: a thousand rows a page, where the lists have fifty.

It is told of changes late: of most within half a minute, of some much later (azure-dev#540). So it brings no news
here, least of all of rules. Where it says what is known already, that need not be listed again; else the lists tell.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from jitgate.connectors.azure.arm import Arm
from jitgate.connectors.azure.listing import Json
from jitgate.connectors.azure.topology import Topology
from jitgate.connectors.azure.topology import read as read_topology
from jitgate.core.resource_id import key

VERSION: Final = "2022-10-01"
PAGE: Final = 1000
"""The most that it gives at once."""
MOST_PAGES = 100
KINDS: Final[Mapping[str, str]] = {
    "microsoft.compute/virtualmachines": "machines",
    "microsoft.network/networkinterfaces": "interfaces",
    "microsoft.network/publicipaddresses": "addresses",
    "microsoft.network/virtualnetworks": "networks",
    "microsoft.network/routetables": "routes",
    "microsoft.network/bastionhosts": "bastions",
}
"""Whom rules are for, and by which way those are reached."""
_PATH = "providers/Microsoft.ResourceGraph/resources"
# Pages follow one another only where the order is fixed and the id is told.
_QUERY = (
    "resources | where type in~ ({kinds}) | project id, name, type, location, tags, sku, properties | order by id asc"
)


async def confirms(arm: Arm, subscriptions: Sequence[str], known: Topology) -> bool:
    """Whether Resource Graph tells of the same machines, at the same places, as are known. Raises ArmError."""
    found = await _rows(arm, subscriptions)
    groups = (*known.listing.groups, *({"id": each} for each in _groups_named(found) - known.nsgs.keys()))
    told = read_topology(replace(known.listing, **found, groups=groups))
    return _places(told) == _places(known)


async def _rows(arm: Arm, subscriptions: Sequence[str]) -> dict[str, Any]:
    found: dict[str, list[Json]] = {name: [] for name in KINDS.values()}
    options: dict[str, Any] = {"resultFormat": "objectArray", "$top": PAGE}
    query = _QUERY.format(kinds=", ".join(f"'{kind}'" for kind in KINDS))
    for _ in range(MOST_PAGES):
        body = {"subscriptions": list(subscriptions), "query": query, "options": options}
        page = await arm.ask(_PATH, VERSION, body)
        for row in page.get("data") or ():
            if (name := KINDS.get(key(row.get("type", "")))) is not None:
                found[name].append(row)
        if not page.get("$skipToken"):
            break
        options = {**options, "$skipToken": page["$skipToken"]}
    return found


def _groups_named(found: Mapping[str, Sequence[Json]]) -> set[str]:
    """The keys of all network security groups that interfaces and subnets refer to."""
    subnets = (each for network in found["networks"] for each in network["properties"].get("subnets") or ())
    told = [each.get("properties") or {} for each in (*found["interfaces"], *subnets)]
    return {key(group["id"]) for each in told if (group := each.get("networkSecurityGroup"))}


def _places(topology: Topology) -> Hashable:
    """What rules depend on: addresses, and what is in front of them. Not names and tags, which discovery tells."""
    places = {
        (
            place.uuid,
            place.scope,
            tuple((key(each.id), each.addresses, each.path, each.network, each.firewall) for each in place.interfaces),
        )
        for place in topology.places.values()
    }
    return frozenset(places), frozenset(topology.bastions.items())
