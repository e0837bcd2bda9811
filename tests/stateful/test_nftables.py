"""The state machine against the kernel's own firewall. Its time is real, so there are fewer steps."""

import pytest
from hypothesis import settings
from tests.stateful.nftables import NftWorld
from tests.stateful.steps import Steps


class NftSteps(Steps):
    make_world = NftWorld


TestWhatPacketsReachInTheKernel = pytest.mark.needs_root(pytest.mark.timeout(0)(NftSteps.TestCase))
TestWhatPacketsReachInTheKernel.settings = settings(max_examples=max(6, settings().max_examples // 8))
