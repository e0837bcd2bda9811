"""Where the Internet ends: public addresses of machines, and the Azure Firewall.

A firewall cuts the sessions of a rule that has gone.
"""

from collections.abc import Iterator

from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.rendering import NIC
from jitgate.testing.azure.resources import Resource
from jitgate.testing.azure.world import World
from jitgate.testing.azure.writing import FIREWALL
from jitgate.testing.nftables import Match, chain, table

PUBLIC_IP = "microsoft.network/publicipaddresses"


def compiled(world: World) -> str:
    """The edge's rules, as text for nft."""
    arriving, passing, leaving = list(_of_machines(world)), [], []
    for firewall in world.resources.of_kind(FIREWALL):
        for rule in _nat_rules(firewall):
            for incoming, established in _matches(rule):
                arriving.append(f"{incoming} dnat ip to {rule['translatedAddress']}:{rule['translatedPort']}")
                passing.append(f"{established} accept")
        for part in configurations(firewall):
            if address := public_address(world, part):
                passing.append(f"ct direction original ct original ip daddr {address} drop")
                leaving.append(f"ct original ip daddr {address} snat ip to {part['privateIPAddress']}")
    return table(
        "edge",
        [
            chain("arriving", "type nat hook prerouting priority dstnat; policy accept;", arriving),
            chain("passing", "type filter hook forward priority filter; policy accept;", passing),
            chain("leaving", "type nat hook postrouting priority srcnat; policy accept;", leaving),
        ],
    )


def configurations(held: Resource) -> list[Json]:
    """The addresses of an interface or a firewall."""
    return [each["properties"] for each in held.effective["properties"].get("ipConfigurations", [])]


def public_address(world: World, part: Json) -> str:
    """The public address that one of them has; "" for none."""
    held = world.resources.get((part.get("publicIPAddress") or {}).get("id", ""))
    address: str = held.effective["properties"].get("ipAddress", "") if held else ""
    return address


def _of_machines(world: World) -> Iterator[str]:
    for nic in world.resources.of_kind(NIC):
        for part in configurations(nic):
            if address := public_address(world, part):
                family = "ip6" if ":" in address else "ip"
                yield f"{family} daddr {address} dnat {family} to {part['privateIPAddress']}"


def _nat_rules(firewall: Resource) -> Iterator[Json]:
    collections = firewall.effective["properties"].get("natRuleCollections") or []
    for collection in sorted(collections, key=lambda each: int(each["properties"]["priority"])):
        yield from collection["properties"].get("rules", [])


def _matches(rule: Json) -> Iterator[tuple[str, str]]:
    """How a first packet is known, and how one of an established session is."""
    sources = [each for each in rule["sourceAddresses"] if each != "*"]
    source = "" if len(sources) < len(rule["sourceAddresses"]) else f"{Match(tuple(sources)).text(4, 'saddr')} "
    for protocol in rule["protocols"]:
        for address in rule["destinationAddresses"]:
            for port in rule["destinationPorts"]:
                name = protocol.lower()
                incoming = f"{source}ip daddr {address} {name} dport {port}"
                original = f"ct original ip daddr {address} ct original proto-dst {port}"
                yield incoming, f"{source}ct direction original meta l4proto {name} {original}"
