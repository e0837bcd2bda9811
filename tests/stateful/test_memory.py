"""The state machine against the firewall in memory."""

from tests.stateful.steps import Steps
from tests.stateful.worlds import MemoryWorld


class MemorySteps(Steps):
    make_world = MemoryWorld


TestWhatPacketsReachInMemory = MemorySteps.TestCase
