"""What jitgate costs in calls of EC2, counted at moto behind our strictness. No time is measured here."""

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import timedelta

from tests.connectors.aws.scene import Scene

from bench.figures import Aim, Row
from jitgate.store import scopes

MACHINES, PROTECTED = 1000, 5
MOTO_MAY_TAKE = timedelta(minutes=20)
"""It is slow with so many instances, and time is not what is measured."""


def measure() -> Iterable[Row]:
    """The rows: writes of an open, writes of a close, reads of a sweep of a thousand machines."""
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    async with Scene("web-1") as scene:
        scene.house.reconciler = scene.house.make_reconciler("bench", lease_length=MOTO_MAY_TAKE)
        scene.add_many(MACHINES - 1)
        await scene.discover()
        await scene.protect(*(machine.name for machine in scene.house.machines[:PROTECTED]))
        opened = await _counted(scene, scene.open("web-1"))
        [grant] = await scene.house.live()
        closed = await _counted(scene, scene.house.close_early(grant.uid))
        scene.house.clock.advance(timedelta(minutes=1))  # Until what was read is too old to be read off.
        await scene.house.store.write(scopes.sweep_all)
        swept = await _counted(scene, scene.house.settle())
    return [
        _row("AWS: writes that an open takes", opened[1], 1),
        _row("AWS: writes that a close takes", closed[1], 1),
        _row(f"AWS: reads that a sweep of {MACHINES:,} machines in a region takes", swept[0], 10),
    ]


async def _counted(scene: Scene, work: Awaitable[object]) -> tuple[int, int]:
    """How many reads and writes something takes."""
    scene.weather.calls.clear()
    await work
    writes = len(scene.weather.writes())
    return len(scene.weather.calls) - writes, writes


def _row(name: str, calls: int, most: int) -> Row:
    return Row(name, f"{calls} calls", float(calls), "calls", aim=Aim(most))
