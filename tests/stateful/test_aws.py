"""The state machine against security groups, with rules of others that are altered and put back: so few steps."""

import pytest
from hypothesis import settings
from tests.stateful.aws import AwsWorld
from tests.stateful.steps import Steps


class AwsSteps(Steps):
    make_world = AwsWorld


TestWhatAmazonsGroupsLetThrough = pytest.mark.timeout(0)(AwsSteps.TestCase)
TestWhatAmazonsGroupsLetThrough.settings = settings(max_examples=max(1, settings().max_examples // 32))
