"""Against a real subscription, for those who have one; deselected unless ``JITGATE_LIVE_AZURE`` names it.

``JITGATE_LIVE_AZURE=SUBSCRIPTION/GROUP/NSG pytest -m live_azure``, signed in as azure-identity's DefaultAzureCredential
finds it. It writes rules of its own, at high numbers, into that one group, and removes them.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jitgate.clock import SystemClock
from jitgate.connectors.azure import names, overdue, permissions
from jitgate.connectors.azure.arm import Arm
from jitgate.connectors.azure.atlas import Atlas
from jitgate.connectors.azure.holding import Budget, Holder
from jitgate.connectors.azure.rules import Wanted
from jitgate.connectors.azure.settings import check, read
from jitgate.core.resource_id import key

pytestmark = [pytest.mark.live_azure, pytest.mark.timeout(600)]

SETTINGS = read(check({}))
MACHINE = "jitgate-live-test"
SOURCE, ADDRESS = "203.0.113.7", "10.255.255.254"


def place() -> tuple[str, str]:
    """The subscription, and the id of the group."""
    subscription, group, nsg = os.environ["JITGATE_LIVE_AZURE"].split("/")
    network = "providers/Microsoft.Network/networkSecurityGroups"
    return subscription, f"/subscriptions/{subscription}/resourceGroups/{group}/{network}/{nsg}"


def rule(until: datetime) -> Wanted:
    return Wanted(
        name=names.allow_name(MACHINE, 22, "tcp", 4),
        access="allow",
        protocol="tcp",
        sources=frozenset({SOURCE}),
        destinations=frozenset({ADDRESS}),
        ports=frozenset({"22"}),
        description=names.describe("Opens tcp/22 of a test.", MACHINE, until),
    )


async def held(**what: Any) -> Any:
    """Have the group hold something, and look at what came of it."""
    subscription, nsg = place()
    arm = Arm(SETTINGS)
    try:
        clock = SystemClock()
        atlas = Atlas(arm, [subscription], clock)
        await atlas.list_groups(0)
        result = await Holder(arm, atlas, clock).hold(
            key(nsg), what.get("wanted", ()), what.get("unwanted", ()), {}, Budget.of(120)
        )
        await atlas.look_at(key(nsg))
        found = atlas.group(key(nsg))
        assert found is not None
        return result, found.rules
    finally:
        await arm.close()


async def test_a_rule_is_written_read_back_and_removed() -> None:
    wanted = rule(datetime.now(UTC) + timedelta(hours=1))
    try:
        result, rules = await held(wanted=[wanted])
        assert (result.undone, result.error) == (set(), None)
        assert wanted.is_held_by(rules[wanted.name])
    finally:
        result, rules = await held(unwanted=[wanted.name])
    assert wanted.name not in rules


async def test_a_sweep_shuts_what_is_overdue() -> None:
    wanted = rule(datetime.now(UTC) - timedelta(hours=1))
    await held(wanted=[wanted])
    shut = await overdue.sweep([place()[0]], SETTINGS, datetime.now(UTC))
    assert wanted.name in {each.rule for each in shut if not each.error}


async def test_the_permissions_of_whoever_is_signed_in_can_be_read() -> None:
    arm = Arm(SETTINGS)
    try:
        assert set(await permissions.missing(arm, place()[0])) <= {
            f"{action} at /subscriptions/{place()[0]}" for action in permissions.NEEDED
        }
    finally:
        await arm.close()
