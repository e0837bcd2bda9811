"""The AWS connector: instances as machines, and one permanent security group for each as its firewall.

Groups only allow. So protecting a machine takes its ports out of the groups that others made, with consent, and opening
one adds a rule to the machine's own group, which nothing else ever touches.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

import structlog

from jitgate.clock import Clock
from jitgate.connectors.aws import editing, exposures, others, own, permissions, world
from jitgate.connectors.aws.calls import Accounts, Ec2, Refused
from jitgate.connectors.aws.settings import Settings
from jitgate.connectors.aws.world import MARK, Group, Instance, Rule, World
from jitgate.connectors.base import (
    Capabilities,
    Connection,
    ConnectorError,
    Done,
    Memory,
    Outcome,
    Plan,
    Report,
    Step,
)
from jitgate.connectors.steps import steps
from jitgate.core import resource_id
from jitgate.core.alteration import Alteration
from jitgate.core.desired import AccessKey, Desired
from jitgate.core.machine import SESSIONS_GO_ON, Machine, OperatingSystem

FRESH_FOR = 20.0
"""Seconds for which one reading of a region serves the sweeps of all its machines."""

_LET_GO = "letGo"
"""What is remembered: the generation of a look that left nothing of ours."""

TRACKED = "AWS tracks established connections, and lets them go on until they have been idle for up to five days"
UNTRACKED = f"{TRACKED}; only those by a grant for anybody (0.0.0.0/0) are not tracked here, and are cut at once"

_log = structlog.get_logger(__name__)


class AwsConnector:
    """Several regions of several accounts. `home`: the subscription and resource group that its machines are in."""

    whole_ports = True

    def __init__(
        self, name: str, settings: Settings, home: tuple[str, str], clock: Clock, accounts: Accounts | None = None
    ) -> None:
        self.name = name
        self.accounts = accounts or Accounts(settings, clock.elapsed)
        self._settings = settings
        self._home = home
        self._clock = clock
        self._read: dict[str, tuple[float, int, World]] = {}
        self._order = itertools.count()
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._editing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def discover(self) -> Sequence[Machine]:
        """The instances of all regions. Raises ConnectorError."""
        places = await self.accounts.each()
        seen = await asyncio.gather(*(self._world(ec2, fresh=True) for ec2 in places))
        return tuple(
            self._machine(ec2, found, instance)
            for ec2, found in zip(places, seen, strict=True)
            for instance in found.instances.values()
        )

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand. Looks, and changes nothing. Raises ConnectorError."""
        if not desired.complete:
            return Plan(desired, steps(desired), memory=memory)
        ec2, named = await self._place(desired.scope)
        # What is newly protected is looked at as it is now; sweeps share one look.
        seen = await self._world(ec2, fresh=own.ports_of(desired) != memory.get("ports", []))
        instance = seen.instances.get(named)
        if instance is None or not desired.protected:
            return Plan(desired, steps(desired), memory=memory)
        found = others.in_the_way(seen, ec2.place, instance, desired.protected, desired.altered)
        alterations = [
            rule
            if isinstance(rule, Alteration)
            else others.alteration(seen, ec2.place, rule, port, await self._concerns(ec2, seen, group))
            for group, rule, port in found.values()
        ]
        alterations += others.to_take_off(
            seen, ec2.place, instance, desired.protected, desired.altered, self._id(instance)
        )
        return Plan(desired, (*_own_steps(seen, instance), *steps(desired)), alterations, memory=memory)

    async def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan. Raises ConnectorError."""
        ec2, named = await self._place(plan.scope)
        async with self._editing[plan.scope]:
            seen = await self._world(ec2)
            lets_go = _lets_go(plan.desired)
            if named not in seen.instances or (lets_go and not _is_let_go(plan)):
                # Nothing counts as shut, nor as gone, by what was seen before this was asked for.
                seen = await self._world(ec2, fresh=True)
            instance = seen.instances.get(named)
            if instance is None:
                return Done(await self._gone(ec2, seen, named, plan))
            if lets_go:
                report = await self._release(ec2, seen, instance, plan)
                return Done(report, {_LET_GO: plan.desired.generation})
            return await self._hold(ec2, seen, instance, plan)

    async def missing_permissions(self) -> Sequence[str]:
        """Each permission that is needed and not there, with its region. Raises ConnectorError."""
        found = [await permissions.missing(ec2) for ec2 in await self.accounts.each()]
        return tuple(one for each in found for one in each)

    async def close(self) -> None:
        """Let go of connections."""
        await asyncio.to_thread(self.accounts.close)

    # --- holding ------------------------------------------------------------------------------------

    async def _hold(self, ec2: Ec2, seen: World, instance: Instance, plan: Plan) -> Outcome:
        desired = plan.desired
        group = await self._ensure_group(ec2, seen, instance)
        access = own.wanted(desired)
        needed = own.holes(access)
        refused: dict[AccessKey, str] = {}
        try:
            rules, gone = await editing.make_so(
                ec2, group.id, instance.id, needed, desired, _lately(seen, group, desired)
            )
        except Refused as error:
            if error.code != editing.FULL:
                raise
            rules, gone = await world.read_rules(ec2, group.id), {}
            standing = {own.hole_of(rule) for rule in rules}
            refused = {
                key: self._full(group, rules)
                for key, end in desired.access.items()
                if end is not None and not own.holes({key: end}).keys() <= standing
            }
            access = {key: end for key, end in access.items() if key not in refused}
        seen.rules[group.id] = list(rules)
        problems = await self._alter(ec2, seen, plan) if desired.complete else {}
        instance = seen.instances[instance.id]
        report = self._report(seen, instance, plan, access, refused, _repaired(gone, desired), problems)
        return Done(report, {"ports": own.ports_of(desired)} if desired.complete else plan.memory)

    async def _ensure_group(self, ec2: Ec2, seen: World, instance: Instance) -> Group:
        known = seen.own_group(instance.id)
        group = await editing.ensure_group(ec2, instance, known, seen.rules.get(known.id, ()) if known else ())
        seen.groups[group.id] = group
        if not all(group.id in one.groups for one in instance.interfaces):
            await editing.ensure_attached(ec2, instance, group.id, self._settings.group_slots)
            self._read.pop(ec2.place, None)
        return group

    async def _alter(self, ec2: Ec2, seen: World, plan: Plan) -> dict[str, str]:
        """Carry out what was agreed to, and put back what nothing needs; returns what failed, by key."""
        back = {each.key for each in plan.restorations}
        standing = {each.key: each for each in (*plan.desired.altered, *plan.alterations) if each.key not in back}
        problems: dict[str, str] = {}
        by_rule: dict[str, list[Alteration]] = {}
        for each in (*plan.alterations, *plan.restorations):
            if not others.is_taking_off(each):
                by_rule.setdefault(others.identity(each), []).append(each)
            elif problem := await self._regroup(ec2, seen, each, is_off=each.key not in back):
                problems[each.key] = problem
        for identity, found in by_rule.items():
            holes = {others.port_of(a.ports[0]) for a in standing.values() if others.identity(a) == identity}
            opened = {others.port_of(a.ports[0]) for a in found if a.key in back} - holes
            problem = await self._carve(ec2, seen, found[0], identity, holes, opened)
            problems |= {each.key: problem for each in found if problem}
        return problems

    async def _regroup(self, ec2: Ec2, seen: World, one: Alteration, *, is_off: bool) -> str:
        """Take another instance's group off an interface, or put it back; returns why that failed."""
        group, at = one.original["group"], one.original["interface"]
        instance = seen.instances.get(one.original["instance"])
        interface = next((each for each in instance.interfaces if each.id == at), None) if instance else None
        if instance is None or interface is None or (is_off and group not in interface.groups):
            return ""
        try:
            if is_off:
                await editing.take_off(ec2, at, group)
                left = tuple(each for each in interface.groups if each != group)
                now = (replace(each, groups=left) if each.id == at else each for each in instance.interfaces)
                seen.instances[instance.id] = replace(instance, interfaces=tuple(now))
            elif await editing.is_there(ec2, group):
                await editing.attach(ec2, at, group, self._settings.group_slots)
                self._read.pop(ec2.place, None)
        except ConnectorError as error:
            return error.message
        return ""

    async def _carve(
        self,
        ec2: Ec2,
        seen: World,
        one: Alteration,
        identity: str,
        holes: set[tuple[str, int]],
        opened: set[tuple[str, int]],
    ) -> str:
        """Alter one rule, or put it back; returns why that failed."""
        rule = others.original(one)
        if _stands(seen, rule, identity, holes, opened):
            return ""
        async with self._editing[f"{ec2.place}/{rule.group}"]:
            try:
                await editing.carve(ec2, rule, identity, holes, opened)
            except Refused as error:
                if not await editing.is_there(ec2, rule.group):
                    return ""  # There is nothing left to put anything back into.
                return error.message
            seen.rules[rule.group] = await world.read_rules(ec2, rule.group)
        return ""

    # --- letting go ---------------------------------------------------------------------------------

    async def _release(self, ec2: Ec2, seen: World, instance: Instance, plan: Plan) -> Report:
        """Only what is ours goes; what was taken away is put back, and that first."""
        problems = await self._alter(ec2, seen, plan)
        group = seen.own_group(instance.id)
        if group is not None:
            await editing.make_so(ec2, group.id, instance.id, {}, plan.desired)
            await editing.detach(ec2, instance, group.id)
            self._read.pop(ec2.place, None)
            if await editing.remove_group(ec2, group.id):
                seen.groups.pop(group.id)
        return self._report(seen, instance, plan, {}, {}, (), problems)

    async def _gone(self, ec2: Ec2, seen: World, named: str, plan: Plan) -> Report:
        """The machine is no more: its group goes, and what was altered for it alone is put back."""
        problems = await self._alter(ec2, seen, plan) if plan.desired.complete else {}
        group = seen.own_group(named)
        if group is not None:
            # Something else may hold the group fast, and then it must let nobody in there.
            await editing.make_so(ec2, group.id, named, {}, replace(plan.desired, complete=True))
            if await editing.remove_group(ec2, group.id):
                seen.groups.pop(group.id)
        return Report(
            scope=plan.scope,
            generation=plan.desired.generation,
            standing={},
            shut=frozenset(plan.desired.access),
            protected={},
            capabilities=_capabilities(),
            restored=frozenset(each.key for each in plan.restorations if each.key not in problems),
            complete=plan.desired.complete,
        )

    # --- telling ------------------------------------------------------------------------------------

    def _report(
        self,
        seen: World,
        instance: Instance,
        plan: Plan,
        access: Mapping[AccessKey, datetime],
        refused: Mapping[AccessKey, str],
        repaired: Sequence[str],
        problems: Mapping[str, str],
    ) -> Report:
        desired = plan.desired
        asked = access if desired.complete else {key: access[key] for key in desired.access if key in access}
        letting_in = {port: others.letting_in(seen, instance, port) for port in desired.protected}
        borrowed = [group.describe() for group in others.borrowed(seen, instance)]
        address = _address(instance)
        return Report(
            scope=desired.scope,
            generation=desired.generation,
            standing=dict(asked),
            shut=frozenset(key for key in desired.access if key not in access),
            protected={port: _problem(seen, rules, borrowed, plan, problems) for port, rules in letting_in.items()},
            capabilities=_capabilities(),
            refused=refused,
            is_full=bool(refused),
            repaired=repaired,
            outranked=sorted(
                {
                    *(f"{one.id} in {exposures.describe(seen, [one])}" for r in letting_in.values() for one in r),
                    *borrowed,
                }
            ),
            connections={key.machine: Connection(address) for key in desired.protected} if address else {},
            altered=frozenset(each.key for each in plan.alterations if each.key not in problems),
            restored=frozenset(each.key for each in plan.restorations if each.key not in problems),
            complete=desired.complete,
        )

    def _full(self, group: Group, rules: Sequence[Rule]) -> str:
        """Why a key cannot be opened: what fills the group."""
        filling = [f"{hole} until {rule.tags.get(world.UNTIL, '?')}" for rule in rules if (hole := own.hole_of(rule))]
        more = f" and {len(filling) - 10} more" if len(filling) > 10 else ""
        return (
            f"the group {group.describe()} is full. It holds {', '.join(sorted(filling)[:10])}{more}. "
            "Close one of these, ask for a wider source, or raise the account's quota of rules"
        )

    async def _concerns(self, ec2: Ec2, seen: World, group: str) -> Sequence[str]:
        """All that a group counts for: machines by their ids, and interfaces that belong to none."""
        if group not in seen.users:
            seen.users[group] = await world.read_users(ec2, group)
        return sorted([*(self._id(member) for member in seen.members(group)), *seen.users[group]])

    # --- finding ------------------------------------------------------------------------------------

    async def _world(self, ec2: Ec2, *, fresh: bool = False) -> World:
        """A region, read anew unless that was just done; `fresh`: unless that was begun after this was called."""
        asked = next(self._order)
        async with self._reading[ec2.place]:
            at, order, known = self._read.get(ec2.place, (0.0, -1, None))
            is_old = order < asked if fresh else self._clock.elapsed() - at > FRESH_FOR
            if known is None or is_old:
                order = next(self._order)
                known = await world.read(ec2)
                self._read[ec2.place] = (self._clock.elapsed(), order, known)
            return known

    async def _place(self, scope: str) -> tuple[Ec2, str]:
        _, account, region, instance = scope.rsplit("/", 3)
        return await self.accounts.at(account, region), instance

    def _machine(self, ec2: Ec2, seen: World, instance: Instance) -> Machine:
        return Machine(
            uuid=str(uuid5(NAMESPACE_URL, f"aws:{ec2.place}/{instance.id}")),
            id=self._id(instance),
            name=instance.name,
            os=OperatingSystem.WINDOWS if "windows" in instance.platform.lower() else OperatingSystem.LINUX,
            connector=self.name,
            provider="aws",
            scope=f"aws/{ec2.account}/{ec2.region}/{instance.id}",
            location=ec2.region,
            addresses=_addresses(instance),
            tags=instance.tags,
            unsupported=self._unsupported(seen, instance),
            facts=_facts(ec2, seen, instance),
            exposure=exposures.of_machine(seen, instance),
        )

    def _id(self, instance: Instance) -> str:
        """Its id has the instance's own, which never changes: a name may."""
        return resource_id.machine_id(*self._home, instance.id)

    def _unsupported(self, seen: World, instance: Instance) -> str:
        if not instance.interfaces:
            return "it has no network interface"
        group = seen.own_group(instance.id)
        for one in instance.interfaces:
            if len(one.groups) >= self._settings.group_slots and (group is None or group.id not in one.groups):
                return f"{one.id} has all its {self._settings.group_slots} security groups: none is free for jitgate's"
        return ""


def _lets_go(desired: Desired) -> bool:
    """Whether nothing of ours is to stand any more."""
    return desired.complete and not desired.protected and not any(desired.access.values())


def _is_let_go(plan: Plan) -> bool:
    """Whether the last look, of whichever process, saw that nothing of ours stood, and nothing has to be proven. Before
    the first look there was nothing."""
    return not plan.desired.access and plan.memory.get(_LET_GO, 0) == plan.desired.generation - 1


def _lately(seen: World, group: Group, desired: Desired) -> list[Rule] | None:
    """What a group held a moment ago, for a sweep in which nothing has to be proven shut; else it is looked at."""
    if not desired.complete or None in desired.access.values():
        return None
    return seen.ingress(group.id)


def _own_steps(seen: World, instance: Instance) -> list[Step]:
    group = seen.own_group(instance.id)
    if group is not None and all(group.id in one.groups for one in instance.interfaces):
        return []
    interfaces = ", ".join(one.id for one in instance.interfaces)
    return [Step("protect", f"group {MARK}-{instance.id}, without a rule, is attached to {interfaces}")]


def _stands(seen: World, rule: Rule, identity: str, holes: set[tuple[str, int]], opened: set[tuple[str, int]]) -> bool:
    """Whether a rule was altered already, as far as the last look shows."""
    if rule.group not in seen.groups or opened:
        return False
    whole, pieces = others.standing(seen.ingress(rule.group), rule, identity)
    return whole is None and {piece.part for piece in pieces} == set(others.target(rule, holes)) and bool(holes)


def _problem(
    seen: World, rules: Sequence[Rule], borrowed: Sequence[str], plan: Plan, problems: Mapping[str, str]
) -> str:
    """Why a port is not shut. `borrowed`: groups of other instances, which may let somebody in at any time."""
    told = [f"whatever another instance's group opens is open here: {', '.join(borrowed)}"] if borrowed else []
    told += [f"rules of others let it be reached: {exposures.describe(seen, rules)}"] if rules else []
    if not told:
        return ""
    says = "; ".join(told)
    failed = "; ".join(sorted(set(problems.values())))
    if failed:
        return f"{says}. They could not be altered: {failed}"
    return f"{says}. `jitgate machine agree` shows what would be altered, and agrees to it" if plan.waiting else says


def _repaired(gone: Mapping[str, Rule], desired: Desired) -> list[str]:
    """Rules that nobody had asked for in our group: other hands had put them there, or changed ours."""
    if not desired.complete:
        return []
    asked = {own.Hole(key.protocol.lower(), key.port, key.prefix) for key in desired.access}
    return [
        f"removed {rule.describe()}"
        for rule in gone.values()
        if world.UNTIL not in rule.tags and own.hole_of(rule) not in asked
    ]


def _capabilities() -> Capabilities:
    return Capabilities(ends_sessions=False, own_deadline=False)


def _addresses(instance: Instance) -> tuple[str, ...]:
    public = [address for one in instance.interfaces for address in one.public]
    return tuple(dict.fromkeys([*public, *(address for one in instance.interfaces for address in one.addresses)]))


def _address(instance: Instance) -> str:
    return next(iter(_addresses(instance)), "")


def _facts(ec2: Ec2, seen: World, instance: Instance) -> dict[str, object]:
    groups = [seen.groups[group].describe() for group in instance.groups if group in seen.groups]
    return {
        "account": ec2.account,
        "instance": instance.id,
        "zone": instance.zone,
        "power": instance.state,
        "interfaces": [one.id for one in instance.interfaces],
        "securityGroups": groups,
        SESSIONS_GO_ON: UNTRACKED if seen.lets_all_out(instance) else TRACKED,
    }
