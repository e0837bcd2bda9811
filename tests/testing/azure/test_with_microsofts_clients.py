"""The fake's shapes, read by Microsoft's own clients: a second opinion."""

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.testing.azure import microsoft

from jitgate.testing.azure import scenes
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.calls import Fault
from jitgate.testing.azure.scene import rule

SSH = rule("ssh", 400, source="198.51.100.7")["properties"]


def code_of(error: HttpResponseError) -> str:
    assert error.error is not None
    return str(error.error.code)


def test_a_rule_is_made_changed_and_removed(arm: Arm, url: str) -> None:
    scenes.one_machine(arm)
    rules = microsoft.network(url).security_rules
    made = rules.begin_create_or_update("prod", "web-nsg", "ssh", {"properties": SSH}).result()
    assert (made.name, made.priority, made.provisioning_state) == ("ssh", 400, "Succeeded")
    changed = {"properties": {**SSH, "access": "Deny"}}
    assert rules.begin_create_or_update("prod", "web-nsg", "ssh", changed).result().access == "Deny"
    assert {each.name for each in rules.list("prod", "web-nsg")} == {"office-web", "ssh"}
    rules.begin_delete("prod", "web-nsg", "ssh").result()
    rules.begin_delete("prod", "web-nsg", "ssh").result()
    with pytest.raises(ResourceNotFoundError) as missing:
        rules.get("prod", "web-nsg", "ssh")
    assert code_of(missing.value) == "NotFound"


def test_a_group_is_replaced_as_a_whole_by_whoever_holds_its_etag(arm: Arm, url: str) -> None:
    placed = scenes.one_machine(arm)
    groups = microsoft.network(url).network_security_groups
    group = groups.get("prod", "web-nsg")
    placed.scene.add_rule(placed.nic_nsg, rule("ours", 200))
    with pytest.raises(HttpResponseError) as late:
        groups.begin_create_or_update("prod", "web-nsg", group, headers={"If-Match": group.etag})
    assert (late.value.status_code, code_of(late.value)) == (412, "PreconditionFailed")
    groups.begin_create_or_update("prod", "web-nsg", group).result()
    assert set(placed.scene.rules(placed.nic_nsg)) == {"office-web"}, "what the PUT did not name is gone"


def test_everything_is_found_page_by_page(arm: Arm, url: str) -> None:
    scenes.fleet(arm, 250)
    arm.world.page_size = 100
    network, compute = microsoft.network(url), microsoft.compute(url)
    machines = list(compute.virtual_machines.list_all(expand="instanceView"))
    nics = {each.id.lower(): each for each in network.network_interfaces.list_all()}
    assert (len(machines), len(nics)) == (250, 250)
    assert arm.calls.count() == {"GET virtualMachines": 3, "GET networkInterfaces": 3}
    one = machines[0]
    assert one.instance_view.statuses[1].code == "PowerState/running"
    nic = nics[one.network_profile.network_interfaces[0].id.lower()]
    assert nic.virtual_machine.id.lower() == one.id.lower()
    assert "/PROD/" in one.id, "Compute tells the group in capitals"
    assert "/prod/" in nic.id, "Network does not"
    groups = list(network.network_security_groups.list_all())
    assert [len(each.subnets) for each in groups] == [1, 1, 1]
    assert [each.name for each in groups[0].default_security_rules][2] == "DenyAllInBound"
    [net] = network.virtual_networks.list_all()
    assert [each.network_security_group.id for each in net.subnets] == [each.id for each in groups]


def test_firewalls_bastions_addresses_and_routes_are_read(arm: Arm, url: str) -> None:
    placed = scenes.behind_firewall(arm)
    net = placed.scene.vnet("other", "10.9.0.0/16")
    placed.scene.bastion("way-in", placed.scene.subnet(net, "AzureBastionSubnet", "10.9.0.0/26"))
    network = microsoft.network(url)
    [firewall] = network.azure_firewalls.list_all()
    assert firewall.ip_configurations[0].private_ip_address == "10.0.250.4"
    [table] = network.route_tables.list_all()
    assert (table.routes[0].next_hop_ip_address, len(table.subnets)) == ("10.0.250.4", 1)
    [bastion] = network.bastion_hosts.list()
    assert bastion.ip_configurations[0].subnet.id.endswith("AzureBastionSubnet")
    assert [each.ip_address for each in network.public_ip_addresses.list_all()] == ["203.0.113.20"]
    arm.world.tags["Sql"] = ["192.0.2.0/24"]
    [tag] = network.service_tags.list("westeurope").values_property
    assert (tag.name, tag.properties.address_prefixes) == ("Sql", ["192.0.2.0/24"])


@pytest.mark.parametrize(("fault", "code"), [(Fault.FAIL, "InternalServerError"), (Fault.CANCEL, "Canceled")])
def test_an_operation_that_ends_badly_raises_and_holds_nothing(arm: Arm, url: str, fault: Fault, code: str) -> None:
    placed = scenes.one_machine(arm)
    rules = microsoft.network(url).security_rules
    arm.calls.fail_next("PUT securityRules", fault)
    with pytest.raises(HttpResponseError) as failed:
        rules.begin_create_or_update("prod", "web-nsg", "ssh", {"properties": SSH}).result()
    assert code_of(failed.value) == code
    held = arm.world.resources.get(placed.nic_nsg)
    assert held is not None
    assert [each["name"] for each in held.effective["properties"]["securityRules"]] == ["office-web"]


def test_a_lost_answer_is_a_done_deed_and_a_dropped_call_is_none(arm: Arm, url: str) -> None:
    placed = scenes.one_machine(arm)
    rules = microsoft.network(url).security_rules
    for name, fault in (("lost", Fault.LOSE), ("dropped", Fault.DROP)):
        arm.calls.fail_next("PUT securityRules", fault)
        with pytest.raises(Exception, match=r"abort|reset|closed"):
            rules.begin_create_or_update("prod", "web-nsg", name, {"properties": SSH})
    assert set(placed.scene.rules(placed.nic_nsg)) == {"office-web", "lost"}
