"""Rules of others: which of them let a protected port be reached, and what is made of them with consent."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from jitgate.connectors.aws import ranges
from jitgate.connectors.aws.ranges import Part
from jitgate.connectors.aws.world import OF, Group, Instance, Rule, World
from jitgate.core.alteration import Alteration
from jitgate.core.desired import PortKey, Protocol


def foreign_groups(world: World, instance: Instance) -> list[str]:
    """The groups of an instance that were not made for it: by others, or for another instance."""
    return [group for group in instance.groups if group in world.groups and world.groups[group].owner != instance.id]


def borrowed(world: World, instance: Instance) -> list[Group]:
    """The groups of an instance that were made for another one, as a launch like that one copies them. Whatever opens
    there opens here."""
    return [group for each in foreign_groups(world, instance) if (group := world.groups[each]).owner]


def letting_in(world: World, instance: Instance, port: PortKey) -> list[Rule]:
    """The rules of others that let a port be reached."""
    return [
        rule
        for group in foreign_groups(world, instance)
        for rule in world.ingress(group)
        if ranges.covers(rule.part, port.protocol, port.port)
    ]


def in_the_way(
    world: World, place: str, instance: Instance, ports: Iterable[PortKey], altered: Iterable[Alteration]
) -> dict[str, tuple[str, Rule | Alteration, PortKey]]:
    """What rules have to be altered for an instance, by key: in which group, and the rule; or how it was altered.

    Not those of other instances' own groups: what opens there is their matter.
    """
    found: dict[str, tuple[str, Rule | Alteration, PortKey]] = {}
    wanted = {(instance.id, str(port)): port for port in ports}
    own = foreign_groups(world, instance)
    theirs = {group.id for group in borrowed(world, instance)}
    altered = [each for each in altered if not is_taking_off(each)]
    split = {mark_of(identity(each)): each for each in altered}
    for each in altered:
        group = each.original["group"]
        port = wanted.get((instance.id, each.ports[0]))
        if port is not None and group in own and each.original["place"] == place:
            found[each.key] = (group, each, port)
    for port in wanted.values():
        for rule in (each for each in letting_in(world, instance, port) if each.group not in theirs):
            # What is left of a rule that was split stands for the rule itself.
            whole = original(split[rule.tags[OF]]) if rule.tags.get(OF) in split else rule
            found.setdefault(key(place, whole, port), (rule.group, whole, port))
    return found


def to_take_off(
    world: World, place: str, instance: Instance, ports: Iterable[PortKey], altered: Iterable[Alteration], concern: str
) -> list[Alteration]:
    """The groups of other instances that an instance must not have, by interface; those that are off already, too.

    `concern`: the instance's machine, which is all that it counts for.
    """
    attached = {one.id: one for one in instance.interfaces}
    found = {
        each.key: each
        for each in altered
        if is_taking_off(each) and each.original["place"] == place and each.original["interface"] in attached
    }
    shown = tuple(sorted(map(str, ports)))
    for group in borrowed(world, instance):
        for interface in attached.values():
            if group.id in interface.groups:
                one = _taking_off(place, group, interface.id, instance.id, shown, concern)
                found.setdefault(one.key, one)
    return list(found.values())


def is_taking_off(of: Alteration) -> bool:
    """Whether an alteration is about a group of an interface, not about a rule of a group."""
    return "interface" in of.original


def _taking_off(
    place: str, group: Group, interface: str, instance: str, ports: Sequence[str], concern: str
) -> Alteration:
    what = (
        f"group {group.describe()}, which was made for {group.owner}, is taken off {interface} of {instance}: "
        "whatever opens there would open here as well"
    )
    original = {
        "place": place,
        "group": group.id,
        "groupName": group.name,
        "instance": instance,
        "interface": interface,
    }
    return Alteration(f"{place}/{group.id}/off/{interface}", what, original, ports, (concern,))


def key(place: str, rule: Rule, port: PortKey) -> str:
    """The same for the same rule, whatever its id and description are."""
    return f"{place}/{rule.group}/{rule.identity}|{port}"


def alteration(world: World, place: str, rule: Rule, port: PortKey, concerns: Sequence[str]) -> Alteration:
    """What is done to a rule, so that it leaves a port alone."""
    left = ranges.without(rule.part, [(port.protocol.lower(), port.port)], rule.source)
    group = world.groups[rule.group]
    rest = " and ".join(map(ranges.describe, left))
    deed = f"is split into {rest}" if left else "is revoked"
    ends = "; other protocols, such as ESP and GRE, are shut as well" if rule.part[0] == ranges.ANY else ""
    what = f"group {group.describe()}: {rule.describe()} {deed}{ends}"
    original = {
        "place": place,
        "group": rule.group,
        "groupName": group.name,
        "rule": rule.id,
        "part": list(rule.part),
        "source": dict(rule.source),
        "description": rule.description,
        "tags": dict(rule.tags),
    }
    return Alteration(key(place, rule, port), what, original, (str(port),), tuple(concerns))


def original(of: Alteration) -> Rule:
    """The rule as others made it."""
    held = of.original
    protocol, first, last = held["part"]
    part = (protocol, first, last)
    return Rule(held["rule"], held["group"], part, held["source"], held["description"], held["tags"])


def identity(of: Alteration) -> str:
    """Which rule it is about: a rule may be altered for several ports."""
    return of.key.rpartition("|")[0]


def mark_of(identity: str) -> str:
    """The value of the tag of what is left of a rule."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def target(rule: Rule, holes: Collection[tuple[str, int]]) -> list[Part]:
    """The parts that must stand in place of a rule. With no hole: the rule itself."""
    return [rule.part] if not holes else list(ranges.without(rule.part, holes, rule.source))


def standing(rules: Iterable[Rule], rule: Rule, identity: str) -> tuple[Rule | None, list[Rule]]:
    """Of a group's rules the one that others made, if it stands, and what is left of it."""
    own = [one for one in rules if not one.is_egress]
    mark = mark_of(identity)
    whole = next((one for one in own if one.identity == rule.identity and one.tags.get(OF) != mark), None)
    return whole, [one for one in own if one.tags.get(OF) == mark]


def hidden(rule: Rule, pieces: Iterable[Rule], ports: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Of some ports those that a rule held and its pieces do not: somebody took them out."""
    left = list(pieces)
    return {
        (name, port)
        for name, port in ports
        if ranges.covers(rule.part, Protocol(name.upper()), port)
        and not any(ranges.covers(piece.part, Protocol(name.upper()), port) for piece in left)
    }


def permission(part: Part, source: Mapping[str, str], says: str) -> dict[str, Any]:
    """A rule as Amazon wants it."""
    said = {"Description": says} if says else {}
    kind, value = next(iter(source.items()))
    lists = {
        "CidrIpv4": ("IpRanges", "CidrIp"),
        "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "PrefixListId": ("PrefixListIds", "PrefixListId"),
        "ReferencedGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    many, one = lists[kind]
    protocol, first, last = part
    bounds = {} if protocol == ranges.ANY else {"FromPort": first, "ToPort": last}
    return {"IpProtocol": protocol, **bounds, many: [{one: value, **said}]}


def port_of(text: str) -> tuple[str, int]:
    """``tcp/22`` as a pair."""
    name, _, number = text.partition("/")
    return name, int(number)
