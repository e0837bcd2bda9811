"""Which of Azure's machines can have just-in-time access, which cannot and why, and what people are told beforehand."""

from typing import Any

import pytest
from tests.connectors.azure.scene import AzureHouse, allow

from jitgate.core.machine import Machine

POLICY = "/subscriptions/{}/resourceGroups/hub/providers/Microsoft.Network/firewallPolicies/central"


def found(azure: AzureHouse, name: str) -> Machine:
    return next(machine for machine in azure.machines if machine.name == name)


def behind(azure: AzureHouse, name: str, *, nsg: str = "", same_network: bool = True, **firewall: Any) -> None:
    """A machine whose traffic is routed to an Azure Firewall."""
    scene = azure.scene
    vnet = scene.vnet("net", "10.0.0.0/16")
    home = vnet if same_network else scene.vnet("hub", "10.9.0.0/16")
    outside = scene.subnet(home, "AzureFirewallSubnet", "10.0.250.0/26" if same_network else "10.9.250.0/26")
    private = "10.0.250.4" if same_network else "10.9.250.4"
    subnet = scene.subnet(vnet, "web", "10.0.1.0/24", route_table=scene.route_table("by-firewall", private))
    scene.firewall("fw", outside, private, scene.public_ip("fw-ip", "203.0.113.20"), **firewall)
    scene.vm(name, scene.nic(f"{name}-nic", subnet, "10.0.1.4", nsg=scene.nsg(nsg) if nsg else ""))


@pytest.mark.parametrize(
    "governed",
    [
        {"firewallPolicy": {"id": POLICY}},
        {"virtualHub": {"id": "hub"}},
        {"sku": {"name": "AZFW_Hub", "tier": "Standard"}},
    ],
    ids=["firewall policy", "virtual hub", "hub sku"],
)
async def test_behind_a_firewall_that_is_governed_elsewhere_is_unsupported_with_the_reason(
    azure: AzureHouse, governed: dict[str, Any]
) -> None:
    """Case FW9, and the article's table of machines."""
    behind(azure, "vm-1", nsg="nsg-1", **governed)
    await azure.discover()
    assert "Only classic rules can be changed here" in found(azure, "vm-1").unsupported


async def test_a_firewall_in_another_network_does_not_count_and_that_is_told(azure: AzureHouse) -> None:
    behind(azure, "vm-1", nsg="nsg-1", same_network=False)
    await azure.discover()
    machine = found(azure, "vm-1")
    assert machine.unsupported == ""
    [notice] = [text for text in map(str, _notices(machine)) if "another network" in text]
    assert "the network security group alone is used" in notice


async def test_without_a_group_a_firewall_in_another_network_is_the_reason(azure: AzureHouse) -> None:
    behind(azure, "vm-1", same_network=False)
    await azure.discover()
    assert "is in another network" in found(azure, "vm-1").unsupported


async def test_without_group_and_firewall_is_unsupported_and_says_what_is_needed(azure: AzureHouse) -> None:
    scene = azure.scene
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.1.0/24")
    scene.vm("bare", scene.nic("bare-nic", subnet, "10.0.1.4"))
    await azure.discover()
    assert "One of them is needed" in found(azure, "bare").unsupported


async def test_a_classic_machine_is_listed_and_unsupported(azure: AzureHouse) -> None:
    azure.scene.classic_vm("old-1")
    await azure.discover()
    assert "classic machine" in found(azure, "old-1").unsupported


async def test_a_group_with_little_room_for_rules_is_told_of_beforehand(azure: AzureHouse) -> None:
    await with_group(azure, *(allow(f"r{at}", 100 + at) for at in range(951)))
    assert [text for text in _notices(found(azure, "vm-1")) if "951 of 1000 possible rules" in text]


async def test_a_group_with_little_room_for_addresses_is_told_of_beforehand(azure: AzureHouse) -> None:
    many = [f"198.18.{at // 250}.{at % 250}" for at in range(3801)]
    await with_group(azure, allow("many", 100, source="", sourceAddressPrefixes=many))
    assert [text for text in _notices(found(azure, "vm-1")) if "3801 of 4000 possible addresses" in text]


async def test_a_group_with_room_is_no_news(azure: AzureHouse) -> None:
    await with_group(azure, allow("SSH", 300))
    assert _notices(found(azure, "vm-1")) == []


async def with_group(azure: AzureHouse, *rules: dict[str, Any]) -> None:
    """A machine whose interface has a group with these rules."""
    scene = azure.scene
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.1.0/24")
    scene.vm("vm-1", scene.nic("nic-1", subnet, "10.0.1.4", nsg=scene.nsg("nsg-1", *rules)))
    await azure.discover()


def _notices(machine: Machine) -> list[Any]:
    told = machine.facts["notices"]
    assert isinstance(told, list)
    return told
