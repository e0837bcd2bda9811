"""DNAT rules of an Azure Firewall with classic rules. Pure.

A firewall can only be written as a whole, which takes minutes, so all changes of a pass go into one body, made of the
one that was read: what is not ours is kept to the last unknown field. Sources are checked here and nowhere else: the
machine sees the firewall's own address.
"""

import copy
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jitgate.connectors.azure import names
from jitgate.connectors.azure.rules import SUCCEEDED, Json, spelled
from jitgate.connectors.azure.topology import Firewall, Place, Topology
from jitgate.connectors.azure.wanted import goes_by_firewall
from jitgate.core import prefixes
from jitgate.core.desired import AccessKey, Desired, PortKey
from jitgate.core.resource_id import key

COLLECTION = "jitgate"
USUALLY = timedelta(minutes=5)
"""How long a change takes, until it has been measured."""
MOST_MEASURED = 200
_NEARLY_ALL = 0.99
_FIRST_PRIORITY, _LAST_PRIORITY = 100, 65000


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a scope's firewall from pass to pass.

    `ports`  the port that is mapped, by machine tag and port: the same for good
    `took`   seconds that changes took; `began`: when the one that is under way began (seconds since 1970), or 0;
             `busy`: when the firewall was last seen at it
    `leaving`  what is shut ahead of its end, as texts of keys
    """

    ports: Mapping[str, int]
    took: tuple[float, ...] = ()
    began: float = 0.0
    busy: float = 0.0
    leaving: frozenset[str] = frozenset()

    @staticmethod
    def of(memory: Mapping[str, Any]) -> "Known":
        return Known(
            memory.get("ports", {}),
            tuple(memory.get("took", ())),
            memory.get("began", 0.0),
            memory.get("busy", 0.0),
            frozenset(memory.get("leaving", ())),
        )

    def encode(self) -> Mapping[str, Any]:
        """As JSON; nothing at all of what there is no firewall for."""
        if self == Known({}):
            return {}
        leaving = sorted(self.leaving)
        times = {"took": list(self.took), "began": self.began, "busy": self.busy}
        return {"ports": dict(self.ports), **times, "leaving": leaving}

    @property
    def early(self) -> timedelta:
        """How long before its end a close begins: as long as 99 of 100 changes took at the most."""
        if not self.took:
            return USUALLY
        return timedelta(seconds=sorted(self.took)[math.ceil(_NEARLY_ALL * len(self.took)) - 1])


def how_long(known: Known) -> str:
    """How long a change takes, for people."""
    minutes = max(1, round(known.early.total_seconds() / 60))
    if not known.took:
        return f"about {minutes} min, which is an estimate: none has been measured yet"
    count = len(known.took)
    measured = "the last one took" if count == 1 else f"nearly all of the last {count} took at the most"
    return f"about {minutes} min: so long {measured}"


def map_ports(known: Known, wanted: Iterable[PortKey], body: Json, within: tuple[int, int]) -> Mapping[str, int]:
    """A port of the firewall for each port of a machine: the one it had, else one that nothing else has."""
    ports = {**known.ports, **dict(_own_ports(body))}
    low, high = within
    foreign = set(_foreign_ports(body))
    for port in sorted(set(wanted)):
        if _slot(port) in ports:
            continue
        first = int(names.tag(_slot(port)), 16) % (high - low + 1)
        tried = (low + (first + step) % (high - low + 1) for step in range(high - low + 1))
        taken = foreign | set(ports.values())
        free = next((number for number in tried if number not in taken), None)
        if free is not None:
            ports[_slot(port)] = free
    return ports


def mapped(ports: Mapping[str, int], port: PortKey) -> int | None:
    """The port of the firewall that leads to a port of a machine."""
    return ports.get(_slot(port))


def by_firewall(desired: Desired, topology: Topology, firewall: Firewall) -> Iterator[tuple[AccessKey, Place]]:
    """The keys whose sources come by this firewall."""
    for access in desired.access:
        place = topology.places.get(access.machine)
        if place is None or place.firewall is None or place.firewall.key != firewall.key:
            continue
        if goes_by_firewall(place, access.prefix) and prefixes.family(access.prefix) == 4:
            yield access, place


def changed(
    body: Json, desired: Desired, topology: Topology, firewall: Firewall, ports: Mapping[str, int], until: datetime
) -> Json | None:
    """The body that makes DNAT rules stand for what ends after `until`; None: the one that stands does."""
    rules = {} if desired.complete else {key(rule["name"]): rule for rule in _own_rules(body)}
    sources: dict[PortKey, dict[str, datetime]] = {}
    places: dict[str, Place] = {}
    for access, place in by_firewall(desired, topology, firewall):
        places[access.machine] = place
        found = sources.setdefault(access.target, {})
        end = desired.access[access]
        if end is not None and end > until:
            found[spelled(access.prefix)] = end
    for target, allowed in sources.items():
        rules.pop(names.nat_name(target), None)
        number = mapped(ports, target)
        if allowed and number is not None:
            rules[names.nat_name(target)] = _rule(firewall, places[target.machine], target, allowed, number)
    return _with(body, [rules[name] for name in sorted(rules)])


def stands(body: Json, access: AccessKey) -> bool:
    """Whether a body lets a source of a key through."""
    name = names.nat_name(access.target)
    return any(
        key(rule["name"]) == name and spelled(access.prefix) in map(spelled, rule.get("sourceAddresses") or ())
        for rule in _own_rules(body)
    )


def text(access: AccessKey) -> str:
    """A key as it is remembered."""
    return f"{_slot(access.target)}-{access.protocol}-{access.prefix}"


def state(body: Json) -> str:
    """succeeded, updating, deleting; or how the last change ended badly: failed, canceled."""
    return key((body.get("properties") or {}).get("provisioningState", SUCCEEDED))


def overdue(body: Json, now: datetime) -> Mapping[str, datetime]:
    """The rules that name and mark prove to be ours, by name, with their end, which is past."""
    marks = {str(rule["name"]): names.mark_of(str(rule.get("description") or "")) for rule in _own_rules(body)}
    ends = {name: mark.until for name, mark in marks.items() if mark is not None and names.is_nat(name)}
    return {name: until for name, until in ends.items() if until is not None and until <= now}


def without(body: Json, gone: Collection[str]) -> Json | None:
    """The body less some rules of ours, by name; None: they are none of it."""
    return _with(body, [rule for rule in _own_rules(body) if rule["name"] not in gone])


def _rule(firewall: Firewall, place: Place, target: PortKey, sources: Mapping[str, datetime], number: int) -> Json:
    private = next(each.private for interface in place.interfaces for each in interface.addresses if each.family == 4)
    return {
        "name": names.nat_name(target),
        "description": names.describe(f"Leads to {target} of {place.name}.", place.scope, min(sources.values())),
        "sourceAddresses": sorted(sources),
        "destinationAddresses": [firewall.public[0]],
        "destinationPorts": [str(number)],
        "protocols": [str(target.protocol)],
        "translatedAddress": private,
        "translatedPort": str(target.port),
    }


def _with(body: Json, rules: list[Json]) -> Json | None:
    """A body with these rules in our collection, and all else as it is; None where they stand already."""
    if [_content(rule) for rule in _own_rules(body)] == [_content(rule) for rule in rules]:
        return None
    made: dict[str, Any] = copy.deepcopy(dict(body))
    collections = made["properties"].setdefault("natRuleCollections", [])
    ours = next((each for each in collections if key(each["name"]) == COLLECTION), None)
    others = [each for each in collections if each is not ours]
    if not rules:
        made["properties"]["natRuleCollections"] = others
        return made
    if ours is None:
        taken = {each["properties"]["priority"] for each in others}
        priority = next(number for number in range(_FIRST_PRIORITY, _LAST_PRIORITY) if number not in taken)
        ours = {"name": COLLECTION, "properties": {"priority": priority, "action": {"type": "Dnat"}}}
        collections.append(ours)
    ours["properties"]["rules"] = rules
    return made


def _content(rule: Json) -> tuple[Any, ...]:
    return (
        key(rule["name"]),
        names.mark_of(str(rule.get("description") or "")),
        sorted(map(spelled, rule.get("sourceAddresses") or ())),
        list(rule.get("destinationAddresses") or ()),
        list(rule.get("destinationPorts") or ()),
        sorted(map(key, rule.get("protocols") or ())),
        rule.get("translatedAddress"),
        rule.get("translatedPort"),
    )


def _own_rules(body: Json) -> list[Json]:
    found = [each for each in _collections(body) if key(each["name"]) == COLLECTION]
    rules = [rule for each in found for rule in (each.get("properties") or {}).get("rules") or ()]
    return sorted(rules, key=lambda rule: key(rule["name"]))


def _own_ports(body: Json) -> Iterator[tuple[str, int]]:
    """The ports that rules of ours have: they stay, also where nothing else is remembered."""
    for rule in _own_rules(body):
        parts, numbers = key(rule["name"]).split("-"), rule.get("destinationPorts") or ()
        if len(parts) == 5 and numbers and str(numbers[0]).isdigit():
            yield f"{parts[2]}-{parts[3]}", int(numbers[0])


def _foreign_ports(body: Json) -> Iterator[int]:
    """The ports that rules of others have, whatever their address: one of ours is never the same."""
    for each in _collections(body):
        if key(each["name"]) == COLLECTION:
            continue
        for rule in (each.get("properties") or {}).get("rules") or ():
            for text in rule.get("destinationPorts") or ():
                low, _, high = text.partition("-")
                if low.isdigit():
                    yield from range(int(low), int(high or low) + 1)


def _collections(body: Json) -> list[Any]:
    return list((body.get("properties") or {}).get("natRuleCollections") or ())


def _slot(port: PortKey) -> str:
    return f"{names.tag(port.machine)}-{port.port}"
