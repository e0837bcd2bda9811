"""Plans gate what is asked for from now on; nothing that is open, and nothing that is shut, changes by them."""

from datetime import timedelta

import pytest
from tests.house import HOUR, START, SUBSCRIPTION, House, lasting, part, port

from jitgate.audit import Operation
from jitgate.core.access import CloseReason, State
from jitgate.core.catalogue import Sought
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.plan import Plan, SubPlan, Tier
from jitgate.core.selector import Selector
from jitgate.service import approvals, catalogue, guardrails, plans, policies

WHOLE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{WHOLE}/resourceGroups/jitgate"
DAY = timedelta(days=1)


async def test_free_refuses_what_is_new_and_lets_live_grants_run_to_their_end(house: House) -> None:
    await house.enable("web-1")
    await house.open("web-1", span=lasting("1h"))
    await plans.put_plan(house.service, house.alice, Plan(WHOLE, Tier.FREE, None))
    with pytest.raises(Refused, match="is not onboarded to Defender For Servers offering"):
        await house.ask("web-1")
    with pytest.raises(Refused, match="not onboarded"):
        await policies.enable_machines(house.service, house.alice, ["web-2"])
    assert house.reaches("web-1")
    await house.pass_time(HOUR / 2)
    assert house.reaches("web-1")
    await house.pass_time(HOUR)
    assert not house.reaches("web-1")


async def test_a_trial_counts_for_thirty_days_and_no_longer(house: House) -> None:
    await house.enable("web-1")
    started = await plans.start_trial(house.service, house.alice, WHOLE)
    assert started.plan.trial_left(started.now) == 30 * DAY
    await house.pass_time(30 * DAY - HOUR)
    await house.open("web-1", span=lasting("2h"))
    await house.pass_time(HOUR)
    found = await plans.get_plan(house.service, house.alice, WHOLE)
    assert (found.plan.tier_at(found.now), found.coverage) == (Tier.FREE, "NotCovered")
    assert house.reaches("web-1")
    with pytest.raises(Refused, match="its trial is over"):
        await house.ask("web-1")


async def test_a_machines_own_plan_gates_that_machine_alone(house: House) -> None:
    await house.enable("web-1", "web-2")
    web = house.machine("web-1").id
    await plans.put_plan(house.service, house.alice, Plan(web, Tier.STANDARD, SubPlan.P1))
    with pytest.raises(Refused):
        await house.ask("web-1")
    await house.ask("web-2")
    assert await plans.delete_plan(house.service, house.alice, web)
    await house.ask("web-1")


async def test_a_policy_may_still_lose_machines_whose_plan_is_off(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    await plans.put_plan(house.service, house.alice, Plan(WHOLE, Tier.FREE, None))
    await house.put(part("web-1"))
    with pytest.raises(Refused):
        await house.put(part("web-1", port(3389)))
    await policies.disable_machines(house.service, house.alice, ["web-1"])


@pytest.mark.parametrize("way", ["plan", "switch"])
async def test_what_waits_for_approval_or_its_start_does_not_open_where_the_plan_is_off_by_then(
    house: House, way: str
) -> None:
    await house.enable("web-1")
    dora, _ = await house.add_approvers()
    later = await house.ask("web-1", start=START + HOUR, span=lasting("1h"))
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("eyes", Selector(), Limits(approvals=1)))
    asked = await house.ask("web-1", sources=["192.0.2.1"])
    await guardrails.delete_guardrail(house.service, house.alice, "eyes")
    if way == "plan":
        await plans.put_plan(house.service, house.alice, Plan(WHOLE, Tier.FREE, None))
    else:
        await plans.disable_jit(house.service, house.alice, GROUP, "audit")
    with pytest.raises(Conflict, match=r"not onboarded|disabled by policy"):
        await approvals.approve(house.service, dora, asked.uid)
    await house.pass_time(HOUR)
    ended = await house.view(later.grants[0].grant.uid)
    assert (ended.grant.state, ended.grant.reason) == (State.CLOSED, CloseReason.REVOKED)
    assert "not onboarded" in ended.detail or "disabled by policy" in ended.detail


@pytest.mark.parametrize("scope", [WHOLE, GROUP, GROUP.upper()])
async def test_where_jit_is_off_machines_read_disabled_by_policy_and_stay_shut(house: House, scope: str) -> None:
    await house.enable("web-1")
    assert await plans.disable_jit(house.service, house.alice, scope, "audit")
    assert not await plans.disable_jit(house.service, house.alice, scope, "again")
    [view] = [
        view
        for view in (await catalogue.find_machines(house.service, house.alice, Sought())).items
        if view.machine.name == "web-1"
    ]
    assert view.machine.unsupported == "disabled by policy"
    with pytest.raises(Refused, match="disabled by policy"):
        await house.ask("web-1")
    with pytest.raises(Invalid, match="disabled by policy"):
        await policies.enable_machines(house.service, house.alice, ["web-2"])
    await house.discover()
    await house.pass_time(HOUR)
    assert not house.reaches("web-1")
    assert await plans.enable_jit(house.service, house.alice, scope)
    await house.open("web-1")
    assert [event.properties.get("why") for event in await house.events(Operation.JIT_DISABLE)] == ["audit"]


async def test_who_lacks_the_right_changes_no_plan_and_that_is_on_record(house: House) -> None:
    reader = await house.add_asker("reader", "Security Reader")
    assert (await plans.get_plan(house.service, reader, WHOLE)).coverage == "FullyCovered"
    with pytest.raises(Forbidden):
        await plans.put_plan(house.service, reader, Plan(WHOLE, Tier.FREE, None))
    with pytest.raises(Forbidden):
        await plans.disable_jit(house.service, reader, WHOLE, "")
    assert [event.outcome for event in await house.events(Operation.PLAN_WRITE)] == ["Refused"]
    nobody = await house.add_asker("nobody")
    with pytest.raises(Forbidden):
        await plans.get_plan(house.service, nobody, WHOLE)
    assert await plans.list_disabled(house.service, nobody) == ()


async def test_plans_are_of_what_is_here(house: House) -> None:
    with pytest.raises(NotFound):
        await plans.get_plan(house.service, house.alice, "/subscriptions/00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotFound):
        await plans.get_plan(house.service, house.alice, house.machine("web-1").id + "x")


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        (None, WHOLE),
        ("", WHOLE),
        ("jitgate", GROUP),
        (SUBSCRIPTION, WHOLE),
        (GROUP + "/", GROUP),
        (WHOLE.upper(), WHOLE),
    ],
)
async def test_a_scope_is_named_in_few_words(house: House, text: str | None, scope: str) -> None:
    assert plans.read_scope(house.service, text).lower() == scope.lower()


@pytest.mark.parametrize("text", ["/", "/subscriptions", "/subscriptions/x", "a/b", f"{GROUP}/providers/x", "/x/y"])
async def test_what_is_no_scope_is_refused(house: House, text: str) -> None:
    with pytest.raises(Invalid):
        plans.read_scope(house.service, text)
