"""Protecting an instance: one group of its own, and others' rules only with consent."""

from tests.connectors.aws.scene import ANYWHERE, Scene
from tests.house import HOUR


async def test_protecting_attaches_one_group_that_lets_nothing_in_or_out(scene: Scene) -> None:
    await scene.protect("web-1")
    group = scene.own_group("web-1")
    assert group is not None
    assert set(scene.groups_of("web-1")) == {scene.shared, group}
    assert scene.groups_of("web-2") == [scene.shared]
    found = scene.client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert found["GroupName"] == f"jitgate-{scene.instances['web-1']}"
    assert not found["IpPermissions"]
    assert not found["IpPermissionsEgress"], "a group of ours must not let the machine reach more than before"
    assert await scene.problems("web-1") == {""}


async def test_opening_adds_one_rule_to_the_own_group_and_closing_takes_it_away(scene: Scene) -> None:
    await scene.protect("web-1")
    scene.weather.calls.clear()
    grant = await scene.open("web-1", "198.51.100.7")
    assert scene.own("web-1") == {("tcp", 22, 22, "198.51.100.7/32")}
    assert scene.weather.writes() == ["authorize_security_group_ingress"]
    scene.weather.calls.clear()
    await scene.house.close_early(grant.uid)
    assert scene.own("web-1") == set()
    assert scene.weather.writes() == ["revoke_security_group_ingress"]


async def test_rules_of_others_are_left_alone_until_somebody_agrees(scene: Scene) -> None:
    scene.allow(ANYWHERE, says="for everybody")
    await scene.protect("web-1")
    assert ("tcp", 22, 22, ANYWHERE) in scene.lets(scene.shared)
    [problem] = await scene.problems("web-1")
    assert "web" in problem
    assert "jitgate machine agree" in problem
    await scene.agree("web-1")
    assert scene.lets(scene.shared) == set()
    assert await scene.problems("web-1") == {""}


async def test_a_range_is_split_and_comes_back_exactly(scene: Scene) -> None:
    scene.allow("10.9.0.0/16", 0, 65535, says="the office")
    [before] = scene.rules(scene.shared)
    await scene.protect("web-1", ports=(22, 3389))
    await scene.agree("web-1")
    assert scene.lets(scene.shared) == {
        ("tcp", 0, 21, "10.9.0.0/16"),
        ("tcp", 23, 3388, "10.9.0.0/16"),
        ("tcp", 3390, 65535, "10.9.0.0/16"),
    }
    await scene.release()
    [after] = scene.rules(scene.shared)
    ids = {"SecurityGroupRuleId", "SecurityGroupRuleArn"}
    assert {k: v for k, v in before.items() if k not in ids} == {k: v for k, v in after.items() if k not in ids}


async def test_all_traffic_is_split_into_what_amazon_can_say(scene: Scene) -> None:
    scene.allow("10.9.0.0/16", protocol="-1")
    await scene.protect("web-1")
    await scene.agree("web-1")
    assert scene.lets(scene.shared) == {
        ("tcp", 0, 21, "10.9.0.0/16"),
        ("tcp", 23, 65535, "10.9.0.0/16"),
        ("udp", 0, 65535, "10.9.0.0/16"),
        ("icmp", -1, -1, "10.9.0.0/16"),
    }
    await scene.release()
    assert {each[0] for each in scene.lets(scene.shared)} == {"-1"}


async def test_a_shared_group_is_put_back_by_the_last_machine_that_needs_it(scene: Scene) -> None:
    scene.allow(ANYWHERE)
    await scene.protect("web-1", "web-2")
    await scene.agree("web-1")
    await scene.pass_time(HOUR)
    assert await scene.problems("web-2") == {""}
    await scene.protect("web-2")
    await scene.pass_time(HOUR)
    assert scene.lets(scene.shared) == set()
    await scene.release()
    assert scene.lets(scene.shared) == {("tcp", 22, 22, ANYWHERE)}


async def test_releasing_takes_away_only_what_is_ours(scene: Scene) -> None:
    scene.allow("10.1.0.0/16", 443)
    await scene.protect("web-1")
    await scene.open("web-1", "198.51.100.7")
    await scene.release()
    assert scene.own_group("web-1") is None
    assert scene.groups_of("web-1") == [scene.shared]
    assert scene.lets(scene.shared) == {("tcp", 443, 443, "10.1.0.0/16")}
