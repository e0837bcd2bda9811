"""Who reaches the machines of a topology without a grant, worked out anew only where something has changed."""

import json
from collections.abc import Hashable, Mapping, Sequence

from jitgate.connectors.azure import names
from jitgate.connectors.azure.listing import Json
from jitgate.connectors.azure.topology import Place, Topology
from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure
from jitgate.core.exposure.azure import Analysis, Subscription
from jitgate.core.machine import MANAGEMENT_PORTS
from jitgate.core.resource_id import key

PORTS = (*((port, Protocol.TCP) for port in MANAGEMENT_PORTS), (3389, Protocol.UDP))
"""What is looked at: RDP goes by UDP as well."""


class Exposures:
    """Remembers what came out, by the etags of all that it depends on."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Hashable, Sequence[Exposure]]] = {}

    def of(self, topology: Topology) -> Mapping[str, Sequence[Exposure]]:
        """By the UUID of each machine, who reaches its management ports. Takes milliseconds for each that changed."""
        analysis, around = _analysis(topology), _around(topology)
        etags = {key(each["id"]): each.get("etag") for each in (*topology.listing.interfaces, *topology.listing.groups)}
        before, self._known = self._known, {}
        for uuid, place in topology.places.items():
            state = (around, tuple(etags.get(each) for each in _of_place(place)))
            known = before.get(uuid)
            if known is None or known[0] != state or None in state[1]:
                known = (state, analysis.exposures((each.id for each in place.interfaces), PORTS))
            self._known[uuid] = known
        return {uuid: found for uuid, (_, found) in self._known.items()}


def is_ours(rule: Json) -> bool:
    """Whether a rule as Azure answers it, of a group or of a firewall's DNAT, is ours."""
    told = rule.get("properties") or rule
    return names.is_ours(rule.get("name", ""), told.get("description") or "")


def _analysis(topology: Topology) -> Analysis:
    listing = topology.listing
    return Analysis(
        Subscription(
            groups=listing.groups,
            networks=listing.networks,
            interfaces=listing.interfaces,
            public_addresses=listing.addresses,
            route_tables=listing.routes,
            firewalls=listing.firewalls,
            balancers=listing.balancers,
            tags=topology.tags,
            admin_rules=topology.admin_rules,
            is_ours=is_ours,
        )
    )


def _around(topology: Topology) -> Hashable:
    """What the exposure of every machine may depend on: networks, ways in, who is in which group of machines, tags,
    and what comes before all groups."""
    listing = topology.listing
    told = (*listing.networks, *listing.addresses, *listing.routes, *listing.firewalls, *listing.balancers)
    seldom = json.dumps([topology.admin_rules, topology.tags], sort_keys=True)
    members = [
        (address.private, address.groups)
        for place in topology.places.values()
        for interface in place.interfaces
        for address in interface.addresses
        if address.groups
    ]
    return tuple((each["id"], each.get("etag")) for each in told), frozenset(members), seldom


def _of_place(place: Place) -> Sequence[str]:
    """The keys of a machine's interfaces, and of the groups in front of them."""
    return [*(key(each.id) for each in place.interfaces), *place.groups]
