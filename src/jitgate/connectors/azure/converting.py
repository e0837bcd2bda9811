"""Rules of others in front of a deny: what is made of them with consent, and how they are put back.

A port is taken out of such a rule; a rule that is left with none is turned to a deny in its place. Nothing else of it
changes, and the original goes back as it was. What somebody has edited meanwhile is theirs: it is left alone.
"""

import copy
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jitgate.connectors.azure import names
from jitgate.connectors.azure.planning import may_concern, plan
from jitgate.connectors.azure.reporting import denies, lets_in
from jitgate.connectors.azure.rules import Json, Nsg, Rule, covers_port, read_rule
from jitgate.connectors.azure.topology import Place, Topology
from jitgate.connectors.azure.wanted import WantedRules
from jitgate.core.alteration import Alteration
from jitgate.core.desired import Desired, PortKey
from jitgate.core.resource_id import key

Members = Mapping[str, frozenset[str]]
_LAST_PORT = 65535


def outranking(
    desired: Desired, topology: Topology, wanted: WantedRules, groups: Mapping[str, Nsg], members: Members
) -> Iterator[tuple[Nsg, Rule, PortKey]]:
    """The rules, as others made them, that let a protected port be reached in front of its deny, converted or not."""
    made = {group: as_made(nsg, desired.altered) for group, nsg in groups.items()}
    found = {
        group: plan(nsg, wanted.at(group).rules.values(), wanted.at(group).unwanted, members).outranked
        for group, nsg in made.items()
    }
    for port in sorted(desired.protected):
        place = topology.places.get(port.machine)
        for group in dict.fromkeys(each.governing for each in place.interfaces if each.governing) if place else ():
            rules = [rule for deny in denies(wanted, group, port) for rule in found.get(group, {}).get(deny.name, ())]
            for rule in dict.fromkeys(each.name for each in rules if lets_in(each, port)):
                if not names.is_microsofts(rule):
                    yield made[group], made[group].rules[key(rule)], port


def alteration(nsg: Nsg, rule: Rule, body: Json, port: PortKey, topology: Topology, members: Members) -> Alteration:
    """What is done to a rule, so that it leaves a port alone. `body`: the rule as Azure answers it."""
    left = without(rule.ports, {port.port})
    deed = f"lets in at {', '.join(sorted(left))} only" if left else "denies in its place what it allowed"
    both = "; of TCP and UDP alike" if rule.protocol == "*" else ""
    what = f"{nsg.name}: the rule {rule.name} at priority {rule.priority} {deed}{both}"
    concerns = sorted(place.id for place in topology.places.values() if _concerns(nsg, rule, place, members))
    original = {"group": nsg.key, "groupId": nsg.id, "rule": dict(body)}
    # What somebody edits is another rule: the consent to this one does not count for it.
    return Alteration(f"{nsg.key}/{key(rule.name)}/{_mark(rule)}|{port}", what, original, (str(port),), tuple(concerns))


def as_made(nsg: Nsg, altered: Iterable[Alteration]) -> Nsg:
    """A group with each rule that stands as we have converted it in its original's place."""
    rules = dict(nsg.rules)
    for (group, name), found in by_rule(altered).items():
        made = original(found[0])[2]
        if group == nsg.key and is_converted(nsg.rules.get(name), made, ports_of(found)):
            rules[name] = made
    return replace(nsg, rules=rules)


def original(of: Alteration) -> tuple[str, str, Rule]:
    """The group of an alteration, the name of its rule, and that rule as others made it."""
    rule = read_rule(of.original["rule"])
    return str(of.original["group"]), key(rule.name), rule


def is_converted(standing: Rule | None, made: Rule, holes: Collection[int]) -> bool:
    """Whether a rule that stands is another one with some of these ports taken out, and nothing else of it changed."""
    if (
        standing is None
        or replace(standing, ports=made.ports, access=made.access, id=made.id, state=made.state) != made
    ):
        return False
    if standing.access != made.access:
        return standing.ports == made.ports and not without(made.ports, holes)
    out = {hole for hole in holes if covers_port(made.ports, hole) and not covers_port(standing.ports, hole)}
    return bool(out) and standing.ports == without(made.ports, out)


def converted(body: Json, holes: Collection[int]) -> dict[str, Any]:
    """What is sent to take ports out of a rule; without holes, the original."""
    rule = read_rule(body)
    told = {name: copy.deepcopy(value) for name, value in body["properties"].items() if name != "provisioningState"}
    left = without(rule.ports, holes)
    if holes and not left:
        return {"properties": {**told, "access": "Deny"}}
    if holes:
        told.pop("destinationPortRange", None)
        told["destinationPortRanges"] = sorted(left)
    return {"properties": told}


def without(ports: Iterable[str], holes: Collection[int]) -> frozenset[str]:
    """Port ranges as Azure writes them, less some ports."""
    found: set[str] = set()
    for text in ports:
        low, _, high = ("0", "-", str(_LAST_PORT)) if text == "*" else text.partition("-")
        first, last = int(low), int(high or low)
        inside = sorted({hole for hole in holes if first <= hole <= last})
        if not inside:
            found.add(text)
        for begin, end in zip([first, *(hole + 1 for hole in inside)], [*(h - 1 for h in inside), last], strict=True):
            if inside and begin <= end:
                found.add(str(begin) if begin == end else f"{begin}-{end}")
    return frozenset(found)


def ports_of(alterations: Iterable[Alteration]) -> set[int]:
    """The ports that alterations take out: their texts are as ``tcp/22``."""
    return {int(port.rpartition("/")[2]) for each in alterations for port in each.ports}


def by_rule(alterations: Iterable[Alteration]) -> Mapping[tuple[str, str], Sequence[Alteration]]:
    """Alterations by group and rule: one may be altered for several ports."""
    found: dict[tuple[str, str], list[Alteration]] = {}
    for each in alterations:
        found.setdefault(original(each)[:2], []).append(each)
    return found


def _mark(rule: Rule) -> str:
    """What tells a rule from the same one edited."""
    sets = (rule.sources, rule.destinations, rule.ports, rule.groups)
    content = [rule.priority, rule.protocol, rule.description, *(sorted(each) for each in sets)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _concerns(nsg: Nsg, rule: Rule, place: Place, members: Members) -> bool:
    return any(
        nsg.key in interface.path
        and may_concern(rule, frozenset({address.private}), members.get(address.private, frozenset()))
        for interface in place.interfaces
        for address in interface.addresses
    )
