"""Against a real account, for those who have one; deselected unless ``JITGATE_LIVE_AWS`` names a security group.

``JITGATE_LIVE_AWS=REGION/GROUP pytest -m live_aws``, signed in as botocore finds it. The group must hold no rule for
what comes in. What is written into it is removed again.
"""

import os
from datetime import UTC, datetime, timedelta

import pytest

from jitgate.connectors.aws import editing, own, permissions, world
from jitgate.connectors.aws.calls import Accounts
from jitgate.connectors.aws.settings import Settings
from jitgate.core.desired import AccessKey, Desired, Protocol
from jitgate.core.prefixes import Prefix

pytestmark = [pytest.mark.live_aws, pytest.mark.timeout(300)]
INSTANCE = "i-00000000000000000"


async def test_a_rule_opens_and_closes_and_every_permission_is_there() -> None:
    region, group = os.environ["JITGATE_LIVE_AWS"].split("/")
    accounts = Accounts(Settings((region,)))
    [ec2] = await accounts.each()
    assert await permissions.missing(ec2) == []
    assert not [rule for rule in await world.read_rules(ec2, group) if not rule.is_egress]
    now = datetime.now(UTC)
    keys = [AccessKey("machine", 22, Protocol.TCP, Prefix(one)) for one in ("203.0.113.7/32", "2001:db8::7/128")]
    wanted = Desired("scope", 1, now, frozenset(), {}, dict.fromkeys(keys, now + timedelta(minutes=5)))
    needed = own.holes(own.wanted(wanted))
    try:
        rules, _ = await editing.make_so(ec2, group, INSTANCE, needed, wanted)
        assert {own.hole_of(rule) for rule in rules} == needed.keys()
    finally:
        shut = Desired("scope", 2, now, frozenset(), {}, dict.fromkeys(keys, None))
        assert (await editing.make_so(ec2, group, INSTANCE, {}, shut))[0] == []
        accounts.close()
