"""Letting go of an instance: nothing counts as shut, or as gone, by what was seen before."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.connectors.aws.scene import ANYWHERE, BOB, Scene
from tests.house import HOUR

from jitgate.connectors.base import Done, Plan, Report
from jitgate.core.access import State
from jitgate.core.desired import AccessKey, Desired, Protocol
from jitgate.core.prefixes import canonical
from jitgate.store import scopes


@pytest.mark.parametrize("is_asked", [True, False], ids=["a key that was asked about", "everything"])
async def test_a_port_that_another_process_opened_a_moment_ago_is_shut_before_it_is_called_so(
    scene: Scene, is_asked: bool
) -> None:
    other = scene.make_connector()
    await other.discover()
    await scene.protect("web-1")
    await scene.open("web-1", BOB)
    assert scene.own("web-1")
    key = AccessKey(scene.machine("web-1").uuid, 22, Protocol.TCP, canonical(BOB))
    # The last look that left nothing was two looks ago.
    wanted = desired(scene, {key: None} if is_asked else {}, generation=7)
    outcome = await other.apply(Plan(wanted, (), memory={"letGo": 6 if is_asked else 5}))
    report = told(outcome)
    assert report.complete
    assert report.shut == frozenset(wanted.access)
    assert scene.own("web-1") == set()
    assert scene.own_group("web-1") is None
    assert scene.groups_of("web-1") == [scene.shared]
    await other.close()


async def test_what_a_gone_machines_group_is_held_fast_by_lets_nobody_in_through_it(scene: Scene) -> None:
    await scene.protect("web-1")
    grant = await scene.open("web-1", BOB)
    group = scene.own_group("web-1")
    assert group is not None
    scene.attach("web-2", group)
    scene.terminate("web-1")
    await scene.discover()
    await scene.pass_time(HOUR)
    assert (await scene.house.grant(grant.uid)).state is State.CLOSED
    assert scene.own_group("web-1") == group, "web-2 has it"
    assert scene.lets(group) == set()


async def test_machines_that_nothing_protects_cost_a_look_at_the_region_and_no_more(scene: Scene) -> None:
    for name in ("web-3", "web-4", "web-5", "web-6"):
        scene.instances[name] = scene.add_instance(name)
    scene.weather.calls.clear()
    await scene.discover()
    assert len(scene.weather.calls) <= 5
    for _ in range(2):
        await scene.house.store.write(scopes.sweep_all)
        scene.house.clock.advance(timedelta(minutes=1))
        scene.weather.calls.clear()
        await scene.house.settle()
    assert len(scene.weather.calls) <= 5


async def test_a_group_that_somebody_marks_as_ours_goes_with_the_next_sweep(scene: Scene) -> None:
    """The last look left nothing; what is there now, a hand has put there."""
    await scene.pass_time(HOUR)
    name = scene.instances["web-1"]
    group = scene.add_group(f"jitgate-{name}")
    scene.client.create_tags(Resources=[group], Tags=[{"Key": "jitgate", "Value": name}])
    scene.allow(ANYWHERE, group=group)
    scene.attach("web-1", group)
    await scene.pass_time(HOUR)
    assert scene.own_group("web-1") is None


def desired(scene: Scene, access: Mapping[AccessKey, None], generation: int) -> Desired:
    """Nothing of a machine is protected, and nothing open."""
    machine = scene.machine("web-1")
    now = scene.house.clock.wall()
    return Desired(machine.scope, generation, now, frozenset({machine.uuid}), {}, dict(access), complete=True)


def told(outcome: object) -> Report:
    assert isinstance(outcome, Done)
    return outcome.report
