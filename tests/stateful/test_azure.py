"""The state machine against groups, and an Azure Firewall, in a fake Azure over HTTP: so there are fewer steps."""

import pytest
from hypothesis import settings
from tests.stateful.azure import AzureWorld
from tests.stateful.azure_firewall import AzureFirewallWorld
from tests.stateful.steps import Steps


class AzureSteps(Steps):
    make_world = AzureWorld


TestWhatAzuresGroupsLetThrough = pytest.mark.timeout(0)(AzureSteps.TestCase)
TestWhatAzuresGroupsLetThrough.settings = settings(max_examples=max(4, settings().max_examples // 8))


class AzureFirewallSteps(Steps):
    make_world = AzureFirewallWorld


TestWhatAnAzureFirewallLetsThrough = pytest.mark.timeout(0)(AzureFirewallSteps.TestCase)
TestWhatAnAzureFirewallLetsThrough.settings = settings(max_examples=max(4, settings().max_examples // 8))
