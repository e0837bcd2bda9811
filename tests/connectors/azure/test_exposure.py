"""What is told of machines in Azure: who reaches their ports without a grant, and whether our deny holds."""

from datetime import timedelta
from typing import Any

from tests.connectors.azure.scene import AzureHouse, allow

from jitgate.connectors.azure.exposing import Exposures
from jitgate.connectors.azure.listing import Listing
from jitgate.connectors.azure.topology import read
from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach, badness
from jitgate.service import machines
from jitgate.testing.azure.messages import Request
from jitgate.testing.azure.scene import rule

SSH, RDP = (22, Protocol.TCP), (3389, Protocol.TCP)


async def exposure(azure: AzureHouse) -> dict[tuple[int, Protocol], Exposure]:
    await azure.discover()
    found = (await machines.get_machine(azure.service, azure.alice, "vm-1")).machine.exposure
    return {(one.port, one.protocol): one for one in found}


def one_machine(azure: AzureHouse) -> str:
    """`vm-1` with a public address, whose group lets SSH in."""
    scene = azure.scene
    nsg = scene.nsg("nsg", allow("SSH", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24")
    public = {"10.0.0.4": scene.public_ip("ip", "203.0.113.10")}
    scene.vm("vm-1", scene.nic("nic", subnet, "10.0.0.4", nsg=nsg, public=public))
    return nsg


async def test_a_protected_port_is_exposed_no_more_and_grants_do_not_count(azure: AzureHouse) -> None:
    one_machine(azure)
    before = await exposure(azure)
    assert (before[SSH].reach, before[SSH].rules[0], before[SSH].effective_deny) == (Reach.ANYONE, "nsg/SSH", False)
    assert before[RDP].reach is Reach.INTERNAL
    await azure.enable("vm-1")
    await azure.open("vm-1")
    held = (await exposure(azure))[SSH]
    assert (held.effective_deny, held.reach) == (True, Reach.ANYONE), "who would get in without jitgate"
    assert badness([held]) == 0


async def test_a_rule_that_outranks_our_deny_is_told_by_its_name(azure: AzureHouse) -> None:
    """Case FW1."""
    nsg = one_machine(azure)
    await azure.discover()
    await azure.enable("vm-1")
    azure.scene.remove_rule(nsg, "SSH")
    azure.scene.add_rule(nsg, rule("vendor", 101, source="198.51.100.0/24"))
    found = (await exposure(azure))[SSH]
    assert (found.effective_deny, found.reach) == (False, Reach.SPECIFIC)
    assert (found.rules, found.sources) == (("nsg/vendor",), ("198.51.100.0/24",))


async def test_what_has_not_changed_is_not_worked_out_again(azure: AzureHouse) -> None:
    nsg = one_machine(azure)
    exposures = Exposures()

    def look() -> object:
        lists = {"machines": "Compute/virtualMachines", "interfaces": "Network/networkInterfaces"}
        lists |= {"groups": "Network/networkSecurityGroups", "addresses": "Network/publicIPAddresses"}
        lists |= {"networks": "Network/virtualNetworks"}
        at = f"/subscriptions/{azure.scene.subscription}/providers/Microsoft."
        found = {name: azure.arm.handle(Request.to("GET", at + kind)).body["value"] for name, kind in lists.items()}
        [told] = exposures.of(read(Listing(**found))).values()
        return told

    first = look()
    assert look() is first
    azure.scene.remove_rule(nsg, "SSH")
    assert look() != first


async def test_what_an_admin_rule_always_allows_is_told_and_its_port_is_not_called_protected(
    azure: AzureHouse,
) -> None:
    one_machine(azure)
    await azure.discover()
    azure.arm.world.admin_rules[network(azure)] = [admin_rule("from-hq", "AlwaysAllow", "198.51.100.0/24")]
    azure.clock.advance(timedelta(minutes=11))
    found = (await exposure(azure))[SSH]
    await azure.enable("vm-1")
    found = (await exposure(azure))[SSH]
    assert (found.effective_deny, found.rules, found.sources) == (False, ("admin/from-hq",), ("198.51.100.0/24",))
    [why] = {why for port, why in (await azure.state("vm-1")).report["protected"].items() if "|22|TCP" in port}
    assert "from-hq" in why
    assert "in front of every group" in why


async def test_what_an_admin_rule_denies_everybody_reaches_nobody_and_a_port_beside_it_is_no_matter(
    azure: AzureHouse,
) -> None:
    one_machine(azure)
    azure.arm.world.admin_rules[network(azure)] = [
        admin_rule("none", "Deny", "*", priority=1),
        admin_rule("from-hq", "AlwaysAllow", "198.51.100.0/24", priority=2),
        admin_rule("web", "AlwaysAllow", "*", priority=3, ports="443"),
    ]
    assert SSH not in await exposure(azure)
    await azure.enable("vm-1")
    assert set((await azure.state("vm-1")).report["protected"].values()) == {""}


async def test_an_inbound_nat_rule_of_a_load_balancer_is_a_way_in(azure: AzureHouse) -> None:
    scene = azure.scene
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24")
    nic = scene.nic("nic", subnet, "10.0.0.4", nsg=scene.nsg("nsg", allow("SSH", 300)))
    scene.vm("vm-1", nic)
    assert (await exposure(azure))[SSH].reach is Reach.INTERNAL
    scene.balance(nic, scene.public_ip("lb-ip", "203.0.113.30"), 22)
    assert (await exposure(azure))[SSH].reach is Reach.ANYONE


async def test_a_service_tag_in_a_rule_is_told_as_the_prefixes_that_azure_says_it_is(azure: AzureHouse) -> None:
    nsg = one_machine(azure)
    azure.scene.remove_rule(nsg, "SSH")
    azure.scene.add_rule(nsg, rule("devops", 200, source="AzureDevOps"))
    azure.scene.add_rule(nsg, rule("rest", 210, "Deny"))
    assert (await exposure(azure))[SSH].sources == ("azuredevops",), "Azure does not say"
    azure.arm.world.tags["AzureDevOps"] = ["198.51.100.0/24"]
    azure.clock.advance(timedelta(days=1, minutes=1))
    assert (await exposure(azure))[SSH].sources == ("198.51.100.0/24",)


async def test_what_changes_seldom_is_not_asked_for_every_half_minute(azure: AzureHouse) -> None:
    nsg = one_machine(azure)
    azure.scene.add_rule(nsg, rule("devops", 200, source="AzureDevOps"))
    await azure.discover()
    await azure.discover()
    counted = azure.arm.calls.count()
    assert counted["GET serviceTags"] == 1
    assert counted["POST listNetworkManagerEffectiveSecurityAdminRules"] == 1


def network(azure: AzureHouse) -> str:
    group = f"/subscriptions/{azure.scene.subscription}/resourcegroups/{azure.scene.group_name}"
    return f"{group}/providers/microsoft.network/virtualnetworks/net"


def admin_rule(name: str, access: str, source: str, *, priority: int = 1, ports: str = "22") -> dict[str, Any]:
    told = {
        "access": access,
        "priority": priority,
        "direction": "Inbound",
        "protocol": "Tcp",
        "sources": [{"addressPrefixType": "IPPrefix", "addressPrefix": source}],
        "sourcePortRanges": ["0-65535"],
        "destinations": [{"addressPrefixType": "IPPrefix", "addressPrefix": "*"}],
        "destinationPortRanges": [ports],
    }
    return {"id": f"/x/rules/{name}", "kind": "Custom", "properties": told}
