"""What jitgate costs in calls of Azure Resource Manager, counted at a fake one. No time is measured here."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from tests.connectors.azure.scene import START, AzureHouse, allow
from tests.house import part, port

from bench.figures import Aim, Row
from jitgate.clock import ManualClock
from jitgate.core.access import State
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve
from jitgate.testing.azure.throttle import Throttle

SUBNETS, EACH = 20, 50
OPENS, AMONG = 1000, 10
WRITES_AT_ONCE = 200
"""The bucket of writes that Azure gives a subscription to begin with."""


def measure() -> Iterable[Row]:
    """The rows: an open, a close, a sweep of a thousand machines, a thousand opens, also of a thousand machines."""
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    clock = ManualClock(START)
    arm = Arm(clock)
    with serve(arm) as url:
        async with AzureHouse(arm, url, clock) as house:
            names = await _build(house)
            opened = await _counted(house, lambda: house.open(names[0]))
            [grant] = await house.live()
            closed = await _counted(house, lambda: house.close_early(grant.uid))
            clock.advance(timedelta(minutes=2))
            swept = await _counted(house, house.sweep)
            many = await _counted(house, lambda: _open_many(house, names[:AMONG]))
            paced = await _open_each(house)
            await house.shutdown()
    machines, each_its_own = SUBNETS * EACH, await _sweep_of_groups_of_their_own()
    return [
        _row("Azure: calls that an open takes, one group", opened, 1),
        _row("Azure: calls that a close takes, one group", closed, 1),
        _row(f"Azure: calls that a sweep of {machines:,} machines takes", swept, 10),
        _row(f"Azure: the same, where each of {machines:,} machines has a group of its own", each_its_own, 10),
        _row(f"Azure: calls that {OPENS:,} opens at once take, {AMONG} machines", many, WRITES_AT_ONCE),
        paced,
    ]


async def _build(house: AzureHouse) -> list[str]:
    """Machines in subnets, each with a group; one of each subnet is protected, and all of the first."""
    await _place(house, own_groups=False)
    names = [f"vm-0-{at}" for at in range(EACH)]
    await house.put(*(part(name, port(22)) for name in [*names, *(f"vm-{block}-0" for block in range(1, SUBNETS))]))
    return names


async def _sweep_of_groups_of_their_own() -> Counter[str]:
    clock = ManualClock(START)
    arm = Arm(clock)
    with serve(arm) as url:
        async with AzureHouse(arm, url, clock) as house:
            await _place(house, own_groups=True)
            await house.put(*(part(f"vm-{block}-0", port(22)) for block in range(SUBNETS)))
            clock.advance(timedelta(minutes=2))
            swept = await _counted(house, house.sweep)
            await house.shutdown()
    return swept


async def _place(house: AzureHouse, *, own_groups: bool) -> None:
    """Machines in subnets; a group for each of either."""
    scene = house.scene
    net = scene.vnet("net", "10.0.0.0/8")
    for block in range(SUBNETS):
        shared = "" if own_groups else scene.nsg(f"nsg-{block}", allow("SSH", 300))
        subnet = scene.subnet(net, f"subnet-{block}", f"10.{block}.0.0/24", nsg=shared)
        for at in range(EACH):
            own = scene.nsg(f"nsg-{block}-{at}", allow("SSH", 300)) if own_groups else ""
            scene.vm(f"vm-{block}-{at}", scene.nic(f"nic-{block}-{at}", subnet, f"10.{block}.0.{at + 4}", nsg=own))
    await house.discover()


async def _open_many(house: AzureHouse, names: list[str]) -> None:
    for at in range(OPENS // len(names)):
        await house.ask(*names, sources=[f"198.18.{at // 200}.{at % 200 + 1}"])
    await house.settle()


async def _open_each(house: AzureHouse) -> Row:
    """A port of every machine at once, with Azure's budgets: what it refuses, and how long they take to be paced."""
    names = [machine.name for machine in house.machines]
    await house.enable(*names)
    for _ in range(60):  # That many protections are paced as well.
        await house.pass_time(timedelta(seconds=10))
    throttle = house.arm.throttle = Throttle(house.clock)
    began, before = house.clock.elapsed(), Counter(house.cloud.calls)
    for at in range(0, OPENS, EACH):
        await house.ask(*names[at : at + EACH], sources=["198.18.99.1"])
    await house.settle()
    while any(grant.state is State.OPENING for grant in await house.live()):
        await house.pass_time(timedelta(seconds=5))
    writes, seconds = (Counter(house.cloud.calls) - before)["PUT"], house.clock.elapsed() - began
    what = f"Azure: refused for being too many, of {OPENS:,} opens of {len(names):,} machines at once"
    measured = f"{throttle.refused}; {writes} PUT, paced over {seconds:.0f} s"
    return Row(what, measured, float(throttle.refused), "calls", aim=Aim(0))


async def _counted(house: AzureHouse, work: Callable[[], Awaitable[object]]) -> Counter[str]:
    before = Counter(house.cloud.calls)
    await work()
    return Counter(house.cloud.calls) - before


def _row(what: str, calls: Counter[str], most: int) -> Row:
    counted = {method: count for method, count in sorted(calls.items()) if method != "POLL"}
    shown = ", ".join(f"{count} {method}" for method, count in counted.items()) or "none"
    looks = f"{calls['POLL']} looks at operations"
    return Row(what, f"{shown}; {looks}", float(sum(counted.values())), "calls", aim=Aim(most))
