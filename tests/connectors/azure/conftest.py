"""A fake Azure, and a house over it, for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.connectors.azure.scene import START, AzureHouse

from jitgate.clock import ManualClock
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def arm(clock: ManualClock) -> Arm:
    return Arm(clock)


@pytest.fixture
def url(arm: Arm) -> Iterator[str]:
    with serve(arm) as found:
        yield found


@pytest.fixture
async def azure(arm: Arm, url: str, clock: ManualClock) -> AsyncIterator[AzureHouse]:
    async with AzureHouse(arm, url, clock) as house:
        yield house
        await house.shutdown()
