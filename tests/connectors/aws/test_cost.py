"""What it costs in calls."""

from datetime import timedelta

from tests.connectors.aws.scene import Scene

from jitgate.store import scopes


async def test_a_sweep_looks_once_at_a_region_however_many_machines_there_are(scene: Scene) -> None:
    for name in ("web-3", "web-4", "web-5", "web-6"):
        scene.instances[name] = scene.add_instance(name)
    await scene.discover()
    await scene.protect(*scene.instances)
    await scene.house.store.write(scopes.sweep_all)
    scene.house.clock.advance(timedelta(minutes=1))
    scene.weather.calls.clear()
    await scene.house.settle()
    assert len(scene.weather.calls) <= 6
    assert not scene.weather.writes()
