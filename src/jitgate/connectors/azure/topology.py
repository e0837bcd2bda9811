"""What stands in front of each machine, worked out of what Azure lists. Pure.

Inbound traffic passes the subnet's network security group, then the interface's; both must allow (firewalls.md, 2.2).
Groups that have machines in common are one scope, so that one process at a time writes to each of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jitgate.connectors.azure.listing import Json, Listing
from jitgate.connectors.azure.rules import Nsg, read_nsg
from jitgate.core.resource_id import key

AZURE_BASTION, AZURE_FIREWALL = "azurebastionsubnet", "azurefirewallsubnet"


@dataclass(frozen=True, slots=True)
class Address:
    """One private address of an interface, and how the Internet knows it."""

    private: str
    family: int
    subnet: str
    public: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Firewall:
    """An Azure Firewall. `prefixes`: its subnet's, which machines behind it see as the source; `managed`: by what else
    than classic rules it is governed, or ""."""

    id: str
    name: str
    network: str
    private: str
    public: tuple[str, ...]
    prefixes: tuple[str, ...]
    managed: str = ""

    @property
    def key(self) -> str:
        return key(self.id)


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a machine.

    `path`      the groups that inbound traffic passes, by their keys; the last one governs
    `firewall`  the Azure Firewall in front; `elsewhere`: the name of one in another network, which does not count
    """

    id: str
    addresses: tuple[Address, ...]
    path: tuple[str, ...]
    network: str
    firewall: Firewall | None = None
    elsewhere: str = ""

    @property
    def governing(self) -> str | None:
        return self.path[-1] if self.path else None


@dataclass(frozen=True, slots=True)
class Place:
    """A machine, and what is in front of it."""

    uuid: str
    id: str
    name: str
    os: str
    location: str
    tags: Mapping[str, str]
    interfaces: tuple[Interface, ...]
    scope: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups in front of it."""
        return tuple(dict.fromkeys(group for interface in self.interfaces for group in interface.path))

    @property
    def firewall(self) -> Firewall | None:
        return next((each.firewall for each in self.interfaces if each.firewall), None)


@dataclass(frozen=True)
class Topology:
    """A subscription, or several.

    `places`   machines by UUID
    `nsgs`     groups by key
    `scopes`   per group or firewall, by its key, the scope that it belongs to
    `locks`    per locked resource, by its key: CanNotDelete or ReadOnly
    `admin_rules`, `tags`: as in `surroundings.Around`
    """

    places: Mapping[str, Place]
    nsgs: Mapping[str, Nsg]
    scopes: Mapping[str, str]
    firewalls: Mapping[str, Firewall]
    locks: Mapping[str, str] = field(default_factory=dict)
    bastions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classic: Sequence[Json] = ()
    listing: Listing = field(default_factory=Listing)
    admin_rules: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """The groups of each scope, by their keys."""
        found: dict[str, list[str]] = {}
        for one, scope in self.scopes.items():
            if one in self.nsgs:
                found.setdefault(scope, []).append(one)
        return {scope: tuple(groups) for scope, groups in found.items()}

    def lock_on(self, resource: str) -> str:
        """What kind of lock holds a resource: its own, or one above it. "" for none."""
        at = key(resource)
        held = {kind for locked, kind in self.locks.items() if at == locked or at.startswith(locked + "/")}
        return "ReadOnly" if "ReadOnly" in held else next(iter(held), "")


def read(listing: Listing) -> Topology:
    """What Azure's lists mean."""
    nsgs = {nsg.key: nsg for nsg in map(read_nsg, listing.groups)}
    subnets = _Subnets(listing)
    firewalls = {each.key: each for each in _firewalls(listing, subnets)}
    interfaces = dict(_interfaces(listing, nsgs, subnets, firewalls.values()))
    places = [_place(body, interfaces) for body in listing.machines]
    scopes = _scopes(places, nsgs)
    located = {place.uuid: _located(place, scopes) for place in places}
    return Topology(
        places=located,
        nsgs=nsgs,
        scopes=scopes,
        firewalls=firewalls,
        locks=dict(_locks(listing)),
        bastions=_bastions(listing, subnets),
        classic=listing.classic,
        listing=listing,
    )


# --- subnets ------------------------------------------------------------------------------------------


class _Subnets:
    """Subnets by their keys, with what they belong to."""

    def __init__(self, listing: Listing) -> None:
        self._subnets = {
            key(subnet["id"]): subnet for network in listing.networks for subnet in _told(network).get("subnets") or ()
        }
        self._routes = {key(table["id"]): table for table in listing.routes}

    def group(self, subnet: str) -> str | None:
        return _id_in(self._told(subnet), "networkSecurityGroup")

    def prefixes(self, subnet: str) -> tuple[str, ...]:
        told = self._told(subnet)
        one = told.get("addressPrefix")
        return tuple(told.get("addressPrefixes") or ([one] if one else ()))

    def next_hop(self, subnet: str) -> str | None:
        """The address of the appliance that a subnet's default route leads to."""
        table = self._routes.get(_id_in(self._told(subnet), "routeTable") or "")
        for route in _told(table or {}).get("routes") or ():
            told = _told(route)
            if told.get("addressPrefix") == "0.0.0.0/0" and key(told.get("nextHopType", "")) == "virtualappliance":
                address: str | None = told.get("nextHopIpAddress")
                return address
        return None

    def named(self, network: str, name: str) -> str | None:
        subnet = f"{network}/subnets/{name}"
        return subnet if subnet in self._subnets else None

    def _told(self, subnet: str) -> Json:
        return _told(self._subnets.get(subnet, {}))


def network_of(subnet: str) -> str:
    """The key of the network that a subnet's key belongs to."""
    return subnet.partition("/subnets/")[0]


# --- firewalls, interfaces, machines --------------------------------------------------------------------


def _firewalls(listing: Listing, subnets: _Subnets) -> Iterator[Firewall]:
    public = _public_addresses(listing)
    for body in listing.firewalls:
        told = _told(body)
        parts = [_told(each) for each in told.get("ipConfigurations") or ()]
        subnet = next((found for part in parts if (found := _id_in(part, "subnet"))), "")
        yield Firewall(
            id=body["id"],
            name=body["name"],
            network=network_of(subnet),
            private=next((part["privateIPAddress"] for part in parts if part.get("privateIPAddress")), ""),
            public=tuple(
                address for part in parts if (address := public.get(_id_in(part, "publicIPAddress") or "", ""))
            ),
            prefixes=subnets.prefixes(subnet),
            managed=_managed(told),
        )


def _managed(told: Json) -> str:
    if told.get("firewallPolicy"):
        return "a firewall policy"
    if told.get("virtualHub") or key((told.get("sku") or {}).get("name", "")) == "azfw_hub":
        return "Azure Firewall Manager, in a virtual hub"
    return ""


def _interfaces(
    listing: Listing, nsgs: Mapping[str, Nsg], subnets: _Subnets, firewalls: Iterable[Firewall]
) -> Iterator[tuple[str, Interface]]:
    public = _public_addresses(listing)
    by_address = {firewall.private: firewall for firewall in firewalls if firewall.private}
    for body in listing.interfaces:
        addresses = tuple(_addresses(body, public))
        subnet = addresses[0].subnet if addresses else ""
        path = [subnets.group(subnet), _id_in(_told(body), "networkSecurityGroup")]
        ahead = by_address.get(subnets.next_hop(subnet) or "")
        is_here = ahead is not None and ahead.network == network_of(subnet)
        yield (
            key(body["id"]),
            Interface(
                id=body["id"],
                addresses=addresses,
                path=tuple(dict.fromkeys(each for each in path if each is not None and each in nsgs)),
                network=network_of(subnet),
                firewall=ahead if is_here else None,
                elsewhere=ahead.name if ahead is not None and not is_here else "",
            ),
        )


def _addresses(body: Json, public: Mapping[str, str]) -> Iterator[Address]:
    for part in _told(body).get("ipConfigurations") or ():
        told = _told(part)
        private = told.get("privateIPAddress")
        if private:
            yield Address(
                private=private,
                family=6 if ":" in private else 4,
                subnet=_id_in(told, "subnet") or "",
                public=public.get(_id_in(told, "publicIPAddress") or "", ""),
                groups=frozenset(key(group["id"]) for group in told.get("applicationSecurityGroups") or ()),
            )


def _public_addresses(listing: Listing) -> Mapping[str, str]:
    return {key(body["id"]): _told(body).get("ipAddress") or "" for body in listing.addresses}


def _place(body: Json, interfaces: Mapping[str, Interface]) -> Place:
    told = _told(body)
    named = [key(each["id"]) for each in (told.get("networkProfile") or {}).get("networkInterfaces") or ()]
    disk = (told.get("storageProfile") or {}).get("osDisk") or {}
    return Place(
        uuid=key(told["vmId"]),
        id=body["id"],
        name=body["name"],
        os=key(disk.get("osType", "")),
        location=key(body.get("location", "global")),
        tags=body.get("tags") or {},
        interfaces=tuple(interfaces[name] for name in named if name in interfaces),
    )


# --- scopes -------------------------------------------------------------------------------------------


def _scopes(places: Iterable[Place], nsgs: Iterable[str]) -> Mapping[str, str]:
    """Groups and firewalls that have machines in common, under one name: that of a firewall among them, else of a
    subnet's group, else of an interface's, so that a new machine does not change it."""
    joined = {group: group for group in nsgs}
    rank: dict[str, int] = dict.fromkeys(joined, 2)
    for place in places:
        for interface in place.interfaces:
            if len(interface.path) > 1:
                rank[interface.path[0]] = 1
        if place.firewall is not None:
            joined.setdefault(place.firewall.key, place.firewall.key)
            rank[place.firewall.key] = 0
        _join(joined, [*place.groups, *([place.firewall.key] if place.firewall else [])])
    names: dict[str, str] = {}
    for one in joined:
        root = _root(joined, one)
        names[root] = min(names.get(root, one), one, key=lambda each: (rank[each], each))
    return {one: names[_root(joined, one)] for one in joined}


def _join(joined: dict[str, str], together: Sequence[str]) -> None:
    for one in together[1:]:
        joined[_root(joined, one)] = _root(joined, together[0])


def _root(joined: dict[str, str], one: str) -> str:
    while joined[one] != one:
        joined[one] = joined[joined[one]]
        one = joined[one]
    return one


def _located(place: Place, scopes: Mapping[str, str]) -> Place:
    ahead = place.firewall.key if place.firewall else next(iter(place.groups), "")
    # A machine with nothing in front of it is a scope of its own, in which nothing is ever written.
    scope = scopes.get(ahead) or key(place.id)
    return Place(place.uuid, place.id, place.name, place.os, place.location, place.tags, place.interfaces, scope)


# --- around -------------------------------------------------------------------------------------------


def _locks(listing: Listing) -> Iterator[tuple[str, str]]:
    for body in listing.locks:
        resource = key(body["id"]).partition("/providers/microsoft.authorization/locks/")[0]
        yield resource, str(_told(body).get("level", "CanNotDelete"))


def _bastions(listing: Listing, subnets: _Subnets) -> Mapping[str, tuple[str, ...]]:
    """Per network, the prefixes that its Azure Bastion comes from. Its developer edition comes from one of Azure's."""
    found: dict[str, tuple[str, ...]] = {}
    peers = _peers(listing)
    for body in listing.bastions:
        told = _told(body)
        for subnet in [_id_in(_told(part), "subnet") or "" for part in told.get("ipConfigurations") or ()]:
            for network in (network_of(subnet), *peers.get(network_of(subnet), ())):
                found[network] = subnets.prefixes(subnet)
        if shared := _id_in(told, "virtualNetwork"):
            found[shared] = ("168.63.129.16/32",)
    return found


def _peers(listing: Listing) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for network in listing.networks:
        peerings = _told(network).get("virtualNetworkPeerings") or ()
        found[key(network["id"])] = tuple(
            peer for peering in peerings if (peer := _id_in(_told(peering), "remoteVirtualNetwork"))
        )
    return found


def _told(body: Json) -> Mapping[str, Any]:
    told: Mapping[str, Any] = body.get("properties") or {}
    return told


def _id_in(told: Mapping[str, Any], name: str) -> str | None:
    """The key of what a property refers to."""
    found = told.get(name)
    return key(found["id"]) if found and found.get("id") else None
