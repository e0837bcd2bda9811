"""The group that was made for one instance, on another: as "Launch more like this" copies it."""

from tests.connectors.aws.scene import ANYWHERE, BOB, Scene
from tests.house import HOUR

from jitgate.connectors.aws.world import MARK
from jitgate.core.exposure import Reach
from jitgate.service import alterations

OPEN = ("tcp", 22, 22, f"{BOB}/32")


async def test_a_group_of_another_instance_is_told_as_exposure_and_taken_off_once_somebody_agrees(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", BOB)
    group = copied(scene)
    await scene.discover()
    [exposure] = scene.machine("web-2").exposure
    [rule] = scene.rules(group)
    assert (exposure.port, exposure.rules) == (22, (rule["SecurityGroupRuleId"],))
    assert exposure.reach is not Reach.ANYONE

    await scene.protect("web-1", "web-2")
    await scene.pass_time(HOUR)
    [problem] = await scene.problems("web-2")
    assert f"jitgate-{scene.instances['web-1']} ({group})" in problem
    assert "jitgate machine agree" in problem
    assert group in scene.groups_of("web-2"), "nothing is done before somebody agrees"
    [what] = await waiting(scene, "web-2")
    assert f"({group}), which was made for {scene.instances['web-1']}, is taken off" in what
    assert f"{interface(scene, 'web-2')} of {scene.instances['web-2']}" in what
    assert await waiting(scene, "web-1") == [], "it is no matter of the other instance"

    await scene.agree("web-2")
    assert group not in scene.groups_of("web-2")
    assert scene.own_group("web-2") in scene.groups_of("web-2")
    assert await scene.problems("web-2") == {""}
    assert scene.own("web-1") == {OPEN}, "who has a grant there goes on"
    assert group in scene.groups_of("web-1")
    await scene.pass_time(HOUR)
    assert group not in scene.groups_of("web-2")


async def test_also_while_nothing_is_open_there_the_machine_does_not_count_as_protected(scene: Scene) -> None:
    await scene.protect("web-1", "web-2")
    copied(scene)
    await scene.pass_time(HOUR)
    [problem] = await scene.problems("web-2")
    assert "another instance's group" in problem
    assert await scene.problems("web-1") == {""}


async def test_a_group_that_comes_back_is_taken_off_again(scene: Scene) -> None:
    await scene.protect("web-1", "web-2")
    group = copied(scene)
    await scene.pass_time(HOUR)
    await scene.agree("web-2")
    copied(scene)
    await scene.pass_time(HOUR)
    assert group not in scene.groups_of("web-2")
    assert await scene.problems("web-2") == {""}


async def test_letting_go_puts_it_back_and_of_one_that_is_gone_there_is_nothing_to_put_back(scene: Scene) -> None:
    await scene.protect("web-1", "web-2")
    group = copied(scene)
    await scene.pass_time(HOUR)
    await scene.agree("web-2")
    await scene.protect("web-1")
    await scene.pass_time(HOUR)
    assert set(scene.groups_of("web-2")) == {scene.shared, group}

    await scene.protect("web-1", "web-2")
    await scene.pass_time(HOUR)
    await scene.agree("web-2")
    await scene.protect("web-2")
    await scene.pass_time(HOUR)
    assert scene.own_group("web-1") is None
    await scene.release()
    await scene.pass_time(HOUR)
    assert scene.groups_of("web-2") == [scene.shared]
    view = await alterations.get_alterations(scene.house.service, scene.house.alice, "web-2")
    assert not view.kept


async def test_a_tag_that_somebody_sets_makes_no_group_ours(scene: Scene) -> None:
    """Not the instance's own, and not another's: a group of others, whose rules are others'."""
    for tag in (scene.instances["web-1"], "true"):
        scene.client.create_tags(Resources=[scene.shared], Tags=[{"Key": MARK, "Value": tag}])
        scene.allow(ANYWHERE, 22 if tag == "true" else 3389)
        await scene.protect("web-1", ports=(22, 3389))
        await scene.pass_time(HOUR)
        assert f"from {ANYWHERE}" in str(await scene.problems("web-1"))
        assert scene.lets(scene.shared)
        await scene.agree("web-1")
        assert scene.lets(scene.shared) == set()
        assert await scene.problems("web-1") == {""}


def copied(scene: Scene) -> str:
    """The own group of the first instance, which somebody puts on the second as well."""
    group = scene.own_group("web-1")
    assert group is not None
    scene.attach("web-2", group)
    return group


async def waiting(scene: Scene, name: str) -> list[str]:
    """What waits for consent at a machine."""
    view = await alterations.get_alterations(scene.house.service, scene.house.alice, name)
    return [each.alteration.what for each in view.kept]


def interface(scene: Scene, name: str) -> str:
    """The interface of an instance."""
    [found] = scene.client.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [scene.instances[name]]}]
    )["NetworkInterfaces"]
    made: str = found["NetworkInterfaceId"]
    return made
