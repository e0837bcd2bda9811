"""The state machine against the firewall in memory."""

import pytest
from tests.stateful.steps import Steps
from tests.stateful.worlds import MemoryWorld


class MemorySteps(Steps):
    make_world = MemoryWorld


TestWhatPacketsReachInMemory = pytest.mark.timeout(0)(MemorySteps.TestCase)
