"""The policies in deploy/aws allow what is called, and nothing else; and what is missing is named."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.connectors.aws.scene import ANYWHERE, Scene
from tests.house import HOUR, lasting

from jitgate.connectors.aws import overdue, permissions
from jitgate.connectors.aws.world import MARK
from jitgate.service import grants

DEPLOY = Path(__file__).parents[3] / "deploy" / "aws"


def statements(name: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads((DEPLOY / name).read_text("utf-8"))["Statement"]
    return found


def actions(found: Iterable[Mapping[str, Any]]) -> set[str]:
    listed = (each["Action"] for each in found)
    return {action for one in listed for action in ([one] if isinstance(one, str) else one)}


def called(scene: Scene) -> set[str]:
    """What was called, as actions: `describe_instances` is `ec2:DescribeInstances`."""
    return {"ec2:" + "".join(map(str.capitalize, call.split("_"))) for call in scene.weather.calls}


async def test_finding_machines_and_previewing_take_the_reading_policy_alone(scene: Scene) -> None:
    assert called(scene) <= actions(statements("discover.json"))
    assert not scene.weather.writes()


async def test_the_policies_allow_just_what_a_whole_life_calls(scene: Scene) -> None:
    scene.allow(ANYWHERE, 0, 1023)
    await scene.protect("web-1")
    await scene.agree("web-1")
    grant = await scene.open("web-1", span=lasting("1h"))
    await grants.extend_grant(scene.house.service, scene.house.alice, grant.uid, lasting("2h"))
    await scene.house.settle()
    await scene.pass_time(3 * HOUR)
    await scene.release()
    allowed = actions(statements("discover.json")) | actions(statements("enforce.json"))
    assert called(scene) == allowed
    assert allowed == {*permissions.READS, *permissions.WRITES}


async def test_a_sweep_takes_its_own_policy_alone_which_reaches_nothing_but_what_carries_our_tag(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", span=lasting("1h"))
    scene.weather.calls.clear()
    await overdue.sweep(scene.connector.accounts, scene.house.clock.wall() + 2 * HOUR)
    assert scene.own("web-1") == set()
    assert called(scene) == actions(statements("sweep.json"))
    [revoke] = [each for each in statements("sweep.json") if "Revoke" in str(each["Action"])]
    assert revoke["Condition"] == {"StringLike": {f"aws:ResourceTag/{MARK}": "i-*"}}
    group = scene.own_group("web-1")
    [found] = scene.client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert {"Key": MARK, "Value": scene.instances["web-1"]} in found["Tags"]


def test_the_template_gives_just_the_same_policies() -> None:
    template = yaml.safe_load((DEPLOY / "jitgate.yaml").read_text("utf-8"))["Resources"]
    assert template["Discover"]["Properties"]["PolicyDocument"]["Statement"] == statements("discover.json")
    assert template["EnforcePolicy"]["Properties"]["PolicyDocument"]["Statement"] == statements("enforce.json")
    [trust] = template["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}


@pytest.mark.parametrize("denied", ["describe_network_acls", "modify_network_interface_attribute", "create_tags"])
async def test_each_missing_permission_is_named(scene: Scene, denied: str) -> None:
    assert await scene.connector.missing_permissions() == ()
    scene.weather.denied = frozenset({denied})
    [missing] = await scene.connector.missing_permissions()
    action = "ec2:" + "".join(map(str.capitalize, denied.split("_")))
    assert missing == f"{action} in eu-west-1 of account 123456789012"


async def test_trying_permissions_changes_nothing(scene: Scene) -> None:
    before = scene.client.describe_security_groups()["SecurityGroups"]
    await scene.connector.missing_permissions()
    assert scene.client.describe_security_groups()["SecurityGroups"] == before
