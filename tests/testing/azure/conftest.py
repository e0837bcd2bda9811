"""A fake Azure for each test."""

from collections.abc import Iterator

import pytest

from jitgate.clock import ManualClock
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def arm(clock: ManualClock) -> Arm:
    return Arm(clock)


@pytest.fixture
def url(arm: Arm) -> Iterator[str]:
    with serve(arm) as found:
        yield found
