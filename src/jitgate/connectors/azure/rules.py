"""Rules of a network security group, as values: what stands, what is wanted, and whether the two are the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgate.core import prefixes
from jitgate.core.errors import Invalid
from jitgate.core.resource_id import key

Json = Mapping[str, Any]
SUCCEEDED = "succeeded"
_SPOILED = {"failed", "canceled"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that stands. Protocols, access and direction are in small letters, protocol is ``tcp``, ``udp``, ``*``, ….

    `destinations` holds prefixes and tags; `groups` the application security groups it is for, by their keys; `etag`:
    "" where it is not known, since something was written to its group
    """

    id: str
    name: str
    priority: int
    direction: str
    access: str
    protocol: str
    sources: frozenset[str]
    destinations: frozenset[str]
    ports: frozenset[str]
    groups: frozenset[str] = frozenset()
    description: str = ""
    state: str = SUCCEEDED
    etag: str = field(default="", compare=False)

    @property
    def is_inbound(self) -> bool:
        return self.direction == "inbound"

    @property
    def is_spoiled(self) -> bool:
        """The last change of it ended badly: what is told of it is not what packets meet."""
        return self.state in _SPOILED


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rule that must stand; its priority is found where it goes in."""

    name: str
    access: str
    protocol: str
    sources: frozenset[str]
    destinations: frozenset[str]
    ports: frozenset[str]
    description: str

    def is_held_by(self, rule: Rule) -> bool:
        """Whether a rule that stands is this one, whatever its priority."""
        return (
            rule.is_inbound
            and rule.access == self.access
            and rule.protocol == self.protocol
            and rule.sources == self.sources
            and rule.destinations == self.destinations
            and rule.ports == self.ports
            and rule.description == self.description
            and not rule.groups
        )

    def lets_through_less_than(self, rule: Rule) -> bool:
        """Whether it takes a source away from what stands."""
        return not rule.sources <= self.sources or rule.access != self.access

    def body(self, priority: int) -> dict[str, Any]:
        """What is sent to make it stand."""
        return {
            "properties": {
                "description": self.description,
                "protocol": _PROTOCOLS[self.protocol],
                "sourcePortRange": "*",
                **_one_or_many("destinationPortRange", self.ports),
                **_one_or_many("sourceAddressPrefix", self.sources, "sourceAddressPrefixes"),
                **_one_or_many("destinationAddressPrefix", self.destinations, "destinationAddressPrefixes"),
                "access": self.access.capitalize(),
                "priority": priority,
                "direction": "Inbound",
            }
        }


@dataclass(frozen=True, slots=True)
class Nsg:
    """A network security group: its own rules; those that Azure adds to each are not told."""

    id: str
    name: str
    rules: Mapping[str, Rule] = field(default_factory=dict)
    etag: str = ""

    @property
    def key(self) -> str:
        return key(self.id)


def read_nsg(body: Json) -> Nsg:
    """A network security group as Azure answers it."""
    found = [read_rule(each) for each in _properties(body).get("securityRules") or ()]
    return Nsg(body["id"], body.get("name", ""), {key(rule.name): rule for rule in found}, body.get("etag", ""))


def read_rule(body: Json) -> Rule:
    """A rule as Azure answers it."""
    told = _properties(body)
    groups = told.get("destinationApplicationSecurityGroups") or ()
    return Rule(
        id=body.get("id", ""),
        name=body["name"],
        priority=int(told.get("priority", 0)),
        direction=key(told.get("direction", "")),
        access=key(told.get("access", "")),
        protocol=key(told.get("protocol", "*")),
        sources=_addresses(told, "sourceAddressPrefix"),
        destinations=_addresses(told, "destinationAddressPrefix"),
        ports=frozenset(_listed(told, "destinationPortRange", "destinationPortRanges")),
        groups=frozenset(key(group["id"]) for group in groups),
        description=told.get("description") or "",
        state=key(told.get("provisioningState", SUCCEEDED)),
        etag=body.get("etag") or "",
    )


def covers_port(ports: Iterable[str], port: int) -> bool:
    """Whether port ranges as Azure writes them (``22``, ``20-30``, ``*``) hold a port."""
    return any(_range_holds(each, port) for each in ports)


def spelled(prefix: str) -> str:
    """A prefix as rules are compared by: a single address without its length."""
    try:
        return prefixes.text(prefixes.canonical(prefix))
    except Invalid:
        return key(prefix)


_PROTOCOLS = {"tcp": "Tcp", "udp": "Udp", "*": "*"}


def _range_holds(text: str, port: int) -> bool:
    if text == "*":
        return True
    low, _, high = text.partition("-")
    return low.isdigit() and int(low) <= port <= int(high or low)


def _properties(body: Json) -> Json:
    told: Json = body.get("properties") or {}
    return told


def _addresses(told: Json, name: str) -> frozenset[str]:
    return frozenset(spelled(each) for each in _listed(told, name, f"{name}es"))


def _listed(told: Json, one: str, many: str) -> Sequence[str]:
    """A property that Azure has as one value, or as a list under another name."""
    single = told.get(one)
    return [*([single] if single else []), *(told.get(many) or ())]


def _one_or_many(one: str, values: frozenset[str], many: str = "destinationPortRanges") -> dict[str, Any]:
    if len(values) == 1:
        return {one: next(iter(values))}
    return {many: sorted(values)}
