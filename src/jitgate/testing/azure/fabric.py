"""The network of the machines: for each private address the groups of its subnet and its interface, in this order.

A group lets established sessions be, unless it has `flushConnection`: then every packet is judged anew.
"""

from collections.abc import Iterator, Sequence

from jitgate.testing.azure.edge import configurations
from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.rendering import NIC, VNET
from jitgate.testing.azure.resources import Resource, parts
from jitgate.testing.azure.rules import DEFAULTS, ports, prefixes
from jitgate.testing.azure.world import World
from jitgate.testing.nftables import EVERYTHING, FAMILIES, Match, chain, merged, table

_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
_PRIVATE6 = ("fc00::/7", "fe80::/10")
_PLATFORM = "168.63.129.16"
_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "icmp": "{ icmp, ipv6-icmp }", "esp": "esp", "ah": "ah"}


def compiled(world: World) -> str:
    """The fabric's rules, as text for nft."""
    fabric = _Fabric(world)
    passing = [line for nic in world.resources.of_kind(NIC) for line in fabric.of_interface(nic)]
    hook = "type filter hook forward priority filter; policy accept;"
    return table("fabric", [*fabric.chains.values(), chain("passing", hook, ["ct direction reply accept", *passing])])


class _Fabric:
    """`chains`: of each group as it is for a virtual network, which decides what its tags stand for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.chains: dict[tuple[str, str], str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._subnets = {
            f"{net.id}/subnets/{each['name']}".lower(): (net, each["properties"])
            for net in world.resources.of_kind(VNET)
            for each in parts(net.effective, "subnets")
        }

    def of_interface(self, nic: Resource) -> Iterator[str]:
        """What becomes of packets to an interface."""
        for told in configurations(nic):
            net, subnet = self._subnets[told["subnet"]["id"].lower()]
            at = f"{'ip6' if ':' in told['privateIPAddress'] else 'ip'} daddr {told['privateIPAddress']}"
            groups = [found for held in (subnet, nic.effective["properties"]) if (found := self._group(held))]
            if not any(group.effective["properties"].get("flushConnection") for group in groups):
                yield f"{at} ct state established,related accept"
            if not groups and not self._is_open(told):
                yield f"{at} {Match((*_PRIVATE, *_PRIVATE6), all_but=True).text(6 if ':' in at else 4, 'saddr')} drop"
            yield from (f"{at} jump {self._chain(group, net)}" for group in groups)
            yield f"{at} accept"

    def _group(self, properties: Json) -> Resource | None:
        return self._world.resources.get((properties.get("networkSecurityGroup") or {}).get("id", ""))

    def _is_open(self, told: Json) -> bool:
        """Without any group: an address of the basic kind is open, one of the standard kind is not."""
        held = self._world.resources.get((told.get("publicIPAddress") or {}).get("id", ""))
        return held is not None and held.effective.get("sku", {}).get("name") == "Basic"

    def _chain(self, group: Resource, net: Resource) -> str:
        at = (group.key, net.key)
        if at not in self._names:
            name = self._names[at] = f"group{len(self._names)}"
            self.chains[at] = chain(name, "", [*self._rules(group, net), "drop"])
        return self._names[at]

    def _rules(self, group: Resource, net: Resource) -> Iterator[str]:
        own = sorted(parts(group.effective, "securityRules"), key=lambda rule: int(rule["properties"]["priority"]))
        for rule in [*own, *DEFAULTS]:
            told = rule["properties"]
            if told["direction"].lower() == "inbound":
                yield from self._lines(told, net)

    def _lines(self, told: Json, net: Resource) -> Iterator[str]:
        """One rule: a line for each family that it is about. What is allowed goes on to the next group."""
        verdict = "return" if told["access"].lower() == "allow" else "drop"
        sources, destinations = self._end(told, "source", net), self._end(told, "destination", net)
        for family in FAMILIES:
            source, destination = sources.text(family, "saddr"), destinations.text(family, "daddr")
            if source is not None and destination is not None:
                yield " ".join(filter(None, [source, destination, _transport(told), verdict]))

    def _end(self, told: Json, end: str, net: Resource) -> Match:
        groups = [each["id"].lower() for each in told.get(f"{end}ApplicationSecurityGroups") or []]
        return merged([*(self._named(each, net) for each in prefixes(told, end)), *map(self._members, groups)])

    def _named(self, text: str, net: Resource) -> Match:
        space = _space(net)
        named = {
            "*": EVERYTHING,
            "internet": Match((*_PRIVATE, *_PRIVATE6, _PLATFORM, *space), all_but=True),
            "virtualnetwork": Match(space),
            "azureloadbalancer": Match((_PLATFORM,)),
        }
        tags = {name.lower(): Match(tuple(found)) for name, found in self._world.tags.items()}
        is_prefix = text[:1].isdigit() or ":" in text
        return Match((text,)) if is_prefix else {**tags, **named}.get(text.lower(), Match())

    def _members(self, group: str) -> Match:
        found = [
            told["privateIPAddress"]
            for nic in self._world.resources.of_kind(NIC)
            for told in configurations(nic)
            if any(each["id"].lower() == group for each in told.get("applicationSecurityGroups", []))
        ]
        return Match(tuple(found))


def _space(net: Resource) -> tuple[str, ...]:
    """A virtual network's prefixes, and those of the ones that it is joined with."""
    told = net.effective["properties"]
    joined = [each["properties"]["remoteAddressSpace"] for each in told.get("virtualNetworkPeerings", [])]
    return tuple(prefix for space in [told["addressSpace"], *joined] for prefix in space["addressPrefixes"])


def _transport(told: Json) -> str:
    """Protocol and ports."""
    numbers, from_numbers = _ports(ports(told, "destination")), _ports(ports(told, "source"))
    protocol = _PROTOCOLS.get(told["protocol"].lower(), "{ tcp, udp }" if numbers or from_numbers else "")
    found = [f"meta l4proto {protocol}" if protocol else ""]
    found += [f"th dport {{ {', '.join(numbers)} }}"] if numbers else []
    found += [f"th sport {{ {', '.join(from_numbers)} }}"] if from_numbers else []
    return " ".join(filter(None, found))


def _ports(texts: Sequence[str]) -> list[str]:
    """Ranges that do not overlap, as nftables wants them; none for all ports."""
    if "*" in texts:
        return []
    spans = sorted((int(low), int(high or low)) for low, _, high in (text.partition("-") for text in texts))
    merged_spans: list[tuple[int, int]] = []
    for low, high in spans:
        if merged_spans and low <= merged_spans[-1][1] + 1:
            merged_spans[-1] = (merged_spans[-1][0], max(high, merged_spans[-1][1]))
        else:
            merged_spans.append((low, high))
    return [f"{low}-{high}" if high > low else str(low) for low, high in merged_spans]
