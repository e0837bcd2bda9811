"""Machines behind an Azure Firewall, and others behind groups alone, in one subscription; what packets meet there."""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.connectors.azure.scene import AzureHouse, allow
from tests.connectors.azure.test_firewalls import FOREIGN

from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.resources import Resource

INSIDE = "10.0.250.4"
"""As whom a machine sees who comes by the firewall."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a machine is reached: by which address, through which groups, and whether by the firewall."""

    address: str
    groups: tuple[str, ...]
    is_behind: bool


@dataclass(slots=True)
class Estate:
    """`ways` by the machines' names. `others`: what other hands have written last."""

    house: AzureHouse
    firewall: str
    ways: dict[str, Way]
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        return sorted({group for way in self.ways.values() for group in way.groups})

    def passes(self, name: str, source: str) -> bool:
        """Whether a packet from the Internet gets to port 22 of a machine."""
        way = self.ways[name]
        if way.is_behind:
            return source in self.led(name) and self.lets_firewall_in(name)
        return all(self.house.passes(group, way.address, source) for group in way.groups)

    def lets_firewall_in(self, name: str) -> bool:
        """Whether the groups of a machine let through who comes by the firewall."""
        way = self.ways[name]
        return all(self.house.passes(group, way.address, INSIDE) for group in way.groups)

    def led(self, name: str) -> set[str]:
        """Whom the firewall leads to a machine."""
        collections = self.house.scene.in_force(self.firewall)["properties"]["natRuleCollections"]
        rules = [rule for each in collections for rule in each["properties"]["rules"]]
        mine = [rule for rule in rules if rule["translatedAddress"] == self.ways[name].address]
        return {source for rule in mine for source in rule["sourceAddresses"]}

    def write_by_another_hand(self, chance: random.Random) -> None:
        """Somebody writes what is theirs: a field of the firewall that nobody knows, or a rule of a group."""
        at = chance.choice([self.firewall, *self.groups])
        held = self._held(at)
        if held.operation is not None:
            return
        self.others[at] = number = chance.randrange(500)
        if at != self.firewall:
            self.house.scene.add_rule(at, allow("theirs", 3500, str(1000 + number)))
            return
        for body in (held.body, held.effective):
            body["properties"]["mystery"] = number
        held.renew()

    def assert_others_kept(self) -> None:
        told = self.house.scene.in_force(self.firewall)["properties"]
        assert [each for each in told["natRuleCollections"] if each["name"] == "theirs"] == [FOREIGN]
        assert told["mystery"] == self.others.get(self.firewall, -1)
        for group in self.groups:
            rules = {each["name"]: each["properties"] for each in _rules(self.house.scene.in_force(group))}
            assert rules["SSH"] == allow("SSH", 300)["properties"]
            assert (group in self.others) == ("theirs" in rules)
            if group in self.others:
                assert rules["theirs"]["destinationPortRange"] == str(1000 + self.others[group])

    def assert_all_shut(self) -> None:
        """Nothing of ours is left that opens."""
        for body in (self.house.scene.in_force(self.firewall), self._held(self.firewall).body):
            assert body["properties"]["natRuleCollections"] == [FOREIGN]
        for group in self.groups:
            for body in (self.house.scene.in_force(group), self._held(group).body):
                assert not any("-allow-" in each["name"] for each in _rules(body)), "a rule that opens was left"

    def _held(self, id: str) -> Resource:
        held = self.house.arm.world.resources.get(id)
        assert held is not None
        return held


async def build(house: AzureHouse, chance: random.Random) -> Estate:
    """An estate of one of three kinds: a firewall in front of all, of which one has no group; a plain machine besides;
    one that shares its group with one behind the firewall.
    """
    scene = house.scene
    vnet = scene.vnet("net", "10.0.0.0/16")
    outside = scene.subnet(vnet, "AzureFirewallSubnet", "10.0.250.0/26")
    behind = scene.subnet(vnet, "web", "10.0.1.0/24", route_table=scene.route_table("by-firewall", INSIDE))
    plain = scene.subnet(vnet, "plain", "10.0.2.0/24")
    public = scene.public_ip("fw-ip", "203.0.113.20")
    firewall = scene.firewall("fw", outside, INSIDE, public, FOREIGN, mystery=-1)
    kind = chance.choice(("behind", "both", "shared"))
    groups = [scene.nsg(f"nsg-{at}", allow("SSH", 300)) for at in (1, 2)]
    ways = {"vm-1": Way("10.0.1.4", (groups[0],), is_behind=True)}
    if kind == "behind":
        ways["vm-2"] = Way("10.0.1.5", (groups[1],), is_behind=True)
        ways["vm-3"] = Way("10.0.1.6", (), is_behind=True)
    else:
        ways["vm-2"] = Way("10.0.2.5", (groups[kind == "both"],), is_behind=False)
    for name, way in ways.items():
        subnet = behind if way.is_behind else plain
        scene.vm(name, scene.nic(f"{name}-nic", subnet, way.address, nsg="".join(way.groups)))
    await house.discover()
    return Estate(house, firewall, ways)


def _rules(group: Json) -> list[Json]:
    found: list[Json] = group["properties"]["securityRules"]
    return found
