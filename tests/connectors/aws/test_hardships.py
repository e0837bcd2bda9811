"""What can go wrong with Amazon: throttling, views that lag, full groups, other hands, and death at any call."""

import os
from datetime import timedelta

import pytest
from tests.connectors.aws.scene import ANYWHERE, BOB, Scene
from tests.house import HOUR, lasting
from tests.stateful.worlds import Killed

from jitgate.core.access import CloseReason, State
from jitgate.core.errors import Invalid
from jitgate.service import alterations, grants, policies
from jitgate.testing.aws.checks import refuse
from jitgate.testing.aws.strict import Fault

LONG_PROFILE = os.environ.get("JITGATE_PROFILE") == "long"


async def test_two_grants_of_one_source_share_a_rule_and_the_end_of_one_leaves_the_other(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", BOB, span=lasting("1h"))
    carol = await scene.house.add_asker("carol", "Owner")
    ask = {"sources": [BOB], "span": lasting("2h"), "by": carol}
    await scene.house.open(scene.instances["web-1"], **ask)  # type: ignore[arg-type]
    assert len(scene.own("web-1")) == 1
    await scene.pass_time(timedelta(minutes=61))
    assert scene.own("web-1") == {("tcp", 22, 22, f"{BOB}/32")}
    await scene.pass_time(HOUR)
    assert scene.own("web-1") == set()


async def test_a_wide_source_makes_a_narrow_one_need_no_rule_until_it_ends(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", "198.51.100.0/24", span=lasting("1h"))
    carol = await scene.house.add_asker("carol", "Owner")
    await scene.house.open(scene.instances["web-1"], sources=[BOB], span=lasting("30m"), by=carol)
    assert {each[3] for each in scene.own("web-1")} == {"198.51.100.0/24"}
    await scene.house.open(scene.instances["web-1"], sources=[BOB, "2001:db8::7"], span=lasting("2h"), by=carol)
    assert {each[3] for each in scene.own("web-1")} == {"198.51.100.0/24", f"{BOB}/32", "2001:db8::7/128"}
    await scene.pass_time(timedelta(minutes=61))
    assert {each[3] for each in scene.own("web-1")} == {f"{BOB}/32", "2001:db8::7/128"}


async def test_a_full_group_refuses_and_says_what_fills_it_and_v6_has_room_of_its_own(scene: Scene) -> None:
    await scene.protect("web-1")
    scene.weather.rules_per_group = 2
    first = await scene.open("web-1", "192.0.2.0", "192.0.2.2")
    late = await scene.open("web-1", BOB)
    assert (late.state, late.reason) == (State.CLOSED, CloseReason.FAILED)
    view = await scene.house.view(late.uid)
    assert "tcp/22 from 192.0.2.0/32 until" in view.detail
    assert f"filled by the grants {first.uid} (port 22)" in view.detail
    assert len(scene.own("web-1")) == 2
    six = await scene.open("web-1", "2001:db8::7")
    assert six.state is State.OPEN


async def test_throttled_closes_are_tried_until_they_are_done(scene: Scene) -> None:
    await scene.protect("web-1")
    grant = await scene.open("web-1", span=lasting("1h"))
    scene.weather.throttled = 3
    for _ in range(20):
        await scene.pass_time(timedelta(minutes=5))
    assert scene.own("web-1") == set()
    assert (await scene.house.grant(grant.uid)).state is State.CLOSED


async def test_views_that_lag_are_looked_at_again(scene: Scene) -> None:
    await scene.protect("web-1")
    scene.weather.lag = 2
    grant = await scene.open("web-1", span=lasting("1h"))
    assert grant.state is State.OPEN
    assert scene.own("web-1") == {("tcp", 22, 22, f"{BOB}/32")}
    await scene.house.close_early(grant.uid)
    assert (await scene.house.grant(grant.uid)).state is State.CLOSED
    assert scene.own("web-1") == set()


async def test_small_pages_hide_nothing(scene: Scene) -> None:
    for name in ("web-3", "web-4", "web-5"):
        scene.instances[name] = scene.add_instance(name)
    scene.weather.page = 1
    await scene.discover()
    assert {machine.name for machine in scene.house.machines} == {f"web-{n}" for n in range(1, 6)}


async def test_a_machine_without_a_free_group_slot_is_refused_with_the_reason(scene: Scene) -> None:
    groups = [scene.add_group(f"group-{n}") for n in range(5)]
    scene.instances["full"] = scene.add_instance("full", groups)
    await scene.discover()
    assert "none is free" in scene.machine("full").unsupported
    with pytest.raises(Invalid, match="none is free"):
        await policies.enable_machines(scene.house.service, scene.house.alice, ["full"])


async def test_another_hand_in_our_group_is_found_and_put_right(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", span=lasting("3h"))
    group = scene.own_group("web-1")
    assert group is not None
    [ours] = scene.rules(group)
    scene.client.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[ours["SecurityGroupRuleId"]])
    scene.allow(ANYWHERE, 22, group=group)
    await scene.pass_time(HOUR)
    assert scene.own("web-1") == {("tcp", 22, 22, f"{BOB}/32")}
    assert "removed tcp 22 from 0.0.0.0/0" in str((await scene.house.events())[-3:])


async def test_a_rule_that_others_add_later_is_told_as_exposure_and_left_alone(scene: Scene) -> None:
    await scene.protect("web-1")
    scene.allow(ANYWHERE)
    await scene.pass_time(HOUR)
    [problem] = await scene.problems("web-1")
    assert "tcp 22 from 0.0.0.0/0" in problem
    assert scene.lets(scene.shared) == {("tcp", 22, 22, ANYWHERE)}


async def test_a_terminated_machine_leaves_nothing_of_ours(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1")
    scene.terminate("web-1")
    await scene.discover()
    await scene.pass_time(HOUR)
    assert scene.own_group("web-1") is None
    assert not await scene.house.live()


async def test_nobodys_group_is_lost_when_ours_is_attached(scene: Scene) -> None:
    other = scene.add_group("other")
    [interface] = scene.client.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [scene.instances["web-1"]]}]
    )["NetworkInterfaces"]
    scene.client.modify_network_interface_attribute(
        NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=[scene.shared, other]
    )
    await scene.protect("web-1")
    assert {scene.shared, other} < set(scene.groups_of("web-1"))


@pytest.mark.parametrize(
    ("error", "after", "numbers"),
    [
        (refuse("InternalError", "no"), True, (5,)),
        (Killed(), False, (9,)),
        (Killed(), True, (3,)),
    ],
)
async def test_however_any_call_ends_nothing_is_lost_and_all_comes_right(
    error: BaseException, after: bool, numbers: tuple[int, ...]
) -> None:
    """The life of a protected machine, cut short at a call; the long profile does so at each of its calls in turn."""
    async with Scene("web-1") as scene:
        scene.allow("10.9.0.0/16", 0, 1023, says="the office")
        original = scene.lets(scene.shared)
        await scene.protect("web-1")
        for number in range(1, 200) if LONG_PROFILE else numbers:
            scene.weather.calls.clear()
            scene.weather.faults = {number: Fault(error, after=after)}
            await life(scene, original)
            if len(scene.weather.calls) < number:
                break


async def life(scene: Scene, original: set[tuple[str, int, int, str]]) -> None:
    """Agree, open, close, release, protect again: each may be cut short, and comes right in the end."""
    await survive(scene)
    if await waits(scene):
        await scene.agree_only("web-1")
    await survive(scene)
    assert ("tcp", 0, 21, "10.9.0.0/16") in scene.lets(scene.shared)
    asked = await scene.house.ask(scene.instances["web-1"], sources=[BOB])
    await survive(scene)
    assert scene.own("web-1") == {("tcp", 22, 22, f"{BOB}/32")}
    assert not scene.lets_out("web-1")
    await grants.close_grant(scene.house.service, scene.house.alice, asked.grants[0].grant.uid)
    await survive(scene)
    assert scene.own("web-1") == set()
    await scene.house.put_only()
    await survive(scene)
    assert scene.lets(scene.shared) == original
    assert scene.own_group("web-1") is None
    await scene.house.put_only(scene.part("web-1"))
    await survive(scene)


async def survive(scene: Scene) -> None:
    """Reconcile until all stands, by another process where one dies."""
    for _ in range(2):
        try:
            await scene.pass_time(timedelta(minutes=6))
        except Killed:
            scene.begin_anew()


async def waits(scene: Scene) -> bool:
    return bool((await alterations.get_alterations(scene.house.service, scene.house.alice, "web-1")).digest)
