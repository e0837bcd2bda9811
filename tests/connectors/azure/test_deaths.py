"""Killed at any call, or any call gone wrong: nothing is open past its deadline plus one sweep, no grant is lost."""

import os
import random
from datetime import timedelta

import pytest
from tests.connectors.azure.scene import START, AzureHouse, allow
from tests.connectors.azure.test_groups import span
from tests.connectors.azure.weather import FewLooks, Weather, take_a_second
from tests.connectors.deaths import dies_at, run_child
from tests.house import ELSEWHERE, HERE, HOUR
from tests.stateful.worlds import Killed

from jitgate.clock import ManualClock
from jitgate.connectors.azure import arm as calls
from jitgate.connectors.azure import connector
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve

FAILPOINTS = ("azure.after_call", "azure.before_call")
LONG_PROFILE = os.environ.get("JITGATE_PROFILE") == "long"
SEQUENCES = 1000 if LONG_PROFILE else 12
SWEEP = timedelta(minutes=5, seconds=10)
PATIENCE = timedelta(minutes=4)
"""Back-offs of a minute that a failure just before the end may have left."""
REAL_DEATHS = range(1, 60) if LONG_PROFILE else (15,)
STEP = 1 if LONG_PROFILE else 2


@pytest.mark.parametrize(("first", "name"), list(enumerate(FAILPOINTS, start=1)))
async def test_killed_at_any_call_nothing_is_open_past_its_deadline_plus_a_sweep(
    first: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kill -9 does it: nothing that the process knew survives, and no line of it runs after that."""
    at = 1 if LONG_PROFILE else first
    while await _told_until(at, name, monkeypatch):
        at += STEP
    assert at >= 30, "the story has so many calls at least"


@pytest.mark.parametrize("hit", REAL_DEATHS)
@pytest.mark.parametrize("name", FAILPOINTS)
async def test_a_process_that_is_killed_for_real_is_followed_by_one_that_shuts(
    name: str, hit: int, arm: Arm, url: str, clock: ManualClock
) -> None:
    async with AzureHouse(arm, url, clock) as house:
        groups = build(house)
        await house.discover()
        await house.enable("vm-1", "vm-2")
        await house.ask("vm-1", "vm-2", span=span("PT1H"))
        house.store.close()
        ended = await run_child("azure", house.directory, url, f"{name}:{hit}")
        assert ended.returncode in (-9, 0), ended.stderr
        house.store = house.open_store()
        await house.begin_anew()
        clock.advance(2 * HOUR + SWEEP)
        await house.settle()
        assert_all_shut(house, groups)
        await house.shutdown()


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_whatever_goes_wrong_at_every_call_all_is_shut_in_the_end_and_open_until_then(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "Budget", FewLooks)
    chance = random.Random(seed)
    clock = ManualClock(START)
    arm = Arm(clock)
    arm.after = lambda: take_a_second(arm, clock)
    with serve(arm) as url:
        async with AzureHouse(arm, url, clock) as house:
            groups = build(house)
            await house.discover()
            await house.enable("vm-1", "vm-2")
            arm.calls.fail_when(Weather(seed, 0.3).at)
            await house.ask("vm-1", sources=[HERE], span=span("PT1H"))
            await house.ask("vm-1", "vm-2", sources=[ELSEWHERE], span=span("PT2H"))
            for _ in range(12):
                await house.pass_time(timedelta(minutes=chance.choice((1, 2, 9))))
                if chance.random() < 0.2:
                    await house.begin_anew()
                assert not house.passes(groups[0], "10.0.0.5", HERE), "that was never granted"
            arm.calls.heal()
            await house.pass_time(2 * HOUR)
            await house.pass_time(SWEEP + PATIENCE)
            assert_all_shut(house, groups)
            assert await house.live() == []
            await house.shutdown()


async def _told_until(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell the story, dead at one call. False: it has no so manyth call."""
    arm, clock = Arm(ManualClock(START)), ManualClock(START)
    arm.world.clock = clock
    with serve(arm) as url:
        async with AzureHouse(arm, url, clock) as house:
            groups = build(house)
            await house.discover()
            monkeypatch.setattr(calls, "failpoint", dies_at(number, name))
            has_died = False
            try:
                await _story(house)
            except Killed:
                has_died = True
            monkeypatch.setattr(calls, "failpoint", lambda _name: None)
            clock.advance(timedelta(seconds=31))  # The lease of the dead.
            await house.begin_anew()
            await house.pass_time(SWEEP)
            await _assert_kept(house, groups)
            await house.pass_time(3 * HOUR)
            await house.pass_time(SWEEP)
            assert_all_shut(house, groups)
            await house.shutdown()
            return has_died


async def _story(house: AzureHouse) -> None:
    """Protect, open, open more, close early, let one end."""
    await house.enable("vm-1", "vm-2")
    await house.ask("vm-1", "vm-2", sources=[HERE], span=span("PT1H"))
    await house.settle()
    await house.ask("vm-1", sources=[ELSEWHERE], span=span("PT2H"))
    await house.settle()
    await house.pass_time(HOUR)


async def _assert_kept(house: AzureHouse, groups: list[str]) -> None:
    """What is granted is open, and nothing else."""
    live = {(grant.machine, source) for grant in await house.live() for source in grant.sources}
    if not house.ours(groups[1]):
        return  # It died before anything was protected.
    for name, address, path in (("vm-1", "10.0.0.4", groups), ("vm-2", "10.0.0.5", groups[:1])):
        for source in (HERE, ELSEWHERE):
            passes = all(house.passes(nsg, address, source) for nsg in path)
            assert passes == ((house.machine(name).uuid, f"{source}/32") in live), (name, source)


def build(house: AzureHouse) -> list[str]:
    """A machine behind two groups, and one behind the outer one of them."""
    scene = house.scene
    outer, inner = scene.nsg("outer", allow("SSH", 300)), scene.nsg("inner", allow("SSH", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24", nsg=outer)
    scene.vm("vm-1", scene.nic("nic-1", subnet, "10.0.0.4", nsg=inner))
    scene.vm("vm-2", scene.nic("nic-2", subnet, "10.0.0.5"))
    return [outer, inner]


def assert_all_shut(house: AzureHouse, groups: list[str]) -> None:
    outer, inner = groups
    for source in (HERE, ELSEWHERE):
        assert not house.passes(inner, "10.0.0.4", source)
        assert not house.passes(outer, "10.0.0.5", source)
    assert all(rule["access"] == "Deny" for nsg in groups for rule in house.ours(nsg).values())
