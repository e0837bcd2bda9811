"""A machine behind an Azure Firewall and a group, and one behind a group alone. The Internet comes by the firewall.

A change of the firewall takes some seconds, during which the clock goes on: `look_takes` keeps ends away from that.
"""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from unittest.mock import patch

from tests.connectors.azure.scene import allow, holds
from tests.stateful.azure import AzureWorld, FoundHouse
from tests.stateful.worlds import Probe

from jitgate.connectors.azure import firewalls, names, wanted
from jitgate.connectors.azure.connector import AzureConnector
from jitgate.connectors.base import Outcome, Pending, Plan
from jitgate.core.resource_id import key
from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.resources import Resource

TAKES = timedelta(seconds=4)
LOOK = timedelta(seconds=6)
MOST_LOOKS = 6
PRIVATE = "10.0.250.4"


class _Cloud(AzureConnector):
    """Says whether it was at something still when it was asked last."""

    is_at_it = False

    async def apply(self, plan: Plan) -> Outcome:
        outcome = await super().apply(plan)
        self.is_at_it |= isinstance(outcome, Pending)
        return outcome


class _House(FoundHouse):
    """Settles by letting the firewall have its time."""

    kind = _Cloud
    cloud: _Cloud

    async def settle(self) -> int:
        passes = 0
        for _ in range(MOST_LOOKS):
            self.cloud.is_at_it = False
            passes += await super().settle()
            if not self.cloud.is_at_it:
                break
            self.clock.advance(LOOK)
        return passes


class AzureFirewallWorld(AzureWorld):
    """Sources that are private elsewhere are of the Internet here, so that they come by the firewall."""

    slack = MOST_LOOKS * LOOK
    look_takes = (MOST_LOOKS + 1) * LOOK
    house_kind = _House

    def _begin(self) -> Iterator[AbstractContextManager[object]]:
        yield from super()._begin()
        yield patch.object(wanted, "_INTERNAL", [])
        yield patch.object(firewalls, "USUALLY", LOOK)

    def _build(self) -> None:
        scene = self.house.scene
        self.house.arm.world.durations["azureFirewalls"] = TAKES.total_seconds()
        everybody = allow("everybody", 3000, "*", protocol="*")
        inner, outer = scene.nsg("inner", everybody), scene.nsg("outer", everybody)
        vnet = scene.vnet("net", "10.0.0.0/16", "fd00::/48")
        outside = scene.subnet(vnet, "AzureFirewallSubnet", "10.0.250.0/26")
        behind = scene.subnet(vnet, "web", "10.0.1.0/24", "fd00::/64", route_table=scene.route_table("all", PRIVATE))
        plain = scene.subnet(vnet, "default", "10.0.0.0/24", "fd00:0:0:1::/64", nsg=outer)
        self._firewall = scene.firewall("fw", outside, PRIVATE, scene.public_ip("fw-ip", "203.0.113.20"))
        scene.vm("web-1", scene.nic("nic-1", behind, "10.0.1.4", "fd00::4", nsg=inner))
        scene.vm("web-2", scene.nic("nic-2", plain, "10.0.0.5", "fd00:0:0:1::5"))
        self._groups = [inner, outer]
        self._ways = {"web-1": ([inner], "10.0.1.4", "fd00::4"), "web-2": ([outer], "10.0.0.5", "fd00:0:0:1::5")}

    def holding(self) -> set[str]:
        tags = {rule["name"].split("-")[2] for rule in self._nat()}
        return super().holding() | {machine.uuid for machine in self.house.every if names.tag(machine.uuid) in tags}

    def flush(self) -> None:
        """A template is applied again to the firewall, too."""
        super().flush()
        held = self._held()
        for body in (held.body, held.effective):
            collections = body["properties"].get("natRuleCollections") or []
            body["properties"]["natRuleCollections"] = [each for each in collections if each["name"] != "jitgate"]
        held.renew()

    def edit(self, chance: random.Random) -> None:
        """Somebody changes a rule of ours in a group, or lets another source in at the firewall."""
        rules = self._nat()
        if rules and chance.random() < 0.5:
            held = self._held()
            for body in (held.body, held.effective):
                for each in body["properties"]["natRuleCollections"]:
                    for rule in each["properties"]["rules"]:
                        rule["sourceAddresses"] = ["10.71.2.2"]
            held.renew()
        else:
            super().edit(chance)

    def _passes(self, probe: Probe, source: str) -> bool:
        uuid, port, protocol = probe
        name = next(machine.name for machine in self.house.every if machine.uuid == uuid)
        if super()._passes(probe, source) or name != "web-1" or ":" in source:
            return super()._passes(probe, source)
        leads = any(
            rule["translatedAddress"] == "10.0.1.4"
            and rule["translatedPort"] == str(port)
            and key(protocol) in map(key, rule["protocols"])
            and any(holds(each, source) for each in rule["sourceAddresses"])
            for rule in self._nat()
        )
        return leads and self.house.passes(self._groups[0], "10.0.1.4", PRIVATE, port, protocol)

    def _nat(self) -> list[Json]:
        found = self._held().effective["properties"].get("natRuleCollections") or []
        return [rule for each in found if each["name"] == "jitgate" for rule in each["properties"]["rules"]]

    def _held(self) -> Resource:
        held = self.house.arm.world.resources.get(self._firewall)
        assert held is not None
        return held
