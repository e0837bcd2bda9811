"""Killed at any call, or any call gone wrong: nothing is open past its deadline plus one sweep, nothing is lost."""

import os
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.connectors.aws.scene import ANYWHERE, BOB, Scene
from tests.connectors.deaths import dies_at, run_child
from tests.house import HOUR, lasting
from tests.stateful.worlds import Killed

from jitgate.connectors.aws import calls, editing
from jitgate.store import scopes
from jitgate.testing.aws.checks import refuse
from jitgate.testing.aws.server import serve
from jitgate.testing.aws.strict import Fault

FAILPOINTS = ("aws.after_call", "aws.before_call")
LONG_PROFILE = os.environ.get("JITGATE_PROFILE") == "long"
SEQUENCES = 1000 if LONG_PROFILE else 3
REAL_DEATHS = range(1, 30) if LONG_PROFILE else (16,)
STEP = 1 if LONG_PROFILE else 16
SWEEP = timedelta(minutes=5, seconds=10)
PATIENCE = timedelta(minutes=4)
"""Back-offs of a minute that a failure just before the end may have left."""
ORIGINAL = {("tcp", 0, 1023, ANYWHERE)}
FAULTS = (
    Fault(refuse("RequestLimitExceeded", "Request limit exceeded.")),
    Fault(refuse("InternalError", "An internal error has occurred.")),
    Fault(refuse("InternalError", "An internal error has occurred."), after=True),
    Fault(refuse("Unavailable", "The service is unavailable."), after=True),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve() as served:
        yield served.url


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region here shows at once what was done to it."""
    monkeypatch.setattr(editing, "_PAUSES", (0.0,) * 4)


@pytest.mark.parametrize(("first", "name"), list(enumerate(FAILPOINTS, start=1)))
async def test_killed_at_any_call_nothing_is_open_past_its_deadline_plus_a_sweep_and_all_is_given_back(
    first: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = first
    while await told_until(at, name, monkeypatch):
        at += STEP
    assert at >= 30, "the story has so many calls at least"


@pytest.mark.parametrize("hit", REAL_DEATHS)
@pytest.mark.parametrize("name", FAILPOINTS)
async def test_a_process_that_is_killed_for_real_is_followed_by_one_that_shuts(name: str, hit: int, url: str) -> None:
    async with Scene("web-1") as scene:
        scene.allow(ANYWHERE, 0, 1023)
        await scene.protect("web-1")
        # Not reconciled here: the process that dies alters what others made, opens, and shuts.
        await scene.agree_only("web-1")
        await scene.house.ask(scene.instances["web-1"], sources=[BOB], span=lasting("1h"))
        scene.house.store.close()
        ended = await run_child("aws", scene.house.directory, url, f"{name}:{hit}")
        assert ended.returncode == -9 or LONG_PROFILE, ended.stderr
        scene.house.store = scene.house.open_store()
        scene.begin_anew()
        scene.house.clock.advance(2 * HOUR + SWEEP)
        await scene.house.settle()
        await assert_all_shut_and_given_back(scene)


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_whatever_goes_wrong_at_every_call_all_is_shut_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    async with Scene("web-1") as scene:
        scene.allow(ANYWHERE, 0, 1023)
        await scene.protect("web-1")
        await scene.agree_only("web-1")
        scene.weather.chance = lambda: chance.choice(FAULTS) if chance.random() < 0.3 else None
        await scene.house.ask(scene.instances["web-1"], sources=[BOB], span=lasting("1h"))
        await scene.house.ask(scene.instances["web-1"], sources=["2001:db8::7"], span=lasting("2h"))
        for _ in range(8):
            await scene.pass_time(timedelta(minutes=chance.choice((1, 2, 9))))
            if chance.random() < 0.2:
                scene.begin_anew()
        scene.weather.chance = None
        await scene.pass_time(2 * HOUR)
        await scene.pass_time(SWEEP + PATIENCE)
        assert await scene.house.live() == []
        await assert_all_shut_and_given_back(scene)


async def told_until(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell the story, dead at one call. False: it has no so manyth call."""
    async with Scene("web-1") as scene:
        scene.allow(ANYWHERE, 0, 1023)
        monkeypatch.setattr(calls, "failpoint", dies_at(number, name))
        has_died = False
        try:
            await story(scene)
        except Killed:
            has_died = True
        monkeypatch.setattr(calls, "failpoint", lambda _name: None)
        scene.begin_anew()
        scene.house.clock.advance(timedelta(seconds=31))  # The lease of the dead.
        await scene.pass_time(SWEEP)
        await assert_kept(scene)
        await scene.pass_time(3 * HOUR)
        await scene.pass_time(SWEEP)
        await assert_all_shut_and_given_back(scene)
        return has_died


async def story(scene: Scene) -> None:
    """Protect, agree, open, open more, let one end."""
    await scene.protect("web-1")
    await scene.agree("web-1")
    await scene.open("web-1", BOB, span=lasting("1h"))
    await scene.open("web-1", "2001:db8::7", span=lasting("2h"))
    await scene.pass_time(HOUR)


async def assert_kept(scene: Scene) -> None:
    """What is granted is open, and nothing else."""
    live = {source for grant in await scene.house.live() for source in grant.sources}
    assert {source for _, _, _, source in scene.own("web-1")} == live


async def assert_all_shut_and_given_back(scene: Scene) -> None:
    """Nothing is open; and once nothing is protected, what others made is as it was, and nothing of ours is left."""
    assert scene.own("web-1") == set()
    await scene.house.store.write(lambda tx: scopes.all_due(tx, ["aws"]))
    await scene.release()
    await scene.pass_time(SWEEP)
    assert scene.lets(scene.shared) == ORIGINAL
    assert scene.own_group("web-1") is None
