"""The connector of one Azure account."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from jitgate.clock import Clock
from jitgate.connectors.azure import converting, judging, names, permissions
from jitgate.connectors.azure.arm import POLL_SECONDS, Arm, ArmError
from jitgate.connectors.azure.atlas import Atlas
from jitgate.connectors.azure.exposing import Exposures
from jitgate.connectors.azure.firewalls import Known
from jitgate.connectors.azure.holding import Budget, Held, Holder
from jitgate.connectors.azure.listing import NETWORK
from jitgate.connectors.azure.relaying import Relayed, relay
from jitgate.connectors.azure.reporting import changes, report, with_conversions, with_firewall
from jitgate.connectors.azure.rules import Nsg, Rule, read_rule
from jitgate.connectors.azure.settings import Settings, subscription_of
from jitgate.connectors.azure.topology import Topology
from jitgate.connectors.azure.wanted import WantedRules, work_out
from jitgate.connectors.base import ConnectorError, Done, Memory, Outcome, Pending, Plan, Report
from jitgate.connectors.steps import steps
from jitgate.core.alteration import Alteration
from jitgate.core.desired import Desired
from jitgate.core.machine import Machine
from jitgate.core.resource_id import key

WORK_SECONDS = 8.0
"""How long writes may begin in one pass. What is left over is done in the next one, which comes at once."""
SWEEP_SECONDS, LISTING_SECONDS = 5.0, 60.0
"""How old what was listed may be in a sweep: rules, and all else."""


@dataclass(frozen=True, slots=True)
class RemindedPlan(Plan):
    """A plan, with what the connector wanted to be told again."""

    memory: Memory = field(default_factory=dict)


class AzureConnector:
    """Machines of Azure subscriptions, and the network security groups in front of them."""

    whole_ports = True

    def __init__(
        self, name: str, subscription: str, settings: Settings, clock: Clock, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._arm = Arm(settings, clock.elapsed)
        subscriptions = list(dict.fromkeys(map(key, (subscription, *settings.subscriptions))))
        self._subscriptions = subscriptions
        self._atlas = Atlas(self._arm, subscriptions, clock)
        self._holder = Holder(self._arm, self._atlas, clock, poll_seconds)
        self._exposures = Exposures()
        self._generations: dict[str, int] = {}
        self._seen: dict[str, Mapping[str, Nsg]] = {}

    @property
    def calls(self) -> Mapping[str, int]:
        """How many calls were made, by method; asking how an operation goes is a POLL."""
        return self._arm.calls

    async def close(self) -> None:
        """Let go of connections."""
        await self._arm.close()

    async def discover(self) -> Sequence[Machine]:
        """All machines of the subscriptions. Raises ConnectorError, and never tells a part only."""
        topology = await self._atlas.list_all(0)
        # Besides the loop: it takes seconds where all of thousands of machines have changed.
        exposures = await asyncio.to_thread(self._exposures.of, topology)
        found = judging.machines(topology, self.name, lets_bastion_in=self._settings.lets_bastion_in)
        return [replace(machine, exposure=exposures.get(machine.uuid, ())) for machine in found]

    async def missing_permissions(self) -> Sequence[str]:
        """The actions that the connector needs and may not, with where. Raises ConnectorError."""
        found: list[str] = []
        for subscription in self._subscriptions:
            found += await permissions.missing(self._arm, subscription)
        return found

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand. Looks, and changes nothing. Raises ConnectorError."""
        self._check_place(desired.scope)
        self._seen[desired.scope] = self._standing(desired.scope)
        alterations = await self._conversions(desired) if desired.complete and desired.protected else ()
        return RemindedPlan(desired, steps(desired), alterations, memory=memory)

    async def apply(self, plan: Plan) -> Outcome:
        """Make it stand, as far as there is time: close, then open, in all groups at once.

        Raises ConnectorError, with what stands all the same.
        """
        desired = plan.desired
        self._check_place(desired.scope)
        budget = Budget.of(WORK_SECONDS)
        is_known = self._generations.pop(desired.scope, None) == desired.generation - 1
        # As it was before the plan looked: what another hand has done since then is told.
        seen = self._seen.pop(desired.scope, None)
        before = {} if not is_known else self._standing(desired.scope) if seen is None else seen
        topology = await self._topology(desired)
        wanted = work_out(desired, topology, lets_bastion_in=self._settings.lets_bastion_in)
        await self._look(desired, wanted, is_known=is_known)
        repaired = tuple(changes(before, {group: self._atlas.group(group) for group in before}, desired.scope))
        if desired.complete:
            self._add_leftovers(desired.scope, topology, wanted)
        memory = plan.memory if isinstance(plan, RemindedPlan) else {}
        # What is converted shuts, so it comes first; a rule that is put back is told of by what is held after it.
        problems = await self._convert(plan, budget) if desired.complete else {}
        relayed, found = await asyncio.gather(
            self._relay(desired, topology, memory, budget), self._hold(wanted, topology, budget)
        )
        told = with_firewall(report(desired, topology, wanted, found, repaired), topology, relayed)
        told = with_conversions(told, plan, problems)
        self._generations[desired.scope] = desired.generation
        return self._outcome(found, told, relayed)

    def _check_place(self, scope: str) -> None:
        """Raise ConnectorError for what is in none of the subscriptions: what is not listed there may well stand."""
        if (where := subscription_of(scope)) in self._subscriptions:
            return
        raise ConnectorError(
            f"subscription {where} is no part of this connector any more, so nothing there is looked at, opened or "
            "shut. Name it in the connector's settings again; to leave it for good, first take its machines out of "
            "their policies and close their grants"
        )

    async def _conversions(self, desired: Desired) -> Sequence[Alteration]:
        """The rules of others that outrank a deny, as alterations; those that stand already, too."""
        topology = await self._topology(desired)
        wanted = work_out(desired, topology, lets_bastion_in=self._settings.lets_bastion_in)
        await self._atlas.list_groups(SWEEP_SECONDS)
        # What goes anyway is in nobody's way.
        self._add_leftovers(desired.scope, topology, wanted)
        groups = {group: nsg for group in wanted.groups if (nsg := self._atlas.group(group)) is not None}
        members = _members(topology)
        bodies: dict[tuple[str, str], Mapping[str, Any]] = {}
        for each in desired.altered:
            bodies.setdefault(converting.original(each)[:2], each.original["rule"])
        found = []
        for nsg, rule, port in converting.outranking(desired, topology, wanted, groups, members):
            place = nsg.key, key(rule.name)
            if place not in bodies or read_rule(bodies[place]) != rule:
                bodies[place] = await self._body(nsg, rule)
            found.append(converting.alteration(nsg, rule, bodies[place], port, topology, members))
        return found

    async def _body(self, nsg: Nsg, rule: Rule) -> Mapping[str, Any]:
        """A rule to its last field, as Azure has it now. Raises ConnectorError."""
        body = await self._arm.get(nsg.id, NETWORK)
        rules = body["properties"].get("securityRules") or ()
        found = next((each for each in rules if key(each["name"]) == key(rule.name)), None)
        if found is None or read_rule(found) != rule:
            raise ConnectorError(f"{nsg.name} is being changed by somebody else; it is looked at again")
        return {name: found[name] for name in ("id", "name", "properties")}

    async def _convert(self, plan: Plan, budget: Budget) -> Mapping[str, str]:
        """Carry out what was agreed to, and put back what nothing needs; returns what failed, by key."""
        back = {each.key for each in plan.restorations}
        known = converting.by_rule((*plan.desired.altered, *plan.alterations, *plan.restorations))
        problems: dict[str, str] = {}
        for place, found in converting.by_rule((*plan.alterations, *plan.restorations)).items():
            try:
                await self._convert_one(place, known[place], back, budget)
            except ArmError as error:
                problems |= {each.key: error.message for each in found}
        return problems

    async def _convert_one(
        self, place: tuple[str, str], known: Sequence[Alteration], back: Collection[str], budget: Budget
    ) -> None:
        """Have one rule of others be all but some ports; with none, the original. Raises ArmError.

        `known`: all alterations of it; `back`: keys of those that are put back.
        """
        nsg = self._atlas.group(place[0])
        made = converting.original(known[0])[2]
        standing = nsg.rules.get(place[1]) if nsg else None
        is_made = standing is not None and replace(standing, state=made.state) == made
        if nsg is None or not (is_made or converting.is_converted(standing, made, converting.ports_of(known))):
            return  # It is gone, or somebody has edited it: it is theirs.
        holes = converting.ports_of(each for each in known if each.key not in back)
        wanted = converting.converted(known[0].original["rule"], holes)
        as_wanted = read_rule({"name": made.name, **wanted})
        is_so = standing is not None and (standing.ports, standing.access) == (as_wanted.ports, as_wanted.access)
        if standing is None or standing.is_spoiled or not is_so:
            await self._holder.put_others(nsg, made.name, wanted, budget)

    async def _relay(self, desired: Desired, topology: Topology, memory: Memory, budget: Budget) -> Relayed:
        """The firewall of a scope, where there is one."""
        found = Relayed(Known.of(memory))
        ahead = (each for each in topology.firewalls.values() if not each.managed)
        for firewall in ahead:
            if desired.scope in (firewall.key, topology.scopes.get(firewall.key)):
                within, now = self._settings.mapped_ports, desired.at
                return await relay(self._arm, firewall, desired, topology, found.known, within, now, budget)
        return found

    async def _topology(self, desired: Desired) -> Topology:
        """What is known of the subscriptions; looked at anew where it is old, or does not know a machine."""
        if desired.complete:
            return await self._atlas.confirm(LISTING_SECONDS)
        topology = self._atlas.topology
        asked = {key.machine for key, end in desired.access.items() if end is not None}
        if asked - topology.places.keys() or desired.scope not in topology.members:
            return await self._atlas.list_all(SWEEP_SECONDS)
        return topology

    async def _look(self, desired: Desired, wanted: WantedRules, *, is_known: bool) -> None:
        """Know the groups: in a sweep all by one list; else only where another may have written since."""
        if desired.complete:
            await self._atlas.list_groups(SWEEP_SECONDS)
        looked = [
            group for group in wanted.groups if self._atlas.is_doubted(group) or not (is_known or desired.complete)
        ]
        await asyncio.gather(*(self._atlas.look_at(group) for group in looked))

    def _add_leftovers(self, scope: str, topology: Topology, wanted: WantedRules) -> None:
        """Have all rules of ours go that nothing wants; also in groups in front of which no machine is left."""
        machines = {names.tag(place.uuid) for place in topology.places.values() if place.scope == scope}
        members = set(topology.members.get(scope, ()))
        for nsg in self._atlas.groups():
            ours = set(_ours(nsg, names.tag(scope), machines if nsg.key in members else frozenset()))
            if ours:
                here = wanted.at(nsg.key)
                here.unwanted |= ours - {key(name) for name in here.rules}

    async def _hold(self, wanted: WantedRules, topology: Topology, budget: Budget) -> Mapping[str, Held]:
        """All groups at once; what goes wrong in one does not keep the others."""
        members = _members(topology)
        held = await asyncio.gather(
            *(
                self._holder.hold(group, here.rules.values(), here.unwanted, members, budget)
                for group, here in wanted.groups.items()
            )
        )
        return dict(zip(wanted.groups, held, strict=True))

    def _outcome(self, found: Mapping[str, Held], told: Report, relayed: Relayed) -> Outcome:
        undone = [held for held in found.values() if held.undone]
        memory = relayed.known.encode()
        errors = [held.error for held in undone if held.error and not held.error.is_throttled]
        if failed := next(iter([*errors, *([relayed.error] if relayed.error else [])]), None):
            raise ConnectorError(failed.message, report=told, memory=memory)
        if not undone and relayed.until is None:
            return Done(told, memory)
        wait = timedelta(seconds=max((held.again_in for held in undone), default=0))
        until = self._clock.wall() + wait if undone else relayed.until
        return Pending(until or self._clock.wall(), memory, report=told)

    def _standing(self, scope: str) -> Mapping[str, Nsg]:
        """What is known of a scope's groups."""
        members = self._atlas.topology.members.get(scope, ())
        return {group: nsg for group in members if (nsg := self._atlas.group(group)) is not None}


def _ours(nsg: Nsg, scope: str, machines: Iterable[str]) -> Iterable[str]:
    """The rules that are ours: by their mark, or by the name of a machine that we know. Looking alike is not enough."""
    for name, rule in nsg.rules.items():
        tag = names.machine_tag_of(name)
        mark = names.mark_of(rule.description)
        if tag is not None and ((mark is not None and mark.scope == scope) or tag in machines):
            yield name


def _members(topology: Topology) -> Mapping[str, frozenset[str]]:
    """Per private address, the application security groups that it is in."""
    return {
        address.private: address.groups
        for place in topology.places.values()
        for interface in place.interfaces
        for address in interface.addresses
        if address.groups
    }
