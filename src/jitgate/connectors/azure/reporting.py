"""What came of a pass, in the words of the reconciler. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from jitgate.connectors.azure import names
from jitgate.connectors.azure.admin import always_allowed
from jitgate.connectors.azure.holding import Held
from jitgate.connectors.azure.relaying import Relayed
from jitgate.connectors.azure.rules import Json, Nsg, Rule, Wanted, covers_port
from jitgate.connectors.azure.topology import Place, Topology
from jitgate.connectors.azure.wanted import WantedRules
from jitgate.connectors.base import Capabilities, Plan, Report
from jitgate.core.desired import AccessKey, Desired, PortKey
from jitgate.core.resource_id import key

CAPABILITIES = Capabilities(ends_sessions=False, own_deadline=False)
"""Azure keeps established sessions when a rule goes; and no rule has an end of its own: `jitgate sweep` has to come."""

_WAITING = "its deny does not stand yet"


def report(
    desired: Desired,
    topology: Topology,
    wanted: WantedRules,
    found: Mapping[str, Held],
    repaired: Sequence[str] = (),
) -> Report:
    """What stands, by what was written and seen to end."""
    refused = {**wanted.refused, **dict(_refused(desired, wanted, found))}
    standing = dict(_standing(desired, wanted, found, refused))
    return Report(
        scope=desired.scope,
        generation=desired.generation,
        standing=standing,
        shut=frozenset(_shut(desired, found)),
        protected=dict(_protected(desired, topology, wanted, found)),
        capabilities=CAPABILITIES,
        refused=refused,
        repaired=repaired,
        outranked=[_outranked(rule) for held in found.values() for rules in held.outranked.values() for rule in rules],
        complete=desired.complete and not any(held.undone for held in found.values()),
    )


def with_firewall(told: Report, topology: Topology, relayed: Relayed) -> Report:
    """The report with what an Azure Firewall in front says. A source that comes by it needs both to let it through; and
    neither does, as soon as one does not."""
    behind = {access: topology.places[access.machine] for access in relayed.by}
    ends = {access: end for access, end in relayed.ends.items() if not behind[access].groups}
    standing = {**{access: end for access, end in ends.items() if end}, **told.standing}
    refused = {**told.refused, **relayed.refused}
    needed = {(access.machine, access.port) for access, end in relayed.ends.items() if end is not None}
    return replace(
        told,
        standing={
            access: end
            for access, end in standing.items()
            if access not in refused and (access not in relayed.by or access in relayed.standing)
        },
        shut=frozenset(
            access
            for access in told.shut
            if access not in relayed.by
            or access in relayed.shut
            or (behind[access].groups and (access.machine, access.port) not in needed)
        ),
        refused=refused,
        connections=relayed.connections,
        again_at=relayed.again_at,
        under_way=relayed.under_way,
        complete=told.complete and relayed.until is None and relayed.error is None,
    )


def with_conversions(told: Report, plan: Plan, problems: Mapping[str, str]) -> Report:
    """The report with what became of rules of others; and where one waits for consent, how that is given."""
    waits = {port for each in plan.waiting for port in each.ports}
    failed = "; ".join(sorted(set(problems.values())))

    def more(port: PortKey) -> str:
        if failed:
            return f". It could not be altered: {failed}"
        is_asked = str(port) in waits
        return ". `jitgate machine agree` shows what would be altered, and agrees to it" if is_asked else ""

    return replace(
        told,
        protected={port: f"{why}{more(port)}" if why else "" for port, why in told.protected.items()},
        altered=frozenset(each.key for each in plan.alterations if each.key not in problems),
        restored=frozenset(each.key for each in plan.restorations if each.key not in problems),
    )


def changes(before: Mapping[str, Nsg], after: Mapping[str, Nsg | None], scope: str) -> Iterator[str]:
    """What another hand has done to rules of ours, since they were seen last."""
    for group, was in before.items():
        now = after.get(group)
        for name, rule in was.rules.items():
            mark = names.mark_of(rule.description)
            if mark is None or mark.scope != names.tag(scope) or now is None:
                continue
            stands = now.rules.get(name)
            if stands is None:
                yield f"the rule {rule.name} had been removed from {was.name}"
            elif _content(stands) != _content(rule):
                yield f"the rule {rule.name} had been changed in {was.name}"


def _standing(
    desired: Desired, wanted: WantedRules, found: Mapping[str, Held], refused: Mapping[AccessKey, str]
) -> Iterator[tuple[AccessKey, datetime]]:
    for access, end in desired.access.items():
        rules = wanted.rules_of.get(access)
        if end is not None and rules and access not in refused and not any(_is_undone(found, *at) for at in rules):
            yield access, end


def _shut(desired: Desired, found: Mapping[str, Held]) -> Iterator[AccessKey]:
    settled: dict[PortKey, bool] = {}
    for access, end in desired.access.items():
        if end is not None and end > desired.at:
            continue
        if access.target not in settled:
            settled[access.target] = _is_settled(access.target, found)
        if settled[access.target]:
            yield access


def _is_settled(target: PortKey, found: Mapping[str, Held]) -> bool:
    """Whether the rules of a port are everywhere as they must be: none lets more through than it should."""
    rules = names.allow_names(target.machine, target.port)
    return not any(
        name in held.undone or key(name) in held.undone or name in held.refused
        for held in found.values()
        for name in rules
    )


def _refused(desired: Desired, wanted: WantedRules, found: Mapping[str, Held]) -> Iterator[tuple[AccessKey, str]]:
    for access, end in desired.access.items():
        for group, name in wanted.rules_of.get(access, ()) if end is not None else ():
            if group in found and name in found[group].refused:
                yield access, found[group].refused[name]


def _protected(
    desired: Desired, topology: Topology, wanted: WantedRules, found: Mapping[str, Held]
) -> Iterator[tuple[PortKey, str]]:
    for port in desired.protected:
        place = topology.places.get(port.machine)
        if place is None:
            yield port, "Azure lists no such machine any more"
        else:
            yield port, _why_not(place, port, wanted, found, topology.admin_rules)


def _why_not(
    place: Place,
    port: PortKey,
    wanted: WantedRules,
    found: Mapping[str, Held],
    admin_rules: Mapping[str, Sequence[Json]],
) -> str:
    """Why a port is not protected; "" if it is."""
    if always := always_allowed(place, port, admin_rules):
        return f"{always} lets it be reached, in front of every group"
    for group in dict.fromkeys(each.governing for each in place.interfaces if each.governing):
        for deny in denies(wanted, group, port):
            held = found[group]
            if deny.name in held.refused:
                return held.refused[deny.name]
            if deny.name in held.undone:
                return held.error.message if held.error else _WAITING
            if leaking := [rule for rule in held.outranked.get(deny.name, ()) if lets_in(rule, port)]:
                return f"{_outranked(leaking[0])} lets it be reached, in front of the deny"
    return ""


def lets_in(rule: Rule, port: PortKey) -> bool:
    """Whether a rule that allows does so at a port."""
    return rule.protocol in ("*", port.protocol.lower()) and covers_port(rule.ports, port.port)


def denies(wanted: WantedRules, group: str, port: PortKey) -> Iterable[Wanted]:
    """The rules in a group that are to shut a port."""
    here = wanted.groups.get(group)
    for rule in here.rules.values() if here else ():
        is_its = rule.access == "deny" and names.machine_tag_of(rule.name) == names.tag(port.machine)
        if is_its and str(port.port) in rule.ports and rule.protocol in ("*", port.protocol.lower()):
            yield rule


def _is_undone(found: Mapping[str, Held], group: str, name: str) -> bool:
    return group not in found or name in found[group].undone


def _outranked(rule: Rule) -> str:
    return f"the rule {rule.name} at priority {rule.priority} ({rule.id})"


def _content(rule: Rule) -> tuple[object, ...]:
    return rule.priority, rule.access, rule.protocol, rule.sources, rule.destinations, rule.ports, rule.description
