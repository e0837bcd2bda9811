"""A house whose machines are in a fake Azure."""

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.house import HERE, SUBSCRIPTION, House

from jitgate.clock import ManualClock
from jitgate.connectors.azure.connector import AzureConnector
from jitgate.connectors.azure.settings import check, read
from jitgate.core.machine import Machine
from jitgate.service import machines
from jitgate.store import scopes
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.scene import Scene

START = datetime(2030, 1, 1, tzinfo=UTC)
SOFT = 0.001


class AzureHouse(House):
    """A house over the fake; `scene` is the other hand in Azure."""

    kind = AzureConnector

    def __init__(self, arm: Arm, url: str, clock: ManualClock, *, connector: str = "azure", **settings: Any) -> None:
        self.connector_name = connector
        self.arm, self.arm_url, self.scene, self.settings = (
            arm,
            url,
            Scene(arm, subscription=SUBSCRIPTION, group="jitgate"),
            settings,
        )
        super().__init__(clock, machines=())
        self.connectors[self.connector_name] = self.cloud = self.make_cloud()

    def make_cloud(self) -> AzureConnector:
        """The connector, as a process that begins makes it."""
        kept = check({"endpoint": self.arm_url, "credential": "none", **self.settings})
        return self.kind(self.connector_name, SUBSCRIPTION, read(kept), self.clock, poll_seconds=SOFT)

    async def begin_anew(self) -> None:
        """What a process does that was killed and starts: all that it knew is gone."""
        await self.cloud.close()
        self.connectors[self.connector_name] = self.cloud = self.make_cloud()
        self.crash()
        await self.sweep()

    async def sweep(self) -> None:
        """Have everything compared, and let it settle."""
        await self.store.write(lambda tx: scopes.all_due(tx, [self.connector_name]))
        await self.settle()

    async def discover(self) -> None:
        """Have the machines of Azure taken over."""
        if hasattr(self, "cloud"):
            self.machines = list(await self.cloud.discover())
            await machines.take_over(self.service, self.machines, self.connector_name)

    async def shutdown(self) -> None:
        await self.cloud.close()

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    def passes(self, nsg: str, address: str, source: str = HERE, port: int = 22, protocol: str = "Tcp") -> bool:
        """Whether a packet from the Internet gets through one group, by Azure's rules: lowest number first."""
        rules = [each["properties"] for each in self.scene.in_force(nsg)["properties"]["securityRules"]]
        for rule in sorted(rules, key=lambda each: each["priority"]):
            if _concerns(rule, address, source, port, protocol):
                return bool(rule["access"] == "Allow")
        return False

    def ours(self, nsg: str) -> dict[str, Mapping[str, Any]]:
        """The rules of a group that jitgate has written."""
        return {name: rule for name, rule in self.scene.rules(nsg).items() if name.startswith("jitgate-")}


def allow(name: str, priority: int, port: str = "22", source: str = "*", **more: Any) -> dict[str, Any]:
    """A rule as a user writes it."""
    properties = {
        "priority": priority,
        "access": "Allow",
        "direction": "Inbound",
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": port,
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": "*",
        **more,
    }
    return {"name": name, "properties": properties}


def _concerns(rule: Mapping[str, Any], address: str, source: str, port: int, protocol: str) -> bool:
    return (
        rule["direction"] == "Inbound"
        and rule["protocol"].lower() in ("*", protocol.lower())
        and any(_in_range(each, port) for each in _all(rule, "destinationPortRange", "destinationPortRanges"))
        and any(holds(each, source) for each in _all(rule, "sourceAddressPrefix", "sourceAddressPrefixes"))
        and any(holds(each, address) for each in _all(rule, "destinationAddressPrefix", "destinationAddressPrefixes"))
    )


def _all(rule: Mapping[str, Any], one: str, many: str) -> Sequence[str]:
    return [*([rule[one]] if rule.get(one) else []), *(rule.get(many) or ())]


def _in_range(text: str, port: int) -> bool:
    low, _, high = text.partition("-")
    return text == "*" or int(low) <= port <= int(high or low)


def holds(prefix: str, address: str) -> bool:
    """Whether a source or destination as Azure writes it holds an address."""
    return prefix == "*" or ipaddress.ip_address(address) in ipaddress.ip_network(prefix)
