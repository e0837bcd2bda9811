"""What it costs in calls: Azure counts them, and so does this."""

from collections import Counter
from datetime import timedelta

import pytest
from tests.connectors.azure.scene import AzureHouse, allow
from tests.connectors.azure.test_groups import one_machine, span
from tests.house import ELSEWHERE, HERE, HOUR, part, port

from jitgate.clock import ManualClock
from jitgate.core.access import State
from jitgate.testing.azure import graph
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.throttle import Throttle


async def test_an_open_is_one_write_and_no_read_and_so_is_a_close(azure: AzureHouse) -> None:
    await one_machine(azure)
    await azure.enable("vm-1")
    calls = counted(azure)
    grant = await azure.open("vm-1")
    assert spent(azure, calls) == {"PUT": 1}
    calls = counted(azure)
    await azure.close_early(grant.uid)
    assert spent(azure, calls) == {"DELETE": 1}


async def test_with_two_groups_an_open_is_a_write_to_each(azure: AzureHouse) -> None:
    scene = azure.scene
    outer, inner = scene.nsg("outer"), scene.nsg("inner")
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24", nsg=outer)
    scene.vm("vm-1", scene.nic("nic-1", subnet, "10.0.0.4", nsg=inner))
    await azure.discover()
    await azure.enable("vm-1")
    calls = counted(azure)
    await azure.open("vm-1")
    assert spent(azure, calls) == {"PUT": 2}


async def test_the_end_of_one_of_two_is_one_write(azure: AzureHouse) -> None:
    await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1", sources=[HERE])
    second = await azure.open("vm-1", sources=[ELSEWHERE])
    calls = counted(azure)
    await azure.close_early(second.uid)
    assert spent(azure, calls) == {"PUT": 1}


async def test_a_sweep_of_a_thousand_machines_takes_ten_reads_at_most_with_pages_as_azure_has_them(
    azure: AzureHouse,
) -> None:
    scene = azure.scene
    vnet = scene.vnet("net", "10.0.0.0/8")
    for block in range(20):
        nsg = scene.nsg(f"nsg-{block}", allow("SSH", 300))
        subnet = scene.subnet(vnet, f"subnet-{block}", f"10.{block}.0.0/24", nsg=nsg)
        for at in range(50):
            scene.vm(f"vm-{block}-{at}", scene.nic(f"nic-{block}-{at}", subnet, f"10.{block}.0.{at + 4}"))
    await azure.discover()
    await azure.put(*(part(f"vm-{block}-0", port(22)) for block in range(20)))
    azure.clock.advance(timedelta(minutes=2))
    calls = counted(azure)
    await azure.sweep()
    taken = spent(azure, calls)
    assert taken.keys() == {"GET", "POST"}
    assert taken.total() <= 10
    assert len(azure.machines) == 1000


async def test_what_resource_graph_has_not_heard_of_yet_bares_nothing(azure: AzureHouse) -> None:
    """It still tells of the time before the machine was there. The lists are right."""
    await one_machine(azure)
    nsg = await second_machine_that_resource_graph_does_not_know(azure)
    await azure.enable("vm-1", "vm-2")
    for minutes in (2, 2, 20):
        azure.clock.advance(timedelta(minutes=minutes))
        await azure.sweep()
        assert not azure.passes(nsg, "10.0.1.4")


async def test_what_resource_graph_misses_counts_for_a_quarter_of_an_hour_at_most(azure: AzureHouse) -> None:
    """A process that does not look for machines itself has only its sweeps to hear of another address."""
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    azure.arm.world.graph = graph.rows(azure.arm.world)
    networks = f"{nsg.partition('/providers/')[0]}/providers/Microsoft.Network/virtualNetworks"
    azure.scene.nic("nic-1", f"{networks}/net/subnets/default", "10.0.0.77", nsg=nsg)
    azure.clock.advance(timedelta(minutes=16))
    await azure.sweep()
    assert not azure.passes(nsg, "10.0.0.77")


async def test_where_resource_graph_may_not_be_asked_the_lists_are(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    everything = {"actions": ["*"], "notActions": ["Microsoft.ResourceGraph/resources/read"]}
    azure.arm.world.permissions = [everything]
    azure.clock.advance(timedelta(minutes=2))
    await azure.sweep()
    assert not azure.passes(nsg, "10.0.0.4")
    assert [each for each in await azure.cloud.missing_permissions() if "ResourceGraph" in each]


@pytest.mark.parametrize("machines", [10])
async def test_a_thousand_opens_at_once_stay_within_azures_budget_of_writes(
    url: str, arm: Arm, clock: ManualClock, machines: int
) -> None:
    async with AzureHouse(arm, url, clock) as azure:
        scene = azure.scene
        nsg = scene.nsg("shared")
        subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24", nsg=nsg)
        for at in range(machines):
            scene.vm(f"vm-{at}", scene.nic(f"nic-{at}", subnet, f"10.0.0.{at + 4}"))
        await azure.discover()
        await azure.enable(*(f"vm-{at}" for at in range(machines)))
        arm.throttle = Throttle(clock)
        calls = counted(azure)
        sources = [f"198.18.{at // 200}.{at % 200 + 1}" for at in range(1000 // machines)]
        for source in sources:
            await azure.ask(*(f"vm-{at}" for at in range(machines)), sources=[source], span=span("PT3H"))
        await azure.settle()
        live = await azure.live()
        assert len(live) == 1000
        assert {grant.state for grant in live} == {State.OPEN}
        assert spent(azure, calls)["PUT"] <= 200, "the bucket that Azure begins with"
        await azure.pass_time(3 * HOUR)
        assert await azure.live() == []
        await azure.shutdown()


async def test_a_burst_of_opens_is_paced_so_that_azure_refuses_none_and_no_close_waits_for_them(
    azure: AzureHouse,
) -> None:
    """Another hand has used most of what there is. What Azure refuses it may count, and closes would wait as well."""
    _, nsg = await fleet(azure, 60, groups=2)
    await azure.open("vm-1-0", sources=[HERE], span=span("PT3H"))
    first = await azure.open("vm-1-0", sources=[ELSEWHERE], span=span("PT6M"))
    azure.clock.advance(timedelta(minutes=5, seconds=59))
    throttle = azure.arm.throttle = used_up(azure, but=20)
    calls = counted(azure)
    await azure.ask(*(f"vm-0-{at}" for at in range(30)), span=span("PT3H"))
    await azure.settle()
    assert spent(azure, calls)["PUT"] == 15, "some are kept for what shuts"
    assert [grant.state for grant in await azure.live()].count(State.OPENING) == 15, "they wait, and say so"
    calls = counted(azure)
    await azure.pass_time(timedelta(seconds=1))
    assert (await azure.grant(first.uid)).state is State.CLOSED
    assert not azure.passes(nsg, "10.1.0.4", ELSEWHERE)
    assert spent(azure, calls)["PUT"] > 1, "that it is another write of the same budget"
    for _ in range(2):
        await azure.pass_time(timedelta(seconds=1))
    assert {grant.state for grant in await azure.live()} == {State.OPEN}
    assert throttle.refused == 0


async def test_groups_that_wait_for_writes_have_their_turns_by_since_when_they_wait(azure: AzureHouse) -> None:
    groups = await fleet(azure, 60, groups=2)
    throttle = azure.arm.throttle = used_up(azure, but=5)
    for block in range(2):
        await azure.ask(*(f"vm-{block}-{at}" for at in range(30)), span=span("PT3H"))
    await azure.settle()
    for _ in range(4):
        await azure.pass_time(timedelta(seconds=1))
    opened = [len([each for each in azure.ours(nsg) if "-allow-" in each]) for nsg in groups]
    assert min(opened) >= 15, f"none keeps the other from its share: {opened}"
    assert sum(opened) >= 40, "and nothing of what there is is left unused"
    assert throttle.refused == 0


def used_up(azure: AzureHouse, but: int) -> Throttle:
    """Budgets of which another hand has used all writes but some."""
    throttle = Throttle(azure.clock)
    for _ in range(200 - but):
        throttle.take("PUT", azure.scene.subscription, "Microsoft.Network")
    return throttle


async def fleet(azure: AzureHouse, count: int, groups: int) -> list[str]:
    """So many protected machines in all, ``vm-GROUP-NUMBER``, behind some groups."""
    scene = azure.scene
    vnet = scene.vnet("net", "10.0.0.0/8")
    made = [scene.nsg(f"nsg-{block}") for block in range(groups)]
    subnets = [scene.subnet(vnet, f"subnet-{at}", f"10.{at}.0.0/24", nsg=nsg) for at, nsg in enumerate(made)]
    places = [(block, at) for block in range(groups) for at in range(count // groups)]
    for block, at in places:
        scene.vm(f"vm-{block}-{at}", scene.nic(f"nic-{block}-{at}", subnets[block], f"10.{block}.0.{at + 4}"))
    await azure.discover()
    await azure.enable(*(f"vm-{block}-{at}" for block, at in places))
    for _ in range(3):  # Until there are writes to be had again.
        await azure.pass_time(timedelta(minutes=2))
    return made


def counted(azure: AzureHouse) -> Counter[str]:
    return Counter(azure.cloud.calls)


def spent(azure: AzureHouse, before: Counter[str]) -> Counter[str]:
    """The calls since then, by method; asking how an operation goes is not of Azure's budgets."""
    taken = Counter(azure.cloud.calls) - before
    del taken["POLL"]
    return taken


async def second_machine_that_resource_graph_does_not_know(azure: AzureHouse) -> str:
    """The group in front of it."""
    azure.arm.world.graph = graph.rows(azure.arm.world)
    scene = azure.scene
    nsg = scene.nsg("late", allow("SSH", 300))
    subnet = scene.subnet(scene.vnet("late", "10.0.1.0/24"), "default", "10.0.1.0/24", nsg=nsg)
    scene.vm("vm-2", scene.nic("nic-2", subnet, "10.0.1.4"))
    await azure.discover()
    return nsg
