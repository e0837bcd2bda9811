"""Time moves grants: all that is due at once, by a clock that no step of the wall clock lengthens."""

from datetime import timedelta

import pytest
from tests.house import HOUR, MINUTE, START, House, lasting, part, policy_id, until

from jitgate.core.access import CloseReason, State
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.reconcile import claim
from jitgate.service import grants, guardrails, policies
from jitgate.store import principals

SCOPE = "memory/web-1"


async def test_all_that_expires_at_one_instant_is_shut_and_told_one_by_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case CL10: more than one pass takes at a time."""
    monkeypatch.setattr(claim, "BATCH", 10)
    await house.put(part("web-1"))
    for number in range(35):
        await house.ask("web-1", sources=[f"192.0.2.{number}"], span=until(START + HOUR))
    await house.settle()
    assert len(house.firewall.standing(SCOPE)) == 35
    await house.pass_time(HOUR)
    page = await grants.list_grants(house.service, house.alice, state=[State.CLOSED], limit=100)
    assert {(view.grant.state, view.grant.reason) for view in page.items} == {(State.CLOSED, CloseReason.EXPIRED)}
    assert len(page.items) == 35
    closed = [event for event in await house.story() if event.operation.endswith("/closed")]
    assert len({event.properties["grant"] for event in closed}) == len(closed) == 35


async def test_a_crowd_that_expires_lets_others_in_between(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "BATCH", 10)
    await house.put(part("web-1"))
    for number in range(35):
        await house.ask("web-1", sources=[f"192.0.2.{number}"], span=until(START + HOUR))
    await house.settle()
    house.clock.advance(HOUR)
    await house.reconciler.reconcile(SCOPE)
    closed = await grants.list_grants(house.service, house.alice, state=[State.CLOSED], limit=100)
    assert len(closed.items) == 10
    assert not house.firewall.standing(SCOPE), "what has ended is shut, told or not"
    await house.settle()
    assert await house.live() == []


@pytest.mark.parametrize("step", [-HOUR, HOUR, -24 * HOUR], ids=["an hour back", "an hour forward", "a day back"])
async def test_a_stepped_wall_clock_lengthens_nothing(house: House, step: timedelta) -> None:
    """Case CK1."""
    await house.put(part("web-1"))
    await house.open("web-1", span=lasting("1h"))
    await house.pass_time(20 * MINUTE)
    house.clock.step(step)
    await house.sweep_soon("web-1")
    await house.settle()
    await house.pass_time(40 * MINUTE - timedelta(milliseconds=1))
    assert house.reaches("web-1") == (step < timedelta(0)), "never later; a step forward shuts earlier"
    await house.pass_time(timedelta(milliseconds=1))
    assert not house.reaches("web-1")
    assert await house.live() == []


@pytest.mark.parametrize("step", [-HOUR, HOUR])
async def test_a_clock_stepped_while_every_process_is_down_lengthens_nothing(house: House, step: timedelta) -> None:
    await house.put(part("web-1"))
    await house.open("web-1", span=lasting("1h"))
    house.clock.step(step)
    house.crash()
    await house.sweep_soon("web-1")
    await house.settle()
    house.clock.advance(HOUR)
    assert not house.reaches("web-1")
    await house.settle()
    assert await house.live() == []


async def test_a_grant_asked_for_while_the_clock_is_back_lasts_its_time(house: House) -> None:
    await house.put(part("web-1"))
    await house.pass_time(MINUTE)
    house.clock.step(-HOUR)
    grant = await house.open("web-1", span=lasting("30m"))
    assert grant.end == START + 31 * MINUTE
    house.clock.advance(30 * MINUTE - timedelta(milliseconds=1))
    assert house.reaches("web-1")
    house.clock.advance(timedelta(milliseconds=1))
    assert not house.reaches("web-1")


async def test_a_scheduled_start_opens_nothing_for_who_has_lost_the_right(house: House) -> None:
    """Case AP10."""
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester")
    asked = await house.ask("web-1", by=requester, start=START + HOUR)
    await house.strip(requester)
    await house.pass_time(HOUR)
    ended = await house.view(asked.grants[0].grant.uid)
    assert (ended.grant.state, ended.grant.reason) == (State.CLOSED, CloseReason.REVOKED)
    assert "lack the right" in ended.detail
    assert not house.reaches("web-1")


async def test_a_scheduled_start_opens_nothing_for_who_is_disabled(house: House) -> None:
    """Case AP10."""
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester")
    asked = await house.ask("web-1", by=requester, start=START + HOUR)
    await house.store.write(lambda tx: principals.disable(tx, requester.principal.uid))
    await house.pass_time(HOUR)
    assert (await house.grant(asked.grants[0].grant.uid)).reason is CloseReason.REVOKED
    assert not house.reaches("web-1")


async def test_a_scheduled_start_opens_under_another_policy_that_covers_it(house: House) -> None:
    await house.put(part("web-1"), name="one")
    await house.put(part("web-1"), name="other")
    asked = await house.ask("web-1", start=START + HOUR)
    await policies.delete_policy(house.service, house.alice, policy_id("one"))
    await policies.delete_policy(house.service, house.alice, policy_id("other"))
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.CLOSED
    await house.put(part("web-1"), name="third")
    again = await house.ask("web-1", start=START + HOUR)
    await house.pass_time(HOUR)
    assert (await house.grant(again.grants[0].grant.uid)).state is State.OPEN


async def test_a_scheduled_start_opens_nothing_that_a_guardrail_forbids_by_now(house: House) -> None:
    """Case AP10: the whole decision is made again, not the right alone."""
    await house.enable("web-1")
    asked = await house.ask("web-1", start=START + HOUR, span=lasting("2h"))
    rail = Guardrail("short", Selector(), Limits(max_duration=HOUR))
    await guardrails.put_guardrail(house.service, house.alice, rail)
    await house.pass_time(HOUR)
    ended = await house.view(asked.grants[0].grant.uid)
    assert (ended.grant.state, ended.grant.reason) == (State.CLOSED, CloseReason.REVOKED)
    assert "2 h is longer than allowed" in ended.detail
    assert not house.reaches("web-1")


async def test_a_scheduled_start_opens_nothing_that_lacks_approvals_by_now(house: House) -> None:
    await house.enable("web-1")
    await house.add_approvers()
    asked = await house.ask("web-1", start=START + HOUR)
    rail = Guardrail("four eyes", Selector(), Limits(approvals=1))
    await guardrails.put_guardrail(house.service, house.alice, rail)
    await house.pass_time(HOUR)
    ended = await house.view(asked.grants[0].grant.uid)
    assert ended.grant.reason is CloseReason.REVOKED
    assert "it lacks approval: 1 more for web-1 by anybody with the right" in ended.detail
    assert not house.reaches("web-1")


async def test_how_late_a_port_was_proven_shut_is_on_record(house: House) -> None:
    await house.put(part("web-1"))
    await house.open("web-1", span=lasting("1h"))
    await house.pass_time(HOUR + timedelta(milliseconds=250))
    closed = [event for event in await house.story() if event.operation.endswith("/closed")]
    assert closed[-1].properties["provenShutAfterMs"] == 250


async def test_each_kind_of_key_ends(house: House) -> None:
    """Case CL11: IPv4 and IPv6, addresses and ranges, TCP and UDP."""
    await house.enable("web-1")
    for number, source in enumerate(("192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0")):
        asker = await house.add_asker(f"asker-{number}", "Owner")
        await house.open("web-1", sources=[source], by=asker, span=lasting("1h"))
    assert len(house.firewall.standing(SCOPE)) == 10
    house.clock.advance(HOUR)
    assert not house.firewall.standing(SCOPE)
    await house.settle()
    assert await house.live() == []
