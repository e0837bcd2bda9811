"""The state machine against the kernel's own firewall. Its time is real, so there are fewer steps."""

import pytest
from hypothesis import settings
from tests.stateful.nftables import NftWorld, OldKernelWorld
from tests.stateful.steps import Steps

FEWER = settings(max_examples=max(4, settings().max_examples // 12))


class NftSteps(Steps):
    make_world = NftWorld


class OldKernelSteps(Steps):
    make_world = OldKernelWorld


TestWhatPacketsReachInTheKernel = pytest.mark.needs_root(pytest.mark.timeout(0)(NftSteps.TestCase))
TestWhatPacketsReachInTheKernel.settings = FEWER
TestWhatPacketsReachInAnOldKernel = pytest.mark.needs_root(pytest.mark.timeout(0)(OldKernelSteps.TestCase))
TestWhatPacketsReachInAnOldKernel.settings = FEWER
