"""Two instances in moto's EC2, each in a group of others that lets everybody in, which is altered with consent."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from tests.connectors.aws.scene import ANYWHERE, Scene
from tests.house import HOUR, MINUTE
from tests.stateful.model import ADDRESSES
from tests.stateful.worlds import Probe, agree_to_all

from jitgate.connectors.aws import ranges, world
from jitgate.connectors.aws.world import MARK, Rule
from jitgate.core import prefixes
from jitgate.core.desired import Protocol
from jitgate.core.machine import Machine
from jitgate.service import machines


class AwsWorld:
    """Groups, by a clock that moves when it is told to. What packets meet is worked out from the rules that stand."""

    machines = ("web-1", "web-2")
    can_be_made_again = False
    lengths = (3 * HOUR, HOUR, 10 * MINUTE, MINUTE)
    pauses = (timedelta(milliseconds=1), MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 25 * HOUR)
    tick = timedelta(milliseconds=1)
    slack = timedelta(milliseconds=1)
    lease = timedelta(seconds=30)
    back_off = timedelta(seconds=60)
    look_takes = timedelta(0)
    protocols = ("TCP", "UDP")
    heals_itself = False
    is_cheap_to_probe = False  # A group keeps what it holds until somebody comes: no promise before that.

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.scene = Scene(*self.machines, connector="memory")
        self.house = self.scene.house
        for source in (ANYWHERE, "::/0"):
            self.scene.allow(source, protocol="-1", says="everybody")
        self.runner.run(self.scene.__aenter__())
        self.every: Sequence[Machine] = tuple(self.house.machines)
        agree_to_all(self.house, before=self._age)
        self.house.discover = self._take_over  # type: ignore[method-assign]

    def passing(self, probes: Iterable[Probe]) -> dict[Probe, set[str]]:
        rules = self._rules()
        return {
            probe: {address for address in ADDRESSES if any(_passes(rule, probe, address) for rule in rules[probe[0]])}
            for probe in probes
        }

    def compare(self, probes: Iterable[Probe], wanted: Mapping[Probe, set[str]]) -> None:
        assert self.passing(probes) == wanted

    def holding(self) -> set[str]:
        rules = self._rules()
        return {uuid for uuid, held in rules.items() if any(world.UNTIL in rule.tags for rule in held)}

    def flush(self) -> None:
        """Somebody empties our groups."""
        for rule in self._ours():
            self.scene.client.revoke_security_group_ingress(GroupId=rule.group, SecurityGroupRuleIds=[rule.id])
        self._age()

    def edit(self, chance: random.Random) -> None:
        """Somebody takes a rule of ours away, or adds one to our group."""
        held = self._ours()
        if not held:
            return
        rule = chance.choice(held)
        if chance.random() < 0.5:
            self.scene.client.revoke_security_group_ingress(GroupId=rule.group, SecurityGroupRuleIds=[rule.id])
        else:
            self.scene.allow("10.71.2.0/24", 53, group=rule.group, protocol="udp")
        self._age()

    def restart(self) -> None:
        """A process begins, which knows nothing yet."""
        self.runner.run(self.scene.connector.close())
        self.scene.connector = self.scene.make_connector()
        self.house.connectors["memory"] = self.scene.connector

    def close(self) -> None:
        self.runner.run(self.scene.__aexit__(None, None, None))
        self.runner.close()

    async def _take_over(self) -> None:
        await machines.take_over(self.house.service, self.house.machines, "memory")

    def _age(self) -> None:
        """What was read of the region counts for some seconds; here time stands still."""
        self.scene.connector._read.clear()

    def _rules(self) -> dict[str, list[Rule]]:
        """By machine all rules of all its groups."""
        found = self.scene.client.describe_security_group_rules()["SecurityGroupRules"]
        rules = [rule for rule in map(world.rule, found) if not rule.is_egress]
        held = {name: set(self.scene.groups_of(name)) for name in self.machines}
        return {one.uuid: [rule for rule in rules if rule.group in held[one.name]] for one in self.every}

    def _ours(self) -> list[Rule]:
        found = self.scene.client.describe_security_group_rules()["SecurityGroupRules"]
        return [rule for rule in map(world.rule, found) if world.UNTIL in rule.tags and MARK in rule.tags]


def _passes(rule: Rule, probe: Probe, address: str) -> bool:
    _, port, protocol = probe
    cidr = rule.source.get("CidrIpv4") or rule.source.get("CidrIpv6")
    return (
        cidr is not None
        and ranges.covers(rule.part, Protocol(protocol), port)
        and prefixes.covers(prefixes.canonical(cidr), prefixes.of_address(address))
    )
