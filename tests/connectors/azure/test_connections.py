"""Open and shut by real connections: what the connector writes, in force between network namespaces."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.connectors.azure.scene import AzureHouse, allow
from tests.connectors.azure.test_groups import span
from tests.house import HOUR
from tests.netns import echoes
from tests.testing.azure.cloud import ALICE, WEB, Cloud

from jitgate.core.access import State
from jitgate.core.exposure import Reach

pytestmark = pytest.mark.needs_root

PUBLIC, OUTSIDE = "203.0.113.10", "203.0.113.20"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as made:
        yield made


async def test_a_granted_source_connects_until_its_end_and_nobody_else_does(azure: AzureHouse, cloud: Cloud) -> None:
    scene = azure.scene
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16", "fd00:1::/48"), "web", "10.0.1.0/24", "fd00:1::/64")
    nsg = scene.nsg("web", allow("SSH", 300))
    public = {WEB[0]: scene.public_ip("ip", PUBLIC)}
    scene.vm("vm-1", scene.nic("nic", subnet, *WEB, nsg=nsg, public=public))
    cloud.follow(azure.arm)
    await azure.discover()
    with cloud.web.listen(22):
        assert cloud.bob.can_connect(PUBLIC, 22), "SSH is open to all before"
        assert azure.machine("vm-1").exposure[0].reach is Reach.ANYONE
        await azure.enable("vm-1")
        cloud.plane.sync()
        assert not cloud.bob.can_connect(PUBLIC, 22)
        grant = await azure.open("vm-1", sources=[ALICE[0]], span=span("PT1H"))
        cloud.plane.sync()
        assert not cloud.bob.can_connect(PUBLIC, 22)
        with cloud.alice.connect(PUBLIC, 22) as session:
            await azure.pass_time(HOUR)
            cloud.plane.sync()
            assert (await azure.grant(grant.uid)).state is State.CLOSED
            assert not cloud.alice.can_connect(PUBLIC, 22)
            assert echoes(session), "Azure lets established sessions be"
    await azure.discover()
    assert azure.machine("vm-1").exposure[0].effective_deny, "our deny is told to be what holds"


async def test_behind_a_firewall_a_granted_source_connects_by_the_port_that_it_is_told(
    azure: AzureHouse, cloud: Cloud
) -> None:
    scene = azure.scene
    vnet = scene.vnet("net", "10.0.0.0/16")
    outside = scene.subnet(vnet, "AzureFirewallSubnet", "10.0.250.0/24")
    subnet = scene.subnet(vnet, "web", "10.0.1.0/24", route_table=scene.route_table("table", "10.0.250.4"))
    scene.firewall("fw", outside, "10.0.250.4", scene.public_ip("fw-ip", OUTSIDE))
    scene.vm("vm-1", scene.nic("nic", subnet, WEB[0], nsg=scene.nsg("web")))
    cloud.follow(azure.arm)
    await azure.discover()
    await azure.enable("vm-1")
    asked = await azure.ask("vm-1", sources=[ALICE[0]], span=span("PT1H"))
    await azure.settle()
    await azure.pass_time(timedelta(seconds=6))
    assert (await azure.grant(asked.grants[0].grant.uid)).state is State.OPEN
    [told] = (await azure.state("vm-1")).report["connections"].values()
    with cloud.web.listen(22):
        cloud.plane.sync()
        assert cloud.alice.can_connect(told["address"], told["mappedPorts"]["22"])
        assert not cloud.bob.can_connect(told["address"], told["mappedPorts"]["22"])
        await azure.close_early(asked.grants[0].grant.uid)
        cloud.plane.sync()
        assert not cloud.alice.can_connect(told["address"], told["mappedPorts"]["22"])
