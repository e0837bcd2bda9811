"""Writing to security groups and interfaces: safe to repeat after any crash, and read back.

Amazon is eventually consistent: what was just made may not be seen yet, and what was just removed may be. So each write
is followed by a look, and a look that does not show it by another one a little later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jitgate.connectors.aws import others, own, ranges, world
from jitgate.connectors.aws.calls import Ec2, Refused
from jitgate.connectors.aws.own import Changes, Hole
from jitgate.connectors.aws.world import MARK, OF, Group, Instance, Rule
from jitgate.connectors.base import ConnectorError
from jitgate.core.desired import Desired

FULL = "RulesPerSecurityGroupLimitExceeded"
DUPLICATE = "InvalidPermission.Duplicate"
_NO_RULE = frozenset({"InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"})
_NO_GROUP = frozenset({"InvalidGroup.NotFound", "InvalidGroupId.NotFound"})
_PAUSES = (0.0, 0.2, 0.5, 1.0)
"""Seconds before each look. What is not seen by then is left to the next pass."""


async def ensure_group(ec2: Ec2, instance: Instance, known: Group | None, rules: Iterable[Rule]) -> Group:
    """The group of an instance, made if there is none. It lets nothing in, and nothing out.

    `rules`: those of the known group; who made it may have died before it let nothing out.
    """
    if known is not None and not any(rule.is_egress for rule in rules):
        return known
    # A stale view of the region must not make a second one.
    found = await _own_group(ec2, instance)
    if found is None:
        found = await _make_group(ec2, instance)
    for rule in await _seen(lambda: world.read_rules(ec2, found.id), lambda _rules: True):
        if rule.is_egress:  # Made with every group; it would widen what the machine may reach.
            await ec2.ask("revoke_security_group_egress", GroupId=found.id, SecurityGroupRuleIds=[rule.id])
    return found


async def ensure_attached(ec2: Ec2, instance: Instance, group: str, slots: int) -> None:
    """Have a group on every interface of an instance, beside what others have put there. Raises ConnectorError."""
    for interface in instance.interfaces:
        if group not in interface.groups:
            await attach(ec2, interface.id, group, slots)


async def detach(ec2: Ec2, instance: Instance, group: str) -> None:
    """Take a group off every interface of an instance, also where it was put since that was seen."""
    for interface in instance.interfaces:
        await take_off(ec2, interface.id, group)


async def attach(ec2: Ec2, interface: str, group: str, slots: int) -> None:
    """Have a group on an interface, beside those that it has. Raises ConnectorError."""
    await _set_groups(ec2, interface, lambda held: held if group in held else [*held, group], slots)


async def take_off(ec2: Ec2, interface: str, group: str) -> None:
    """Have an interface without a group. Raises ConnectorError."""
    await _set_groups(ec2, interface, lambda held: [one for one in held if one != group], None)


async def remove_group(ec2: Ec2, group: str) -> bool:
    """Remove a group. False: something uses it still; it is tried again."""
    try:
        await ec2.ask("delete_security_group", GroupId=group)
    except Refused as error:
        if error.code == "DependencyViolation":
            return False
        if error.code not in _NO_GROUP:
            raise
    return True


async def make_so(
    ec2: Ec2,
    group: str,
    instance: str,
    needed: Mapping[Hole, datetime],
    desired: Desired,
    seen: Sequence[Rule] | None = None,
) -> tuple[list[Rule], Mapping[str, Rule]]:
    """Have a machine's own group let in just this, shutting first. Returns what stands, and what was taken away.

    `seen`: what stood a moment ago; where nothing has to change by that, it is not looked at again.
    Raises Refused with `FULL`, once what had to be shut is shut.
    """
    if seen is not None and not own.changes(seen, instance, needed, desired):
        return list(seen), {}
    gone: dict[str, Rule] = {}
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        rules = [rule for rule in await world.read_rules(ec2, group) if not rule.is_egress]
        todo = own.changes([rule for rule in rules if rule.id not in gone], instance, needed, desired)
        if not todo:
            return [rule for rule in rules if rule.id not in gone], gone
        gone |= await _carry_out(ec2, group, instance, todo)
    raise ConnectorError(f"AWS does not show yet what was done to {group}; it is looked at again")


async def carve(ec2: Ec2, rule: Rule, identity: str, holes: set[tuple[str, int]], opened: set[tuple[str, int]]) -> None:
    """Have what stands of others' rule be all but some ports; with none: the original, exactly.

    `opened`: ports that come back now. Others that its pieces lack stay out: another pass has taken them out meanwhile.
    """
    rules = await world.read_rules(ec2, rule.group)
    whole, pieces = others.standing(rules, rule, identity)
    if whole is None and pieces:
        holes = holes | (others.hidden(rule, pieces, _edges(pieces)) - opened)
    parts = others.target(rule, holes)
    # First what stays, then away with the rest: nobody who is to be let in is shut out for a moment.
    if holes:
        have = {piece.part for piece in pieces}
        for part in parts:
            if part not in have:
                tags = {**rule.tags, MARK: "piece", OF: others.mark_of(identity)}
                await _add(ec2, rule.group, others.permission(part, rule.source, rule.description), tags)
    elif whole is None:
        await _add(ec2, rule.group, others.permission(rule.part, rule.source, rule.description), rule.tags)
    surplus = [piece for piece in pieces if not holes or piece.part not in parts]
    surplus += [whole] if holes and whole is not None else []
    await _revoke(ec2, rule.group, [one.id for one in surplus])


async def is_there(ec2: Ec2, group: str) -> bool:
    """Whether a group is still there."""
    try:
        await ec2.ask("describe_security_groups", GroupIds=[group])
    except Refused as error:
        if error.code in _NO_GROUP:
            return False
        raise
    return True


def _edges(pieces: Iterable[Rule]) -> set[tuple[str, int]]:
    """The ports beside pieces: where somebody has taken one out."""
    edges = set()
    for piece in pieces:
        name, first, last = piece.part
        edges |= {(name, first - 1), (name, last + 1)}
    return {(name, port) for name, port in edges if name in ("tcp", "udp") and 0 <= port <= ranges.ALL[1]}


async def _carry_out(ec2: Ec2, group: str, instance: str, todo: Changes) -> Mapping[str, Rule]:
    await _revoke(ec2, group, list(todo.revoke))
    by_end: dict[datetime, list[Hole]] = {}
    for hole, end in todo.add.items():
        by_end.setdefault(end, []).append(hole)
    for end, found in by_end.items():
        try:
            await ec2.ask(
                "authorize_security_group_ingress",
                GroupId=group,
                IpPermissions=own.permissions(found, own.description(end)),
                TagSpecifications=[_tagged("security-group-rule", own.tags_for(instance, end))],
            )
        except Refused as error:
            if error.code != DUPLICATE:  # It stands, and is not seen yet: the next look finds it.
                raise
    await _renew(ec2, group, instance, todo.renew)
    return todo.revoke


async def _renew(ec2: Ec2, group: str, instance: str, renew: Mapping[str, datetime]) -> None:
    """Rules stand until another end: in their tags, by which they are found, and in what they say to people."""
    by_end: dict[datetime, list[str]] = {}
    for rule, end in renew.items():
        by_end.setdefault(end, []).append(rule)
    for end, ids in by_end.items():
        await ec2.ask("create_tags", Resources=ids, Tags=own.tags_for(instance, end))
        says = [{"SecurityGroupRuleId": one, "Description": own.description(end)} for one in ids]
        await ec2.ask(
            "update_security_group_rule_descriptions_ingress", GroupId=group, SecurityGroupRuleDescriptions=says
        )


async def _revoke(ec2: Ec2, group: str, ids: Sequence[str]) -> None:
    """Revoke rules by their ids: all at once, or one by one where some are gone already."""
    if not ids:
        return
    try:
        await ec2.ask("revoke_security_group_ingress", GroupId=group, SecurityGroupRuleIds=list(ids))
    except Refused as error:
        if error.code not in _NO_RULE:
            raise
        for one in ids if len(ids) > 1 else ():
            await _revoke(ec2, group, [one])


async def _add(ec2: Ec2, group: str, permission: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """Add one rule in a group that others made."""
    named = [{"Key": name, "Value": value} for name, value in tags.items() if not name.startswith("aws:")]
    marked = {"TagSpecifications": [_tagged("security-group-rule", named)]} if named else {}
    try:
        await ec2.ask("authorize_security_group_ingress", GroupId=group, IpPermissions=[permission], **marked)
    except Refused as error:
        if error.code != DUPLICATE:
            raise


async def _own_group(ec2: Ec2, instance: Instance) -> Group | None:
    found = await ec2.pages(
        "describe_security_groups", "SecurityGroups", Filters=[{"Name": f"tag:{MARK}", "Values": [instance.id]}]
    )
    return next((group for group in map(world.group, found) if group.owner == instance.id), None)


async def _make_group(ec2: Ec2, instance: Instance) -> Group:
    name = world.own_name(instance.id)
    marked = [{"Key": MARK, "Value": instance.id}, {"Key": "Name", "Value": name}]
    try:
        made = await ec2.ask(
            "create_security_group",
            GroupName=name,
            Description=f"Just-in-time access to {instance.id}. jitgate opens and shuts it.",
            VpcId=instance.vpc,
            TagSpecifications=[_tagged("security-group", marked)],
        )
    except Refused as error:
        if error.code == "InvalidGroup.Duplicate":
            raise ConnectorError(
                f"AWS: there is a group {name} that does not carry the tag {MARK}={instance.id}; remove or rename it"
            ) from None
        raise
    return Group(made["GroupId"], name, instance.vpc, {MARK: instance.id})


async def _set_groups(ec2: Ec2, interface: str, change: Callable[[list[str]], list[str]], slots: int | None) -> None:
    """Change the groups of an interface. The call replaces all of them, so they are read just before, and after."""
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        held = await _groups(ec2, interface)
        wanted = change(held)
        if set(wanted) == set(held) or not wanted:
            return
        if slots is not None and len(wanted) > slots:
            raise ConnectorError(
                f"{interface} has all its {slots} groups; take one off, or raise the quota and group_slots",
                retry=False,
            )
        try:
            await ec2.ask("modify_network_interface_attribute", NetworkInterfaceId=interface, Groups=wanted)
        except Refused as error:
            if error.code not in _NO_GROUP:  # Just made, and not known everywhere yet.
                raise
            continue
        after = await _groups(ec2, interface)
        if change(after) == after:
            return
    raise ConnectorError(f"the groups of {interface} do not change; it is tried again")


async def _groups(ec2: Ec2, interface: str) -> list[str]:
    found = await ec2.ask("describe_network_interfaces", NetworkInterfaceIds=[interface])
    return [each["GroupId"] for each in found["NetworkInterfaces"][0]["Groups"]]


async def _seen(look: Callable[[], Awaitable[list[Rule]]], is_seen: Callable[[list[Rule]], bool]) -> list[Rule]:
    """What a look shows, and shows again a little later while it does not show what was just made."""
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        try:
            found = await look()
        except Refused as error:
            if error.code not in _NO_GROUP:
                raise
            continue
        if is_seen(found):
            return found
    raise ConnectorError("AWS does not show yet what was just made; it is looked at again")


def _tagged(kind: str, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"ResourceType": kind, "Tags": list(tags)}
