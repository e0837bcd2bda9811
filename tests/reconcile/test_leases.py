"""One owner at a time works at a scope; a dead one is followed one lease later, and its late word counts nothing."""

import asyncio
from datetime import timedelta

import pytest
from tests.house import ELSEWHERE, HERE, HOUR, MINUTE, House, lasting, part
from tests.reconcile.test_loop import Held

from jitgate.audit import Operation
from jitgate.connectors.base import GenerationBehind, Outcome, Plan
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.access import CloseReason, State
from jitgate.reconcile.claim import claim
from jitgate.reconcile.loop import LEASE_LENGTH
from jitgate.service import grants
from jitgate.store import scopes

SCOPE = "memory/web-1"


async def test_two_replicas_never_apply_to_one_firewall_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    busy, most = 0, 0
    real = house.firewall.apply

    async def apply(plan: object) -> object:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.002)
        result = await real(plan)  # type: ignore[arg-type]
        busy -= 1
        return result

    monkeypatch.setattr(house.firewall, "apply", apply)
    replicas = [house.make_reconciler(name) for name in ("one", "two", "three")]
    for number in range(10):
        await house.ask("web-1", sources=[f"192.0.2.{number}"])
        await asyncio.gather(*(replica.reconcile(SCOPE) for replica in replicas))
    assert most == 1
    await house.settle()
    assert {grant.state for grant in await house.live()} == {State.OPEN}


async def test_a_dead_owners_firewall_is_taken_over_one_lease_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case CL2: it died in the middle of the close call."""
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    await grants.close_grant(house.service, house.alice, grant.uid)
    dying = asyncio.create_task(house.make_reconciler("dying").reconcile(SCOPE))
    held = Held(house, monkeypatch)
    await held.is_reached()
    dying.cancel()
    held.release.set()
    await asyncio.gather(dying, return_exceptions=True)
    other = house.make_reconciler("other")
    house.clock.advance(LEASE_LENGTH - timedelta(milliseconds=1))
    assert await other.reconcile_all_due() == 0
    assert (await house.grant(grant.uid)).state is State.CLOSING
    house.clock.advance(timedelta(milliseconds=1))
    assert await other.reconcile_all_due() > 0
    assert (await house.grant(grant.uid)).state is State.CLOSED


async def test_the_sweep_that_a_dead_owner_had_begun_is_done_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put_only(part("web-1"))
    dying = asyncio.create_task(house.make_reconciler("dying").reconcile(SCOPE))
    held = Held(house, monkeypatch)
    await held.is_reached()
    dying.cancel()
    held.release.set()
    await asyncio.gather(dying, return_exceptions=True)
    house.clock.advance(LEASE_LENGTH)
    await house.make_reconciler("other").reconcile_all_due()
    assert not house.reaches("web-1")


async def test_a_replica_that_waits_for_another_does_not_spin(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.put(part("web-1"))
    await house.ask("web-1")
    held = Held(house, monkeypatch)
    slow = asyncio.create_task(house.reconciler.reconcile(SCOPE))
    await held.is_reached()
    await house.ask("web-1", sources=[ELSEWHERE])
    assert await asyncio.wait_for(house.make_reconciler("other").reconcile_all_due(), 60) == 0
    held.release.set()
    await slow


async def test_what_was_asked_of_another_replica_while_it_worked_is_due_when_it_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its own attempt failed and it would have waited for long."""
    await house.put(part("web-1"))
    grant = await house.open("web-1", sources=[HERE])
    house.firewall.fail_next(10_000)
    await house.ask("web-1", sources=[ELSEWHERE])
    for _ in range(10):
        await house.pass_time(MINUTE)
    held = Held(house, monkeypatch)
    house.clock.advance(MINUTE)
    failing = asyncio.create_task(house.reconciler.reconcile(SCOPE))
    await held.is_reached()
    await grants.close_grant(house.service, house.alice, grant.uid)
    held.release.set()
    await failing
    house.firewall.heal()
    await house.make_reconciler("other").reconcile_all_due()
    assert (await house.grant(grant.uid)).state is State.CLOSED


@pytest.mark.parametrize("done", [True, False], ids=["though it was done", "and was refused"])
async def test_what_an_owner_hears_after_its_lease_ran_out_counts_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    await house.sweep_soon("web-1")
    held = Held(house, monkeypatch, after=done, first_only=True)
    slow = asyncio.create_task(house.make_reconciler("slow").reconcile(SCOPE))
    await held.is_reached()
    house.clock.advance(LEASE_LENGTH)
    await house.close_early(grant.uid)
    await house.put_only(part("web-1"), part("web-2"))
    after = await house.state("web-1")
    held.release.set()
    await slow
    assert await house.state("web-1") == after
    assert (await house.grant(grant.uid)).state is State.CLOSED
    assert not house.reaches("web-1")


async def test_a_grant_changed_while_its_firewall_was_asked_is_not_moved_by_the_old_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revision: it was closed between the claim and the record, and must not come out as open."""
    await house.put(part("web-1"))
    asked = await house.ask("web-1")
    uid = asked.grants[0].grant.uid
    held = Held(house, monkeypatch)
    opening = asyncio.create_task(house.reconciler.reconcile(SCOPE))
    await held.is_reached()
    await grants.close_grant(house.service, house.alice, uid)
    held.release.set()
    await opening
    assert (await house.grant(uid)).state is State.CLOSING
    await house.settle()
    assert (await house.grant(uid)).state is State.CLOSED
    assert not house.reaches("web-1")


async def test_a_grant_extended_while_its_firewall_was_asked_gets_its_new_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.put(part("web-1"))
    asked = await house.ask("web-1", span=lasting("1h"))
    uid = asked.grants[0].grant.uid
    held = Held(house, monkeypatch)
    opening = asyncio.create_task(house.reconciler.reconcile(SCOPE))
    await held.is_reached()
    await grants.extend_grant(house.service, house.alice, uid, lasting("2h"))
    held.release.set()
    await opening
    await house.settle()
    house.clock.advance(2 * HOUR - timedelta(milliseconds=1))
    assert house.reaches("web-1")


async def test_an_unknown_scope_is_nothing_to_do(house: House) -> None:
    assert not await house.reconciler.reconcile("memory/nowhere")


async def test_each_look_has_a_higher_generation_than_the_one_before(house: House) -> None:
    seen = []
    for owner in ("one", "one", "two"):
        house.clock.advance(LEASE_LENGTH)
        begun = await house.store.write(lambda tx, by=owner: claim(tx, SCOPE, by, LEASE_LENGTH))  # type: ignore[misc]
        assert begun is not None
        seen.append(begun.desired.generation)
    assert seen == sorted(set(seen))


async def test_an_enforcer_that_is_ahead_makes_the_server_go_on_from_there(house: House) -> None:
    """Case CL8: the database was restored from an old copy."""
    await house.put(part("web-1"))
    live = await house.open("web-1", sources=[HERE])
    await house.restore_generation("web-1", 1)
    grant = await house.open("web-1", sources=[ELSEWHERE])
    assert grant.state is State.OPEN
    assert (await house.grant(live.uid)).state is State.OPEN
    told = (await house.events(Operation.FIREWALL_GENERATION))[-1]
    assert told.resource == SCOPE
    assert told.properties["generation"] > told.properties["was"]
    assert await house.generation("web-1") > told.properties["generation"]


class Ahead(MemoryConnector):
    """Says each time that it has seen a later generation still."""

    looks = 0

    async def apply(self, plan: Plan) -> Outcome:
        self.looks += 1
        assert self.looks < 50, "the server is kept busy"
        raise GenerationBehind(plan.desired.generation + 1)


async def test_an_enforcer_that_is_always_ahead_neither_keeps_the_server_busy_nor_fills_the_record(
    house: House,
) -> None:
    await house.put(part("web-1"))
    house.connectors["memory"] = ahead = Ahead(house.clock)
    await house.ask("web-1", sources=[HERE])
    for _ in range(60):
        await house.pass_time(timedelta(seconds=1))
    assert ahead.looks < 15
    assert len(await house.events(Operation.FIREWALL_GENERATION)) < 6


async def test_a_live_grant_of_a_dead_process_shuts_on_time_by_itself(house: House) -> None:
    """Case CL1."""
    await house.put(part("web-1"))
    grant = await house.open("web-1", span=lasting("1h"))
    house.clock.advance(HOUR)
    assert not house.reaches("web-1")
    house.crash()
    await house.store.write(lambda tx: scopes.all_due(tx, ["memory"]))
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.EXPIRED
