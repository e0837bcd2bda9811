"""Which rules must stand in which group, for what a scope must hold. Pure.

One deny for each machine, at the group that governs each of its interfaces. One rule for each port that is open, with
the union of its sources, in every group on the way; of a machine behind an Azure Firewall, whose own address the
machine sees, the firewall's subnet in place of the sources that come by it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jitgate.connectors.azure import names
from jitgate.connectors.azure.rules import Wanted, spelled
from jitgate.connectors.azure.topology import Interface, Place, Topology
from jitgate.core import prefixes
from jitgate.core.desired import AccessKey, Desired, PortKey, Protocol
from jitgate.core.exposure import INTERNAL
from jitgate.core.prefixes import Prefix

FAMILIES = (4, 6)
_EVERYWHERE = {Prefix("0.0.0.0/0"): Prefix("::/0"), Prefix("::/0"): Prefix("0.0.0.0/0")}
_INTERNAL = [Prefix(str(network)) for network in INTERNAL]


@dataclass(slots=True)
class WantedHere:
    """What must stand in one group. `unwanted`: names of rules that must go."""

    rules: dict[str, Wanted] = field(default_factory=dict)
    unwanted: set[str] = field(default_factory=set)


@dataclass(slots=True)
class WantedRules:
    """What must stand in each group, by their keys. `refused`: keys that cannot be opened at all, and why; `rules_of`:
    per key the groups and names of the rules that open it."""

    groups: dict[str, WantedHere] = field(default_factory=dict)
    refused: dict[AccessKey, str] = field(default_factory=dict)
    rules_of: dict[AccessKey, list[tuple[str, str]]] = field(default_factory=dict)

    def at(self, group: str) -> WantedHere:
        return self.groups.setdefault(group, WantedHere())


def work_out(desired: Desired, topology: Topology, *, lets_bastion_in: bool) -> WantedRules:
    """The rules that a scope's groups must hold; for a part of the truth, those of the ports that it speaks of."""
    found = WantedRules()
    if desired.complete:
        for machine, ports in _by_machine(desired.protected).items():
            _protect(found, desired.scope, topology, machine, ports, lets_bastion_in=lets_bastion_in)
    for port in _ports(desired):
        _open(found, topology, port)
    return found


def goes_by_firewall(place: Place, prefix: Prefix) -> bool:
    """Whether a source reaches a machine by the Azure Firewall in front of it: all but private ones do. Not by IPv6,
    for which no route leads to it."""
    is_outside = prefixes.family(prefix) == 4 and not any(prefixes.covers(inside, prefix) for inside in _INTERNAL)
    return place.firewall is not None and is_outside


# --- denies -------------------------------------------------------------------------------------------


def _protect(
    found: WantedRules, scope: str, topology: Topology, machine: str, ports: Iterable[PortKey], *, lets_bastion_in: bool
) -> None:
    place = topology.places.get(machine)
    if place is None:
        return
    by_protocol = _ports_by_protocol(ports)
    for interface in place.interfaces:
        group = interface.governing
        if group is None:
            continue
        for family, addresses in _by_family(place, group):
            for protocol, numbers in by_protocol.items():
                rule = _deny(scope, place, protocol, family, addresses, numbers)
                found.at(group).rules[rule.name] = rule
            if lets_bastion_in and (sources := _bastion(topology, interface, family)):
                rule = _let_bastion_in(scope, place, family, addresses, sources, by_protocol)
                found.at(group).rules[rule.name] = rule


def _deny(
    scope: str, place: Place, protocol: str, family: int, addresses: frozenset[str], numbers: frozenset[str]
) -> Wanted:
    shown = ", ".join(sorted(numbers, key=int))
    return Wanted(
        name=names.deny_name(place.uuid, "any" if protocol == "*" else protocol, family),
        access="deny",
        protocol=protocol,
        sources=frozenset({"*"}),
        destinations=addresses,
        ports=numbers,
        description=names.describe(f"Shuts {shown} of {place.name} but for grants.", scope),
    )


def _let_bastion_in(
    scope: str,
    place: Place,
    family: int,
    addresses: frozenset[str],
    sources: frozenset[str],
    by_protocol: Mapping[str, frozenset[str]],
) -> Wanted:
    return Wanted(
        name=names.bastion_name(place.uuid, family),
        access="allow",
        protocol="tcp",
        sources=sources,
        destinations=addresses,
        ports=frozenset().union(*(numbers for protocol, numbers in by_protocol.items() if protocol != "udp")),
        description=names.describe(f"Lets Azure Bastion through to {place.name}.", scope),
    )


def _bastion(topology: Topology, interface: Interface, family: int) -> frozenset[str]:
    found = topology.bastions.get(interface.network, ())
    return frozenset(spelled(each) for each in found if prefixes.family(prefixes.canonical(each)) == family)


def _ports_by_protocol(ports: Iterable[PortKey]) -> Mapping[str, frozenset[str]]:
    """Ports as few rules hold them: those that are shut for both protocols in one."""
    tcp = {str(port.port) for port in ports if port.protocol is Protocol.TCP}
    udp = {str(port.port) for port in ports if port.protocol is Protocol.UDP}
    if tcp == udp:
        return {"*": frozenset(tcp)}
    found = {"tcp": frozenset(tcp), "udp": frozenset(udp)}
    return {protocol: numbers for protocol, numbers in found.items() if numbers}


# --- allows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Port:
    """A port of a machine that is spoken of, and what is to be let through to it: per protocol, sources with ends."""

    scope: str
    machine: str
    number: int
    live: Mapping[Protocol, Mapping[Prefix, datetime]]

    def keys(self) -> Iterator[AccessKey]:
        for protocol, sources in self.live.items():
            for prefix in sources:
                yield AccessKey(self.machine, self.number, protocol, prefix)


def _open(found: WantedRules, topology: Topology, port: _Port) -> None:
    place = topology.places.get(port.machine)
    groups = place.groups if place else topology.members.get(port.scope, ())
    for group in groups:
        found.at(group).unwanted |= names.allow_names(port.machine, port.number)
    if place is None:
        found.refused |= dict.fromkeys(port.keys(), "Azure lists no such machine any more")
        return
    for group in groups:
        for family, addresses in _by_family(place, group):
            _open_at(found, place, group, port, family, addresses)
    for key in port.keys():
        if key in found.rules_of or goes_by_firewall(place, key.prefix):
            continue
        if (twin := _twin(key)) in found.rules_of:
            found.rules_of[key] = found.rules_of[twin]
        else:
            found.refused[key] = f"{place.name} has no IPv{prefixes.family(key.prefix)} address"


def _twin(key: AccessKey) -> AccessKey | None:
    """Everywhere in the other family, for everywhere: of the one that a machine has no address of, nothing is to be
    opened."""
    other = _EVERYWHERE.get(key.prefix)
    return key._replace(prefix=other) if other else None


def _open_at(found: WantedRules, place: Place, group: str, port: _Port, family: int, addresses: frozenset[str]) -> None:
    """Have one group let one address family of what is live through to one port."""
    tcp, udp = (_seen(place, port.live.get(protocol, {}), family) for protocol in (Protocol.TCP, Protocol.UDP))
    both = tcp.keys() & udp.keys()
    parts = {
        "any": {source: min(tcp[source], udp[source]) for source in both},
        "tcp": {source: end for source, end in tcp.items() if source not in both},
        "udp": {source: end for source, end in udp.items() if source not in both},
    }
    here = found.at(group)
    for protocol, sources in parts.items():
        if sources:
            rule = _allow(place, port, protocol, family, addresses, sources)
            here.unwanted.discard(rule.name)
            here.rules[rule.name] = rule
    for key in port.keys():
        for source in _as_seen(place, key.prefix, family):
            protocol = "any" if source in both else key.protocol.lower()
            name = names.allow_name(port.machine, port.number, protocol, family)
            found.rules_of.setdefault(key, []).append((group, name))


def _allow(
    place: Place,
    port: _Port,
    protocol: str,
    family: int,
    addresses: frozenset[str],
    sources: Mapping[str, datetime],
) -> Wanted:
    shown = f"{port.number}" if protocol == "any" else f"{protocol}/{port.number}"
    # Azure takes no two that overlap in a rule. Who lies in a wider one is let in by that, for as long as it is there.
    widest = frozenset(map(spelled, prefixes.widest(map(prefixes.canonical, sources))))
    return Wanted(
        name=names.allow_name(port.machine, port.number, protocol, family),
        access="allow",
        protocol="*" if protocol == "any" else protocol,
        sources=widest,
        destinations=addresses,
        ports=frozenset({str(port.number)}),
        description=names.describe(
            f"Opens {shown} of {place.name}.", port.scope, min(sources[each] for each in widest)
        ),
    )


def _seen(place: Place, sources: Mapping[Prefix, datetime], family: int) -> dict[str, datetime]:
    """What a machine sees of sources, each with its latest end."""
    found: dict[str, datetime] = {}
    for prefix, end in sources.items():
        for source in _as_seen(place, prefix, family):
            found[source] = max(end, found.get(source, end))
    return found


def _as_seen(place: Place, prefix: Prefix, family: int) -> Iterator[str]:
    """What a machine sees of a source: itself, or the subnet of the firewall that it comes by; of a wide one also what
    it holds of the inside, which goes past the firewall."""
    if goes_by_firewall(place, prefix):
        assert place.firewall is not None
        inside = (each for each in _INTERNAL if prefixes.covers(prefix, each))
        seen = [*map(prefixes.canonical, place.firewall.prefixes), *inside]
        yield from (spelled(each) for each in seen if prefixes.family(each) == family)
    elif prefixes.family(prefix) == family:
        yield spelled(prefix)


# --- around -------------------------------------------------------------------------------------------


def _by_family(place: Place, group: str) -> Iterator[tuple[int, frozenset[str]]]:
    """A machine's private addresses that are reached by way of a group."""
    addresses = [each for interface in place.interfaces if group in interface.path for each in interface.addresses]
    for family in FAMILIES:
        found = frozenset(spelled(each.private) for each in addresses if each.family == family)
        if found:
            yield family, found


def _by_machine(ports: Iterable[PortKey]) -> Mapping[str, list[PortKey]]:
    found: dict[str, list[PortKey]] = {}
    for port in ports:
        found.setdefault(port.machine, []).append(port)
    return found


def _ports(desired: Desired) -> Iterator[_Port]:
    """The ports that are spoken of, with what is open of each. What has ended meanwhile is not."""
    found: dict[tuple[str, int], dict[Protocol, dict[Prefix, datetime]]] = {}
    for key, end in desired.access.items():
        live = found.setdefault((key.machine, key.port), {})
        if end is not None and end > desired.at:
            live.setdefault(key.protocol, {})[key.prefix] = end
    for (machine, number), live in found.items():
        yield _Port(desired.scope, machine, number, live)
