"""Open and shut, proven by connections: the fake's rules in force between network namespaces."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.netns import echoes
from tests.testing.azure.cloud import ALICE, BOB, OTHER, WEB, Cloud
from tests.unit.core.exposure.test_azure import RULES, analysed, numbered

from jitgate.clock import ManualClock
from jitgate.core.desired import Protocol
from jitgate.testing.azure import scenes
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.messages import Request
from jitgate.testing.azure.scene import Scene, rule

pytestmark = pytest.mark.needs_root

PUBLIC, FIREWALL = "203.0.113.10", "203.0.113.20"


@pytest.fixture
def arm() -> Arm:
    return Arm(ManualClock())


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Cloud]:
    with Cloud() as made:
        yield made


@pytest.fixture
def cloud(namespaces: Cloud, arm: Arm) -> Cloud:
    namespaces.follow(arm)
    return namespaces


def nat(name: str, *sources: str) -> Any:
    return {
        "name": name,
        "sourceAddresses": list(sources),
        "destinationAddresses": [FIREWALL],
        "destinationPorts": ["40022"],
        "protocols": ["TCP"],
        "translatedAddress": WEB[0],
        "translatedPort": "22",
    }


def with_nat(arm: Arm, firewall: str, *rules: Any) -> None:
    """PUT the firewall with these DNAT rules."""
    body = arm.handle(Request.to("GET", firewall)).body
    collection = {"name": "jit", "properties": {"priority": 100, "action": {"type": "Dnat"}, "rules": list(rules)}}
    body["properties"]["natRuleCollections"] = [collection] if rules else []
    assert arm.handle(Request.to("PUT", firewall, body)).status == 200


def test_an_open_lets_one_source_in_and_a_close_keeps_it_out_while_its_session_goes_on(arm: Arm, cloud: Cloud) -> None:
    placed = scenes.one_machine(arm)
    scene, nsg = placed.scene, placed.nic_nsg
    scene.add_rule(nsg, rule("jit-deny", 1000, "Deny", ports=["22", "3389"]))
    with cloud.web.listen(22):
        cloud.plane.sync()
        assert not cloud.alice.can_connect(PUBLIC, 22)
        scene.add_rule(nsg, rule("jit-allow", 100, source=ALICE[0], destination=WEB[0]))
        cloud.plane.sync()
        with cloud.alice.connect(PUBLIC, 22) as session:
            assert not cloud.bob.can_connect(PUBLIC, 22)
            assert not cloud.alice.can_connect(WEB[1], 22), "the other family is not open"
            scene.remove_rule(nsg, "jit-allow")
            cloud.plane.sync()
            assert not cloud.alice.can_connect(PUBLIC, 22)
            assert echoes(session), "a group lets established sessions be"


def test_a_group_that_flushes_connections_cuts_them(arm: Arm, cloud: Cloud) -> None:
    placed = scenes.one_machine(arm)
    nsg = placed.nic_nsg
    body = arm.handle(Request.to("GET", nsg)).body
    rules = [rule("ssh", 100, source=ALICE[0])]
    body["properties"] |= {"flushConnection": True, "securityRules": rules}
    assert arm.handle(Request.to("PUT", nsg, body)).status == 200
    with cloud.web.listen(22):
        cloud.plane.sync()
        with cloud.alice.connect(PUBLIC, 22) as session:
            placed.scene.remove_rule(nsg, "ssh")
            cloud.plane.sync()
            assert not echoes(session)


def test_both_groups_have_to_let_it_pass_in_both_families(arm: Arm, cloud: Cloud) -> None:
    placed = scenes.two_groups(arm)
    with cloud.web.listen(22):
        cloud.plane.sync()
        assert cloud.alice.can_connect(PUBLIC, 22)
        assert cloud.alice.can_connect(WEB[1], 22)
        placed.scene.add_rule(placed.subnet_nsg, rule("not-v6", 110, "Deny", source="2001:db8::/32"))
        cloud.plane.sync()
        assert cloud.alice.can_connect(PUBLIC, 22)
        assert not cloud.alice.can_connect(WEB[1], 22)
        placed.scene.remove_rule(placed.nic_nsg, "ssh")
        cloud.plane.sync()
        assert not cloud.alice.can_connect(PUBLIC, 22)


def test_a_change_counts_when_its_operation_is_over(arm: Arm, cloud: Cloud) -> None:
    placed = scenes.one_machine(arm)
    arm.world.durations["networkSecurityGroups"] = 5
    with cloud.web.listen(22):
        put = Request.to("PUT", f"{placed.nic_nsg}/securityRules/ssh", rule("ssh", 100))
        assert arm.handle(put).status == 201
        cloud.plane.sync()
        assert not cloud.alice.can_connect(PUBLIC, 22)
        arm.world.durations.clear()
        clock = arm.world.clock
        assert isinstance(clock, ManualClock)
        clock.passed += 5
        cloud.plane.sync()
        assert cloud.alice.can_connect(PUBLIC, 22)


def test_behind_the_firewall_its_rule_checks_who_and_the_group_sees_the_firewall(arm: Arm, cloud: Cloud) -> None:
    """Case FW8."""
    placed = scenes.behind_firewall(arm)
    placed.scene.add_rule(placed.nic_nsg, rule("from-user", 110, source=ALICE[0]))
    placed.scene.add_rule(placed.nic_nsg, rule("deny", 1000, "Deny"))
    with cloud.web.listen(22):
        with_nat(arm, placed.firewall, nat("alice", ALICE[0]))
        cloud.plane.sync()
        assert not cloud.alice.can_connect(FIREWALL, 40022), "a group that names the user never sees them"
        placed.scene.add_rule(placed.nic_nsg, rule("from-firewall", 100, source="10.0.250.0/24"))
        cloud.plane.sync()
        with cloud.alice.connect(FIREWALL, 40022) as session:
            assert echoes(session)
            assert not cloud.bob.can_connect(FIREWALL, 40022)
            with_nat(arm, placed.firewall)
            cloud.plane.sync()
            assert not cloud.alice.can_connect(FIREWALL, 40022)
            assert not echoes(session), "a firewall cuts the sessions of a rule that has gone"


@given(RULES, RULES, st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_analysis_says_what_packets_find(cloud: Cloud, inner: list[Any], outer: list[Any], both: bool) -> None:
    """The same rules once as exposure and once in force."""
    made = Arm(ManualClock())
    scene = Scene(made)
    own = scene.nsg("own", *numbered(inner))
    net = scene.vnet("net", "10.0.0.0/16", "fd00:1::/48")
    around = scene.nsg("around", *numbered(outer)) if both else ""
    subnet = scene.subnet(net, "web", "10.0.1.0/24", "fd00:1::/64", nsg=around)
    nic = scene.nic("web-1-nic", subnet, *WEB, nsg=own)
    cloud.follow(made)
    with cloud.web.listen(22):
        for place in analysed(made).places(nic):
            through = place.passed(22, Protocol.TCP).sources
            for client, addresses in ((cloud.alice, ALICE), (cloud.bob, BOB), (cloud.other, OTHER)):
                source = addresses[1 if ":" in place.address else 0]
                expected = through.holds(ipaddress.ip_address(source))
                assert client.can_connect(place.address, 22, timeout=0.05 if not expected else 30) is expected, source
