"""The loop finds what is to be done: by a wake, by the time, by a sweep; and no failure ends it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from tests.house import HOUR, MINUTE, House, lasting, part
from tests.reconcile.conftest import Running

from jitgate.connectors.base import Outcome, Plan
from jitgate.core.access import CloseReason, State
from jitgate.core.errors import Unavailable
from jitgate.reconcile import claim, loop, record
from jitgate.service import grants
from jitgate.store import scopes
from jitgate.store.database import Tx

T = TypeVar("T")


async def test_a_request_is_reconciled_as_soon_as_it_is_committed(house: House, running: Running) -> None:
    await house.put(part("web-1"))
    asked = await house.ask("web-1")
    await running.wait()
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN
    assert house.reaches("web-1")


async def test_a_grant_expires_though_nobody_wakes_anything(house: House, running: Running) -> None:
    await house.put(part("web-1"))
    asked = await house.ask("web-1", span=lasting("1h"))
    await running.wait()
    await running.wait(HOUR, MINUTE)
    assert (await house.grant(asked.grants[0].grant.uid)).reason is CloseReason.EXPIRED


async def test_a_lost_wake_is_found_by_the_time_that_is_on_record(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    await running.wait()
    monkeypatch.setattr(house.store.woken, "fire", lambda woken: None)
    asked = await house.ask("web-1")
    await running.wait()
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN
    await grants.close_grant(house.service, house.alice, asked.grants[0].grant.uid)
    await running.wait()
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.CLOSED


async def test_a_start_puts_right_whatever_happened_while_nobody_ran(house: House, running: Running) -> None:
    """Case CL3: every process was down from before the end until after it."""
    await house.put(part("web-1"))
    grant = await house.open("web-1", span=lasting("1h"))
    house.reconciler.stop()
    await running.task
    house.firewall.flush("memory/web-1")
    house.clock.advance(2 * HOUR)
    again = house.make_reconciler("second")
    task = asyncio.create_task(again.run())
    async with asyncio.timeout(60):
        while (await house.grant(grant.uid)).state is not State.CLOSED:  # noqa: ASYNC110 - a row, and no event
            await asyncio.sleep(0.01)
    again.stop()
    await task
    assert (await house.grant(grant.uid)).reason is CloseReason.EXPIRED
    assert not house.reaches("web-1")


async def test_what_is_asked_while_a_pass_is_under_way_is_not_forgotten(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    await running.wait()
    held = Held(house, monkeypatch)
    first = await house.ask("web-1", sources=["192.0.2.1"])
    await held.is_reached()
    second = await house.ask("web-1", sources=["192.0.2.2"])
    await house.put_only(part("web-1"), part("web-2"))
    held.release.set()
    await running.wait()
    for asked in (first, second):
        assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN
    assert not house.reaches("web-2")


async def test_a_policy_written_while_a_sweep_is_under_way_is_enforced_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(house, monkeypatch)
    await house.sweep_soon("web-1")
    sweep = asyncio.create_task(house.reconciler.reconcile("memory/web-1"))
    await held.is_reached()
    await house.put_only(part("web-1"))
    held.release.set()
    await sweep
    await house.settle()
    assert not house.reaches("web-1")


async def test_nothing_is_done_again_and_again_where_nothing_changes(house: House, running: Running) -> None:
    await house.put(part("web-1"))
    await house.ask("web-1")
    await running.wait()
    before = await house.generation("web-1")
    await asyncio.sleep(0.2)
    assert await house.generation("web-1") == before


async def test_a_slow_firewall_is_waited_for_and_not_asked_meanwhile(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    await running.wait()
    held = Held(house, monkeypatch)
    asked = await house.ask("web-1")
    await held.is_reached()
    await house.ask("web-1", sources=["192.0.2.1"])
    looks = Counted(house, monkeypatch)
    await asyncio.sleep(0.1)
    assert looks.count < 100, "it looks once in a while, and not all the time"
    before = await house.generation("web-1")
    held.release.set()
    await running.wait()
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN
    assert await house.generation("web-1") <= before + 2


async def test_one_slow_firewall_holds_up_no_other(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"), part("web-2"))
    await running.wait()
    held = Held(house, monkeypatch, scope="memory/web-1")
    await house.ask("web-1")
    await held.is_reached()
    asked = await house.ask("web-2")
    await running.wait()
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN
    held.release.set()
    await running.wait()


async def test_a_firewall_that_hangs_is_given_up_before_the_lease_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    reconciler = house.make_reconciler("first", lease_length=timedelta(milliseconds=100))
    held = Held(house, monkeypatch)
    asked = await house.ask("web-1")
    await asyncio.wait_for(reconciler.reconcile("memory/web-1"), 60)
    assert held.reached.is_set()
    assert (await house.view(asked.grants[0].grant.uid)).detail == "the connector broke: TimeoutError"


@pytest.mark.parametrize("door", ["read", "write"])
async def test_the_loop_outlives_a_database_that_does_not_answer(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    await house.put(part("web-1"))
    asked = await house.ask("web-1", span=lasting("1h"))
    await running.wait()
    broken = Outage(house, monkeypatch, door, Unavailable("the disk is full"))
    await running.wait(HOUR, HOUR)
    assert not house.reaches("web-1"), "the firewall keeps its deadline"
    broken.mend()
    await running.wait(5 * MINUTE, MINUTE)
    assert (await house.grant(asked.grants[0].grant.uid)).reason is CloseReason.EXPIRED
    assert any("database does not answer" in str(line["event"]) for line in running.told)


@pytest.mark.parametrize("door", ["read", "write"])
async def test_the_loop_outlives_an_error_that_nobody_thought_of(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    await house.put(part("web-1"))
    asked = await house.ask("web-1", span=lasting("1h"))
    await running.wait()
    broken = Outage(house, monkeypatch, door, RuntimeError("a bug"))
    await running.wait(HOUR, HOUR)
    broken.mend()
    await running.wait(5 * MINUTE, MINUTE)
    assert (await house.grant(asked.grants[0].grant.uid)).reason is CloseReason.EXPIRED


@pytest.mark.parametrize("half", ["claim", "record"])
async def test_a_pass_that_cannot_be_recorded_is_repeated_soon(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    await house.put(part("web-1"))
    await running.wait()
    failures = iter([Unavailable("the disk is full"), RuntimeError("a bug")])
    module, name = (claim, "claim") if half == "claim" else (record, "done")
    real = getattr(module, name)

    def fail(*arguments: object) -> object:
        for failure in failures:
            raise failure
        return real(*arguments)

    monkeypatch.setattr(module, name, fail)
    asked = await house.ask("web-1")
    await running.wait(timedelta(seconds=3), timedelta(milliseconds=100))
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN


async def test_stopping_lets_the_pass_under_way_end(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    await running.wait()
    held = Held(house, monkeypatch)
    asked = await house.ask("web-1")
    await held.is_reached()
    house.reconciler.stop()
    held.release.set()
    await asyncio.wait_for(running.task, 60)
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.OPEN


async def test_a_scope_of_another_replicas_connector_costs_nothing(house: House, running: Running) -> None:
    await house.store.write(lambda tx: scopes.make_known(tx, "else/where", "elsewhere"))
    await running.wait()
    before = await house.generation("web-1")
    await asyncio.sleep(0.1)
    state = await house.store.read(lambda tx: scopes.get(tx, "else/where"))
    assert state is not None
    assert state.generation == 0
    assert await house.generation("web-1") == before


class Held:
    """Holds up the firewall's calls, or only the first, until it is released: before they are carried out, or after."""

    def __init__(
        self,
        house: House,
        monkeypatch: pytest.MonkeyPatch,
        scope: str = "",
        *,
        after: bool = False,
        first_only: bool = False,
    ) -> None:
        self.reached, self.release = asyncio.Event(), asyncio.Event()
        real = house.firewall.apply

        async def apply(plan: Plan) -> Outcome:
            if self.release.is_set() or scope not in plan.scope or (first_only and self.reached.is_set()):
                return await real(plan)
            outcome = await real(plan) if after else None
            self.reached.set()
            await self.release.wait()
            return outcome or await real(plan)

        monkeypatch.setattr(house.firewall, "apply", apply)

    async def is_reached(self) -> None:
        await asyncio.wait_for(self.reached.wait(), 60)


class Outage:
    """A door of the database that fails until it is mended."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch, door: str, error: Exception) -> None:
        self._patch = monkeypatch
        self._broken = True
        real = getattr(house.store, door)

        async def ask(fn: Callable[[Tx], T]) -> T:
            if self._broken:
                raise error
            result: T = await real(fn)
            return result

        monkeypatch.setattr(house.store, door, ask)

    def mend(self) -> None:
        self._broken = False


class Counted:
    """How often the database is read."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = house.store.read

        async def read(fn: Callable[[Tx], T]) -> T:
            self.count += 1
            result: T = await real(fn)
            return result

        monkeypatch.setattr(house.store, "read", read)


@pytest.mark.parametrize("limit", ["_MOST_RUNNING", "_MOST_UNCLAIMED"])
async def test_very_many_scopes_are_woken_some_at_a_time_and_one_more_does_not_wait_for_them(
    house: House, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(loop, limit, 3)
    monkeypatch.setattr(loop, "_MOST_SCOPES", 5)
    begun: list[str] = []
    under_way, most = 0, 0

    async def reconcile(scope: str) -> bool:
        nonlocal under_way, most
        begun.append(scope)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return True

    monkeypatch.setattr(house.reconciler, "reconcile", reconcile)
    running = asyncio.create_task(house.reconciler.run())
    await asyncio.sleep(0.05)
    begun.clear()
    many = [f"many/{number:02}" for number in range(30)]
    house.store.woken.fire(many)
    await asyncio.sleep(0.03)
    house.store.woken.fire(["one"])
    async with asyncio.timeout(60):
        while not {*many, "one"} <= set(begun):  # noqa: ASYNC110 - it is the loop that is watched
            await asyncio.sleep(0.01)
    house.reconciler.stop()
    await running
    assert most <= 3 + 1
    assert begun.index("one") < 25


async def test_passes_that_are_claimed_keep_no_others_from_being_begun(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that takes long holds up what is done at it, and no other one."""
    monkeypatch.setattr(loop, "_MOST_UNCLAIMED", 1)
    monkeypatch.setattr(loop, "_MOST_SCOPES", 2)
    monkeypatch.setattr(loop, "_due", lambda *_: ([], 1.0))
    begun: set[str] = set()

    async def apply(plan: Plan) -> Outcome:
        begun.add(plan.scope)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(house.firewall, "apply", apply)
    await house.put_only(*map(part, ("web-1", "web-2", "db-1")))
    running = asyncio.create_task(house.reconciler.run())
    async with asyncio.timeout(10):
        while begun != {"memory/web-1", "memory/web-2", "memory/db-1"}:  # noqa: ASYNC110 - it is the loop that is watched
            await asyncio.sleep(0.01)
    monkeypatch.setattr(loop, "FINISHING_SECONDS", 0.01)
    house.reconciler.stop()
    await running
