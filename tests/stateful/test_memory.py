"""The state machine against the firewall in memory."""

import pytest
from hypothesis import settings
from tests.stateful.steps import Steps
from tests.stateful.worlds import ConsentWorld, MemoryWorld


class MemorySteps(Steps):
    make_world = MemoryWorld


TestWhatPacketsReachInMemory = pytest.mark.timeout(0)(MemorySteps.TestCase)
# Hypothesis ends some runs early: a third more of them makes the 100,000 steps that the long profile is to have.
TestWhatPacketsReachInMemory.settings = settings(max_examples=settings().max_examples * 4 // 3)


class ConsentSteps(Steps):
    make_world = ConsentWorld


TestWhatPacketsReachWhereOthersHaveToBeAskedFirst = pytest.mark.timeout(0)(ConsentSteps.TestCase)
TestWhatPacketsReachWhereOthersHaveToBeAskedFirst.settings = settings(max_examples=max(8, settings().max_examples // 4))
