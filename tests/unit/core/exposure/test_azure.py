"""Exposure of Azure's machines: against an oracle that reads rules packet by packet, and case by case."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.clock import ManualClock
from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.core.exposure.azure import Analysis, Subscription
from jitgate.testing.azure import scenes
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.messages import Request
from jitgate.testing.azure.rules import DEFAULTS
from jitgate.testing.azure.scene import SUBSCRIPTION, Scene, rule

TCP = Protocol.TCP
LISTS = {
    "groups": "networkSecurityGroups",
    "networks": "virtualNetworks",
    "interfaces": "networkInterfaces",
    "public_addresses": "publicIPAddresses",
    "route_tables": "routeTables",
    "firewalls": "azureFirewalls",
    "balancers": "loadBalancers",
}


def is_ours(body: Any) -> bool:
    return str(body["name"]).startswith("jit")


def analysed(arm: Arm, **more: Any) -> Analysis:
    """What the connector would list."""
    found = {}
    for name, kind in LISTS.items():
        path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/{kind}"
        found[name] = arm.handle(Request.to("GET", path)).body["value"]
    return Analysis(Subscription(**found, is_ours=is_ours, **more))


def look(arm: Arm, nic: str = "web-1-nic", port: int = 22, protocol: Protocol = TCP, **more: Any) -> Exposure | None:
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/PROD/providers/Microsoft.Network/networkInterfaces/{nic}"
    found = analysed(arm, **more).exposures([path], [(port, protocol)])
    return found[0] if found else None


@pytest.fixture
def arm() -> Arm:
    return Arm(ManualClock())


# --- the oracle ---------------------------------------------------------------------------------------

# Some of these cover others, some touch; packets come from inside, from just outside, and from elsewhere.
SOURCES = ["*", "Internet", "VirtualNetwork", "198.51.100.0/24", "198.51.100.0/25", "198.51.100.7", "10.0.0.0/8"]
SOURCES += ["10.0.1.0/24", "0.0.0.0/1", "128.0.0.0/1", "2001:db8::/32", "fd00:1::/48"]
PACKETS = ["198.51.100.7", "198.51.100.200", "203.0.113.9", "10.0.1.9", "10.9.0.1", "192.168.0.1", "8.8.8.8"]
PACKETS += ["2001:db8::9", "2001:db9::9", "fd00:1::9", "fd00:9::9"]
RULES = st.lists(
    st.builds(
        rule,
        st.just("r"),
        st.just(0),
        st.sampled_from(["Allow", "Deny"]),
        source=st.one_of(
            st.sampled_from(SOURCES), st.just(["198.51.100.0/25", "10.0.0.0/8"]), st.just(["2001:db8::/32"])
        ),
        ports=st.sampled_from(["22", "*", "20-30", "443", ["443", "22"], ["20-21", "23-30"]]),
        destination=st.sampled_from(["*", "10.0.1.4", "10.0.1.0/24", "10.0.2.0/24", "VirtualNetwork", "fd00:1::4"]),
        protocol=st.sampled_from(["Tcp", "Udp", "*", "Icmp"]),
        direction=st.sampled_from(["Inbound", "Inbound", "Inbound", "Outbound"]),
    ),
    max_size=6,
)


def decides(bodies: list[Any], source: str, destination: str, port: int, protocol: str) -> bool:
    """One group and one packet, read as Azure's documentation says: rule by rule, in the order of their priorities."""
    for body in [*bodies, *DEFAULTS]:
        told = body["properties"]
        if told["direction"] == "Inbound" and told["protocol"] in (protocol, "*"):
            fits = (
                any(holds(text, source) for text in several(told, "sourceAddressPrefix"))
                and any(holds(text, destination) for text in several(told, "destinationAddressPrefix"))
                and any(is_in(text, port) for text in several(told, "destinationPortRange"))
            )
            if fits:
                return bool(told["access"] == "Allow")
    raise AssertionError("the last default rule fits every packet")


def several(told: Any, name: str) -> list[str]:
    return [told[name]] if name in told else told.get(f"{name}es") or told.get(f"{name}s")


def is_in(text: str, port: int) -> bool:
    first, _, last = text.partition("-")
    return text == "*" or int(first) <= port <= int(last or first)


def holds(text: str, address: str) -> bool:
    """The network is 10.0.0.0/16 with fd00:1::/48; what is neither private nor of it is the Internet's."""
    if text == "*":
        return True
    inside = any(is_of(each, address) for each in ("10.0.0.0/16", "fd00:1::/48"))
    if text == "VirtualNetwork":
        return inside
    if text == "Internet":
        private = ("10.0.0.0/8", "192.168.0.0/16", "fc00::/7")
        return not inside and not any(is_of(each, address) for each in private)
    return text != "AzureLoadBalancer" and is_of(text, address)


def is_of(network: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)


def numbered(bodies: list[Any]) -> list[Any]:
    """Each with a name and a priority of its own, in their order."""
    return [
        {"name": f"r{index}", "properties": {**body["properties"], "priority": 100 + index}}
        for index, body in enumerate(bodies)
    ]


@given(RULES, RULES, st.booleans(), st.sampled_from([("Tcp", 22), ("Udp", 22), ("Tcp", 25)]))
def test_it_lets_in_just_the_packets_that_the_rules_let_in_one_by_one(
    inner: list[Any], outer: list[Any], both: bool, asked: tuple[str, int]
) -> None:
    protocol, port = asked
    arm = Arm(ManualClock())
    scene = Scene(arm)
    groups = [numbered(inner), numbered(outer)] if both else [numbered(inner)]
    made = [scene.nsg(f"g{index}", *bodies) for index, bodies in enumerate(groups)]
    vnet = scene.vnet("net", "10.0.0.0/16", "fd00:1::/48")
    subnet = scene.subnet(vnet, "web", "10.0.1.0/24", "fd00:1::/64", nsg=made[1] if both else "")
    for address, public in (("10.0.1.4", "203.0.113.10"), ("fd00:1::4", "2001:db8:1::10")):
        nic = scene.nic("web-1-nic", subnet, address, nsg=made[0], public={address: scene.public_ip("ip", public)})
        analysis = analysed(arm)
        [place] = analysis.places(nic)
        through = place.passed(port, Protocol(protocol.upper())).sources
        for source in PACKETS:
            if (":" in source) == (":" in address):
                expected = all(decides(bodies, source, address, port, protocol) for bodies in groups)
                assert through.holds(ipaddress.ip_address(source)) is expected, (source, address, groups)


# --- case by case -------------------------------------------------------------------------------------


def test_a_machine_whose_group_has_no_rule_is_open_to_its_network(arm: Arm) -> None:
    scenes.one_machine(arm)
    found = look(arm)
    assert found is not None
    assert (found.reach, found.rules[0]) == (Reach.INTERNAL, "web-nsg/AllowVnetInBound")


def test_an_allow_above_our_deny_is_told_with_its_name(arm: Arm) -> None:
    """Case FW1."""
    placed = scenes.one_machine(arm)
    placed.scene.add_rule(placed.nic_nsg, rule("jit-deny", 1000, "Deny", ports=["22", "3389"]))
    placed.scene.add_rule(placed.nic_nsg, rule("old-ssh", 900, source="198.51.100.0/24"))
    found = look(arm)
    assert found is not None
    assert (found.effective_deny, found.reach, found.rules) == (False, Reach.SPECIFIC, ("web-nsg/old-ssh",))
    other = look(arm, port=3389)
    assert other is not None
    assert other.effective_deny


def test_both_groups_have_to_let_it_pass(arm: Arm) -> None:
    placed = scenes.two_groups(arm)
    found = look(arm)
    assert found is not None
    assert found.reach is Reach.ANYONE
    assert set(found.rules) == {"subnet-nsg/ssh-and-web", "web-nsg/ssh"}
    placed.scene.remove_rule(placed.subnet_nsg, "ssh-and-web")
    inside = look(arm)
    assert inside is not None
    assert inside.reach is Reach.INTERNAL


def test_a_machine_without_any_group_is_exposed_and_not_out_of_the_question(arm: Arm) -> None:
    """Case PV9."""
    scene = Scene(arm)
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.1.0/24")
    for sku, reach in (("Standard", Reach.INTERNAL), ("Basic", Reach.ANYONE)):
        scene.nic("web-1-nic", subnet, "10.0.1.4", public={"10.0.1.4": scene.public_ip("ip", "203.0.113.10", sku)})
        found = look(arm)
        assert found is not None
        assert found.reach is reach


def test_by_a_firewall_the_dnat_rule_says_who(arm: Arm) -> None:
    placed = scenes.behind_firewall(arm)
    placed.scene.add_rule(placed.nic_nsg, rule("from-firewall", 200, source="10.0.250.0/24"))
    nat = {
        "name": "old-ssh",
        "sourceAddresses": ["198.51.100.0/24", "192.0.2.1-192.0.2.2"],
        "destinationAddresses": ["203.0.113.20"],
        "destinationPorts": ["40022"],
        "protocols": ["TCP"],
        "translatedAddress": "10.0.1.4",
        "translatedPort": "22",
    }
    collection = {"name": "c", "properties": {"priority": 100, "action": {"type": "Dnat"}, "rules": [nat]}}
    outside = f"{placed.firewall.partition('/providers/')[0]}/providers/Microsoft.Network/virtualNetworks/net/subnets/"
    ip = placed.firewall.replace("azureFirewalls/fw", "publicIPAddresses/fw-ip")
    placed.scene.firewall("fw", f"{outside}AzureFirewallSubnet", "10.0.250.4", ip, collection)
    found = look(arm)
    assert found is not None
    assert (found.reach, found.note) == (Reach.SPECIFIC, "by way of fw/old-ssh")
    assert "198.51.100.0/24" in found.sources
    nat["name"] = "jit-ssh"
    granted = look(arm)
    assert granted is not None
    assert granted.reach is Reach.INTERNAL, "what was granted is no exposure"


def test_application_security_groups_are_their_members_as_source_and_destination(arm: Arm) -> None:
    scene = Scene(arm)
    web, admins = scene.asg("web"), scene.asg("admins")
    nsg = scene.nsg("nsg", rule("shut", 300, "Deny"))
    scene.add_rule(nsg, with_groups("admins", 200, admins, web))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.1.0/24", nsg=nsg)
    scene.nic("web-1-nic", subnet, "10.0.1.4", asgs=[web])
    scene.nic("web-2-nic", subnet, "10.0.1.5")
    scene.nic("admin-nic", subnet, "10.0.1.77", asgs=[admins])
    found = look(arm)
    assert found is not None
    assert found.sources == ("10.0.1.77/32",)
    assert look(arm, "web-2-nic") is None


def with_groups(name: str, priority: int, source: str, destination: str) -> Any:
    body = rule(name, priority)
    told = {key: value for key, value in body["properties"].items() if not key.endswith("AddressPrefix")}
    groups = {
        "sourceApplicationSecurityGroups": [{"id": source}],
        "destinationApplicationSecurityGroups": [{"id": destination}],
    }
    return {"name": name, "properties": {**told, **groups}}


def test_service_tags_are_their_prefixes_where_known_and_their_names_where_not(arm: Arm) -> None:
    placed = scenes.one_machine(arm)
    placed.scene.add_rule(placed.nic_nsg, rule("devops", 200, source="AzureDevOps"))
    placed.scene.add_rule(placed.nic_nsg, rule("rest", 210, "Deny"))
    unknown = look(arm)
    assert unknown is not None
    assert (unknown.sources, unknown.reach) == (("azuredevops",), Reach.SPECIFIC)
    known = look(arm, tags={"AzureDevOps": ["198.51.100.0/24"]})
    assert known is not None
    assert known.sources == ("198.51.100.0/24",)


def test_admin_rules_come_first_and_always_allow_passes_the_groups_by(arm: Arm) -> None:
    placed = scenes.one_machine(arm)
    placed.scene.add_rule(placed.nic_nsg, rule("jit-deny", 1000, "Deny"))
    net = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/prod/providers/microsoft.network/virtualnetworks/net"

    def admin(access: str, source: str) -> dict[str, list[Any]]:
        told: dict[str, Any] = {"access": access, "priority": 1, "direction": "Inbound", "protocol": "Tcp"}
        told |= {"sourcePortRanges": ["0-65535"], "destinations": []}
        told["sources"] = [{"addressPrefixType": "IPPrefix", "addressPrefix": source}]
        return {net: [{"id": "x/rules/from-hq", "properties": {**told, "destinationPortRanges": ["22"]}}]}

    past = look(arm, admin_rules=admin("AlwaysAllow", "198.51.100.0/24"))
    assert past is not None
    assert (past.effective_deny, past.rules) == (False, ("admin/from-hq",))
    placed.scene.remove_rule(placed.nic_nsg, "jit-deny")
    placed.scene.add_rule(placed.nic_nsg, rule("ssh", 300))
    assert look(arm, admin_rules=admin("Deny", "*")) is None


def test_a_public_load_balancer_is_a_way_in(arm: Arm) -> None:
    scene = Scene(arm)
    nsg = scene.nsg("nsg", rule("ssh", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.1.0/24", nsg=nsg)
    at = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/prod/providers/Microsoft.Network/loadBalancers/lb"
    nic = scene.nic("web-1-nic", subnet, "10.0.1.4")
    held = arm.world.resources.get(nic)
    assert held is not None
    nat_id = f"{at}/inboundNatRules/ssh-1"
    held.body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerInboundNatRules"] = [{"id": nat_id}]
    public = {"publicIPAddress": {"id": scene.public_ip("ip", "203.0.113.30")}}
    frontend = {"id": f"{at}/frontend", "name": "f", "properties": public}
    told = {"frontendIPConfiguration": {"id": frontend["id"]}, "frontendPort": 50001, "backendPort": 22}
    told |= {"protocol": "Tcp"}
    scene.put(
        "loadbalancers",
        "lb",
        {"frontendIPConfigurations": [frontend], "inboundNatRules": [{"name": "ssh-1", "properties": told}]},
    )
    found = look(arm)
    assert found is not None
    assert (found.reach, found.note) == (Reach.ANYONE, "by way of lb/ssh-1")
    other = look(arm, port=3389)
    assert other is not None
    assert other.reach is Reach.INTERNAL


def test_behind_a_route_to_everywhere_the_virtual_network_may_be_everywhere(arm: Arm) -> None:
    """The tag takes in what user-defined routes name: that much may be allowed, and is not denied for certain."""
    scene = Scene(arm)
    table = scene.route_table("all", "10.0.250.4")
    nsg = scene.nsg("nsg", rule("vnet", 200, "Deny", source="VirtualNetwork"))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.1.0/24", nsg=nsg, route_table=table)
    scene.nic("web-1-nic", subnet, "10.0.1.4")
    found = look(arm)
    assert found is not None
    assert "10.0.0.0/16" not in found.sources
    assert found.reach is Reach.INTERNAL
