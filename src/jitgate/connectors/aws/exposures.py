"""Who reaches a machine's ports without a grant: the union of all groups' rules, through the network ACL, by a route.

Groups allow only, and what any of them allows is allowed. Then the subnet's ACL decides, by number, and may deny. From
the Internet there has to be a way as well: a public address, and a route to an Internet gateway.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from jitgate.connectors.aws import others, ranges
from jitgate.connectors.aws.calls import Json
from jitgate.connectors.aws.world import Instance, Interface, Rule, World
from jitgate.core import prefixes
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.exposure import Exposure, Reach, is_internal
from jitgate.core.machine import MANAGEMENT_PORTS
from jitgate.core.prefixes import Network

_GATEWAYS = ("igw-",)
_EITHER = ("-1", "all")
_SO_MUCH = {4: 4, 6: 16}
"""Prefixes of this length and shorter hold so much of the Internet that it makes no difference."""


def of_machine(world: World, instance: Instance) -> tuple[Exposure, ...]:
    """The exposure of an instance's management ports; those that nobody reaches are left out."""
    found = (of_port(world, instance, PortKey("", number, Protocol.TCP)) for number in MANAGEMENT_PORTS)
    return tuple(each for each in found if each is not None)


def of_port(world: World, instance: Instance, port: PortKey) -> Exposure | None:
    """Who reaches one port by rules of others; None: nobody."""
    sources: dict[str, Reach] = {}
    deciding: dict[str, None] = {}
    for interface in instance.interfaces:
        for rule in others.letting_in(world, _only(instance, interface), port):
            let_in = _let_in(world, interface, rule, port)
            sources |= let_in
            if let_in:
                deciding[rule.id] = None
    if not sources:
        return None
    reach = max(sources.values(), key=list(Reach).index)
    return Exposure(port.port, port.protocol, reach, tuple(sorted(sources)), tuple(deciding))


def describe(world: World, rules: Iterable[Rule]) -> str:
    """Rules for people, by their groups."""
    return "; ".join(f"{world.groups[one.group].describe()}: {one.describe()}" for one in rules)


def _only(instance: Instance, interface: Interface) -> Instance:
    return Instance(
        instance.id, instance.vpc, instance.state, instance.platform, instance.zone, instance.tags, (interface,)
    )


def _let_in(world: World, interface: Interface, rule: Rule, port: PortKey) -> dict[str, Reach]:
    """The sources of a rule that get past the subnet's ACL, and from where that is."""
    cidr = rule.source.get("CidrIpv4") or rule.source.get("CidrIpv6")
    if cidr is None:
        # Members of a group have private addresses; a list of prefixes may hold any.
        from_outside = "PrefixListId" in rule.source and _leads_in(world, interface, 4)
        return {rule.source_text: Reach.SPECIFIC if from_outside else Reach.INTERNAL}
    prefix = prefixes.canonical(cidr)
    past = _past_acl(world.acls.get(interface.subnet), prefixes.network(prefix), port)
    leads_in = _leads_in(world, interface, prefixes.family(prefix))
    return {str(one): _reach(one) if leads_in else Reach.INTERNAL for one in past}


def _reach(network: Network) -> Reach:
    if network.prefixlen <= _SO_MUCH[network.version]:
        return Reach.ANYONE
    return Reach.INTERNAL if is_internal(network.network_address) else Reach.SPECIFIC


def _leads_in(world: World, interface: Interface, family: int) -> bool:
    """Whether packets from the Internet get to an interface: an address, and a route to a gateway."""
    gateway = world.routes.get(interface.subnet, {}).get(family, "")
    sixes = any(":" in address for address in interface.addresses)
    return gateway.startswith(_GATEWAYS) and (bool(interface.public) if family == 4 else sixes)


def _past_acl(entries: Sequence[Json] | None, source: Network, port: PortKey) -> list[Network]:
    """What of a source an ACL lets in. The first entry that matches decides; without one it is denied."""
    if entries is None:
        return [source]
    undecided, allowed = [source], list[Network]()
    for entry in sorted(entries, key=lambda one: int(one["RuleNumber"])):
        cidr = entry.get("CidrBlock") or entry.get("Ipv6CidrBlock")
        if not cidr or not _is_about(entry, port):
            continue
        decided = ipaddress.ip_network(cidr)
        hit = [both for one in undecided if (both := _overlap(one, decided))]
        undecided = [left for one in undecided for left in _without(one, decided)]
        if entry["RuleAction"] == "allow":
            allowed += hit
    return allowed


def _is_about(entry: Json, port: PortKey) -> bool:
    protocol = str(entry.get("Protocol", "-1")).lower()
    if protocol in _EITHER:
        return True
    bounds = entry.get("PortRange") or {"From": 0, "To": 65535}
    part = (ranges.protocol_of(protocol), int(bounds["From"]), int(bounds["To"]))
    return ranges.covers(part, port.protocol, port.port)


def _overlap(one: Network, other: Network) -> Network | None:
    if one.version != other.version or not one.overlaps(other):
        return None
    return one if one.prefixlen >= other.prefixlen else other


def _without(one: Network, other: Network) -> list[Network]:
    if one.version != other.version or not one.overlaps(other):
        return [one]
    if one.prefixlen >= other.prefixlen:
        return []
    return list(one.address_exclude(other))  # type: ignore[arg-type]
