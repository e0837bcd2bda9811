"""Security admin rules of a virtual network manager, where they let a port be reached whatever the groups say. Pure.

They come before all groups: what one always allows passes those by, and our deny with them.
"""

from collections.abc import Iterator, Mapping, Sequence

from jitgate.connectors.azure.listing import Json
from jitgate.connectors.azure.rules import covers_port
from jitgate.connectors.azure.topology import Interface, Place
from jitgate.core import prefixes
from jitgate.core.desired import PortKey
from jitgate.core.exposure.addresses import is_prefix
from jitgate.core.resource_id import key


def always_allowed(place: Place, port: PortKey, rules: Mapping[str, Sequence[Json]]) -> str:
    """The rule that lets a port of a machine be reached past its groups, for people; "" for none.

    A rule that denies the port to everybody in front of it takes that back.
    """
    for interface in place.interfaces:
        for rule in _deciding(rules.get(interface.network, ()), port, interface):
            told = rule["properties"]
            access = key(told.get("access", ""))
            if access == "alwaysallow":
                return f"the security admin rule {rule['id'].rpartition('/')[2]} ({rule['id']})"
            if access == "deny" and _is_all(told.get("sources")):
                break
    return ""


def _deciding(rules: Sequence[Json], port: PortKey, interface: Interface) -> Iterator[Json]:
    """Those that are about a port, the one that decides first ahead."""
    inbound = (each for each in rules if key(each["properties"].get("direction", "")) == "inbound")
    for rule in sorted(inbound, key=lambda each: int(each["properties"].get("priority", 0))):
        told = rule["properties"]
        is_protocol = key(told.get("protocol", "any")) in ("any", "*", port.protocol.lower())
        ranges = told.get("destinationPortRanges") or ["*"]
        if is_protocol and covers_port(ranges, port.port) and _concerns(told.get("destinations"), interface):
            yield rule


def _concerns(destinations: Sequence[Json] | None, interface: Interface) -> bool:
    """Whether a rule may be for an address of an interface. What is not known for sure counts as yes."""
    texts = [key(each.get("addressPrefix", "")) for each in destinations or ()]
    if _is_all(destinations) or not all(map(is_prefix, texts)):
        return True
    return any(
        prefixes.covers(prefixes.canonical(text), prefixes.canonical(each.private))
        for text in texts
        for each in interface.addresses
    )


def _is_all(ends: Sequence[Json] | None) -> bool:
    return not ends or any(key(each.get("addressPrefix", "")) in ("*", "any") for each in ends)
