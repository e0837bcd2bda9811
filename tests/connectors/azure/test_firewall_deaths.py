"""Killed at any call about an Azure Firewall: nothing is open past its deadline plus a sweep, no grant is lost."""

import os
from datetime import timedelta

import pytest
from tests.connectors.azure.scene import START, AzureHouse
from tests.connectors.azure.test_firewalls import FOREIGN, build, firewall, group, later, nat
from tests.connectors.azure.test_groups import span
from tests.connectors.deaths import dies_at
from tests.house import ELSEWHERE, HERE, HOUR
from tests.stateful.worlds import Killed

from jitgate.clock import ManualClock
from jitgate.connectors.azure import arm as calls
from jitgate.core.access import State
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve

FAILPOINTS = ("azure.after_call", "azure.before_call")
STEP = 1 if os.environ.get("JITGATE_PROFILE") == "long" else 2
SWEEP = timedelta(minutes=5, seconds=10)
TAKES = timedelta(minutes=1)
INSIDE = "10.0.250.4"
"""As whom the machine sees who comes by the firewall."""


@pytest.mark.parametrize(("first", "name"), list(enumerate(FAILPOINTS, start=1)))
async def test_killed_at_any_call_about_a_firewall_nothing_is_open_past_its_deadline_plus_a_sweep(
    first: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = first
    while await told_until(at, name, monkeypatch):
        at += STEP
    assert at >= 20, "the story has so many calls at least"


async def told_until(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell the story, dead at one call. False: it has no so manyth call."""
    clock = ManualClock(START)
    arm = Arm(clock)
    with serve(arm) as url:
        async with AzureHouse(arm, url, clock) as house:
            await build(house, TAKES)
            monkeypatch.setattr(calls, "failpoint", dies_at(number, name))
            has_died = False
            try:
                await story(house)
            except Killed:
                has_died = True
            monkeypatch.setattr(calls, "failpoint", lambda _name: None)
            clock.advance(timedelta(seconds=31))  # The lease of the dead.
            await house.begin_anew()
            await later(house, 3 * TAKES)
            await house.pass_time(SWEEP)
            await later(house, 2 * TAKES)
            await assert_kept(house)
            await house.pass_time(3 * HOUR)
            await later(house, 2 * TAKES)
            await house.pass_time(SWEEP)
            assert_all_shut(house)
            await house.shutdown()
            return has_died


async def story(house: AzureHouse) -> None:
    """Protect, open, open more, close the first early; each takes its time."""
    await house.enable("vm-1", "vm-2")
    asked = await house.ask("vm-1", sources=[HERE], span=span("PT1H"))
    await house.settle()
    await later(house, TAKES)
    await house.ask("vm-1", "vm-2", sources=[ELSEWHERE], span=span("PT2H"))
    await house.settle()
    await later(house, TAKES)
    await house.close_early(asked.grants[0].grant.uid)
    await later(house, TAKES)


async def assert_kept(house: AzureHouse) -> None:
    """What is granted is open, at the firewall and behind it, and nothing else."""
    live = await house.live()
    assert {grant.state for grant in live} <= {State.OPEN}
    granted = {(grant.machine, source) for grant in live for source in grant.sources}
    for at in (1, 2):
        uuid, address = house.machine(f"vm-{at}").uuid, f"10.0.1.{at + 3}"
        rules = [rule for rule in nat(house) if rule["translatedAddress"] == address]
        led = {source for rule in rules for source in rule["sourceAddresses"]}
        assert led == {source for source in (HERE, ELSEWHERE) if (uuid, f"{source}/32") in granted}
        if house.ours(group(house, at)):  # Else it died before anything was protected.
            assert house.passes(group(house, at), address, INSIDE) == bool(led)
    assert firewall(house)["properties"]["natRuleCollections"][0] == FOREIGN


def assert_all_shut(house: AzureHouse) -> None:
    assert nat(house) == []
    for at in (1, 2):
        assert not any("-allow-" in name for name in house.ours(group(house, at)))
    assert firewall(house)["properties"]["natRuleCollections"] == [FOREIGN]
