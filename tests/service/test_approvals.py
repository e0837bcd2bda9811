"""Approval: nobody's own, everybody's who has to, checked again to the last, and decided once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.house import HOUR, MINUTE, START, House, ask, lasting, limited, part, policy_id, until

from jitgate.audit import Operation
from jitgate.core import decide
from jitgate.core.access import CloseReason, State
from jitgate.core.approval import Step, parse_approver
from jitgate.core.errors import Conflict, Forbidden, Invalid, JitgateError, NotFound, Refused
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.roles import Limit
from jitgate.core.selector import Selector
from jitgate.service import approvals, freezes, grants, guardrails, policies, requests
from jitgate.service.base import Asker
from jitgate.service.freezes import Target
from jitgate.service.views import RequestView
from jitgate.store import principals
from jitgate.store.approvals import Verdict
from jitgate.trust import links

APPROVE, DENY = approvals.approve, approvals.deny


async def waiting(house: House, limits: Limits | None = None, **asked: object) -> tuple[RequestView, Asker, Asker]:
    """A request of alice's that waits, and two who may approve it."""
    dora, egon = await house.add_approvers()
    await house.enable("web-1")
    await rail(house, limits or Limits(approvals=1))
    return await house.ask("web-1", **{"span": lasting("1h"), **asked}), dora, egon  # type: ignore[arg-type]


async def rail(house: House, limits: Limits, name: str = "four eyes") -> None:
    await guardrails.put_guardrail(house.service, house.alice, Guardrail(name, Selector(), limits))


async def state(house: House, asked: RequestView) -> tuple[State, CloseReason | None]:
    grant = await house.grant(asked.grants[0].grant.uid)
    return grant.state, grant.reason


async def test_what_is_approved_opens_at_once_and_lasts_its_time_from_there(house: House) -> None:
    """Cases AP6, AP8: approved 59 minutes after it was asked for, an hour is an hour."""
    asked, dora, _ = await waiting(house)
    await house.pass_time(59 * MINUTE)
    done = await approvals.approve(house.service, dora, asked.uid[:8], "ticket seen")
    assert [(one.name, one.verdict, one.note) for one in done.said] == [("dora", Verdict.APPROVED, "ticket seen")]
    await house.settle()
    grant = await house.grant(asked.grants[0].grant.uid)
    assert (grant.state, grant.end) == (State.OPEN, START + 59 * MINUTE + HOUR)
    await house.pass_time(HOUR - timedelta(milliseconds=1))
    assert house.reaches("web-1")
    await house.pass_time(timedelta(milliseconds=1))
    assert not house.reaches("web-1")


async def test_an_absolute_end_does_not_move_with_the_approval(house: House) -> None:
    asked, dora, _ = await waiting(house, span=until(START + HOUR))
    await house.pass_time(59 * MINUTE)
    await approvals.approve(house.service, dora, asked.uid)
    await house.settle()
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + HOUR
    await house.pass_time(MINUTE)
    assert await state(house, asked) == (State.CLOSED, CloseReason.EXPIRED)


@pytest.mark.parametrize("span", [lasting("1h"), until(START + HOUR)], ids=["waited too long", "its end has come"])
async def test_nobody_approves_what_is_over_also_before_anybody_has_noticed(house: House, span: object) -> None:
    """Cases AP2, AP9: a late approval is told so, and opens nothing."""
    asked, dora, _ = await waiting(house, Limits(approvals=1, approval_wait=HOUR), span=span)
    house.clock.advance(HOUR)
    with pytest.raises(Conflict, match="waited too long"):
        await approvals.approve(house.service, dora, asked.uid)
    await house.settle()
    assert await state(house, asked) == (State.CLOSED, CloseReason.APPROVAL_TIMED_OUT)
    with pytest.raises(Conflict, match="approvalTimedOut"):
        await approvals.approve(house.service, dora, asked.uid)


@pytest.mark.parametrize("act", [APPROVE, DENY], ids=["approve", "deny"])
async def test_nobody_decides_their_own(house: House, act: object) -> None:
    """Case AP5: not even who may do everything."""
    asked, *_ = await waiting(house)
    with pytest.raises(Forbidden, match="their own"):
        await act(house.service, house.alice, asked.uid)  # type: ignore[operator]
    assert await state(house, asked) == (State.PENDING, None)


async def test_of_two_who_approve_at_once_one_opens_it_and_the_other_is_told(house: House) -> None:
    """Case AP1."""
    asked, dora, egon = await waiting(house)
    both = [approvals.approve(house.service, by, asked.uid) for by in (dora, egon)]
    done = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "RequestView"]
    await house.settle()
    assert len(await house.events(Operation.GRANT_OPEN)) == 1


async def test_two_who_have_to_agree_do_and_one_does_not_count_twice(house: House) -> None:
    asked, dora, egon = await waiting(house, Limits(approvals=2))
    first = await approvals.approve(house.service, dora, asked.uid)
    assert first.grants[0].grant.state is State.PENDING
    with pytest.raises(Conflict, match="already"):
        await approvals.approve(house.service, dora, asked.uid)
    assert (await approvals.approve(house.service, egon, asked.uid)).grants[0].grant.state is State.OPENING


async def test_an_approval_goes_with_who_gave_it(house: House) -> None:
    """Case AP21: the approver was disabled meanwhile, or lost the role."""
    asked, dora, egon = await waiting(house, Limits(approvals=2))
    third = await house.add_asker("fritz", "JIT Approver")
    await approvals.approve(house.service, dora, asked.uid)
    await house.store.write(lambda tx: principals.disable(tx, dora.principal.uid))
    assert (await approvals.approve(house.service, egon, asked.uid)).grants[0].grant.state is State.PENDING
    await house.strip(egon)
    assert (await approvals.approve(house.service, third, asked.uid)).grants[0].grant.state is State.PENDING
    last = await house.add_asker("gerda", "JIT Approver")
    assert (await approvals.approve(house.service, last, asked.uid)).grants[0].grant.state is State.OPENING


async def test_an_approval_that_counts_no_more_at_a_scheduled_start_opens_nothing(house: House) -> None:
    """Cases AP10, AP21."""
    asked, dora, _ = await waiting(house, start=START + HOUR)
    done = await approvals.approve(house.service, dora, asked.uid)
    assert done.grants[0].grant.state is State.SCHEDULED
    await house.store.write(lambda tx: principals.disable(tx, dora.principal.uid))
    await house.pass_time(HOUR)
    assert await state(house, asked) == (State.CLOSED, CloseReason.REVOKED)
    assert not house.reaches("web-1")


async def test_what_is_approved_before_its_start_opens_at_its_start(house: House) -> None:
    """Case CK6."""
    asked, dora, _ = await waiting(house, start=START + HOUR)
    await approvals.approve(house.service, dora, asked.uid)
    await house.pass_time(HOUR - timedelta(milliseconds=1))
    assert not house.reaches("web-1")
    await house.pass_time(timedelta(milliseconds=1))
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + 2 * HOUR


async def test_what_is_approved_after_its_start_opens_at_once(house: House) -> None:
    asked, dora, _ = await waiting(house, start=START + HOUR)
    await house.pass_time(2 * HOUR)
    await approvals.approve(house.service, dora, asked.uid)
    await house.settle()
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + 3 * HOUR


async def test_a_denial_ends_a_request_and_says_who_and_why(house: House) -> None:
    asked, dora, egon = await waiting(house)
    await approvals.deny(house.service, dora, asked.uid, "not today")
    view = await house.view(asked.grants[0].grant.uid)
    assert (view.grant.state, view.grant.reason) == (State.CLOSED, CloseReason.DENIED)
    assert view.detail == "dora denied it: not today"
    with pytest.raises(Conflict, match="denied"):
        await approvals.approve(house.service, egon, asked.uid)


async def test_who_asked_can_withdraw_and_nobody_else(house: House) -> None:
    asked, dora, _ = await waiting(house)
    with pytest.raises(Forbidden):
        await approvals.withdraw(house.service, dora, asked.uid)
    await approvals.withdraw(house.service, house.alice, asked.uid)
    assert await state(house, asked) == (State.CLOSED, CloseReason.WITHDRAWN)
    for act in (
        approvals.approve(house.service, dora, asked.uid),
        approvals.withdraw(house.service, house.alice, asked.uid),
    ):
        with pytest.raises(Conflict):
            await act


async def test_a_credential_for_one_machine_withdraws_nothing_at_another(house: House) -> None:
    await house.add_approvers()
    await house.enable("web-1", "web-2")
    await rail(house, Limits(approvals=1))
    asked = await house.ask("web-1", "web-2")
    narrow = limited(house.alice, Limit(scope=house.machine("web-1").id))
    with pytest.raises((Forbidden, NotFound)):
        await approvals.withdraw(house.service, narrow, asked.uid)
    assert await state(house, asked) == (State.PENDING, None)


async def test_what_one_has_approved_is_not_told_to_a_credential_for_something_else(house: House) -> None:
    asked, dora, _ = await waiting(house, Limits(approvals=2))
    await approvals.approve(house.service, dora, asked.uid)
    with pytest.raises(NotFound):
        await approvals.deny(house.service, limited(dora, Limit(("Microsoft.Insights/*",))), asked.uid)


async def test_of_a_request_only_what_is_at_ones_own_place_is_read(house: House) -> None:
    await house.enable("web-1", "web-2")
    asked = await house.ask("web-1", "web-2")
    reader = await house.add_asker("rita", "Reader", house.machine("web-1").id)
    seen = await requests.get_request(house.service, reader, asked.uid)
    assert [one.machine_id for one in seen.grants] == [house.machine("web-1").id]
    with pytest.raises(NotFound):
        await approvals.withdraw(house.service, reader, asked.uid)


async def test_who_may_not_approve_cannot_tell_that_there_is_a_request(house: House) -> None:
    asked, *_ = await waiting(house)
    stranger = await house.add_asker("stranger")
    for uid in (asked.uid, "0" * 32):
        for act in (approvals.approve, approvals.deny, approvals.withdraw):
            with pytest.raises(NotFound):
                await act(house.service, stranger, uid)


async def test_who_lost_the_role_or_is_frozen_cannot_approve(house: House) -> None:
    """Case AP4."""
    asked, dora, egon = await waiting(house)
    with pytest.raises(JitgateError):
        await approvals.approve(house.service, await house.strip(dora), asked.uid)
    await freezes.freeze(house.service, house.alice, Target(person="EGON"), "his laptop is gone")
    with pytest.raises(Forbidden, match="frozen"):
        await approvals.approve(house.service, egon, asked.uid)
    assert await state(house, asked) == (State.PENDING, None)


async def test_a_requester_who_is_disabled_meanwhile_gets_nothing(house: House) -> None:
    """Case AP3."""
    dora, _ = await house.add_approvers()
    await house.enable("web-1")
    await rail(house, Limits(approvals=1))
    bob = await house.add_asker("bob", "JIT Requester")
    asked = await house.ask("web-1", by=bob)
    await house.store.write(lambda tx: principals.disable(tx, bob.principal.uid))
    with pytest.raises(Conflict, match="bob is disabled"):
        await approvals.approve(house.service, dora, asked.uid)


async def test_a_policy_or_machine_that_goes_meanwhile_ends_the_request(house: House) -> None:
    """Case AP3."""
    asked, dora, _ = await waiting(house)
    await policies.delete_policy(house.service, house.alice, policy_id())
    with pytest.raises(Conflict, match="policyRemoved"):
        await approvals.approve(house.service, dora, asked.uid)
    await house.put(part("web-1"))
    again = await house.ask("web-1")
    house.machines = [one for one in house.machines if one.name != "web-1"]
    await house.discover()
    with pytest.raises(Conflict, match="machineRemoved"):
        await approvals.approve(house.service, dora, again.uid)


async def test_policy_and_guardrails_are_asked_again_at_approval(house: House) -> None:
    asked, dora, _ = await waiting(house)
    await rail(house, Limits(max_duration=30 * MINUTE), "short")
    with pytest.raises(Conflict, match="1 h is longer than allowed"):
        await approvals.approve(house.service, dora, asked.uid)
    assert await state(house, asked) == (State.PENDING, None)


async def test_a_guardrail_that_asks_for_more_meanwhile_gets_more(house: House) -> None:
    asked, dora, egon = await waiting(house)
    await rail(house, Limits(approvals=2))
    assert (await approvals.approve(house.service, dora, asked.uid)).grants[0].grant.state is State.PENDING
    assert (await approvals.approve(house.service, egon, asked.uid)).grants[0].grant.state is State.OPENING


async def test_a_request_that_nobody_could_approve_is_refused_at_once(house: House) -> None:
    """Case AP14: oneself does not count."""
    await house.enable("web-1")
    await rail(house, Limits(approvals=1))
    with pytest.raises(Refused, match="takes 1 more than there are") as refused:
        await house.ask("web-1")
    assert [reason.code for reason in refused.value.reasons] == ["NoApprover"]
    await house.add_approvers()
    await house.ask("web-1")


async def test_steps_come_one_after_the_other(house: House) -> None:
    dora, egon = await house.add_approvers()
    steps = (Step(1, (parse_approver("owner", "a"),)), Step(1, (parse_approver("user:egon", "a"),)))
    house.machines = [replace(machine, tags={"owner": "dora"}) for machine in house.machines]
    await house.discover()
    await house.enable("web-1")
    await rail(house, Limits(steps=steps))
    asked = await house.ask("web-1")
    with pytest.raises(Conflict, match=r"waits for: 1 more for web-1 by owner \(guardrail four eyes, step 1 of 2\)"):
        await approvals.approve(house.service, egon, asked.uid)
    assert [view.is_mine for view in (await approvals.list_waiting(house.service, egon)).items] == [False]
    assert [view.is_mine for view in (await approvals.list_waiting(house.service, dora)).items] == [True]
    await approvals.approve(house.service, dora, asked.uid)
    assert [view.is_mine for view in (await approvals.list_waiting(house.service, egon)).items] == [True]
    await approvals.approve(house.service, egon, asked.uid)
    await house.settle()
    assert house.reaches("web-1")


async def test_who_is_not_named_does_not_decide_until_it_is_escalated(house: House) -> None:
    """Case AP18."""
    step = Step(1, (parse_approver("user:dora", "a"),), escalate_after=HOUR)
    asked, _, egon = await waiting(house, Limits(steps=(step,)))
    with pytest.raises(Conflict, match="not for you to approve now"):
        await approvals.approve(house.service, egon, asked.uid)
    await house.pass_time(HOUR)
    await approvals.approve(house.service, egon, asked.uid)
    await house.settle()
    assert house.reaches("web-1")


async def test_every_approver_sees_what_waits_and_who_asked_does_not(house: House) -> None:
    """Case AP16."""
    first, dora, egon = await waiting(house)
    house.clock.advance(MINUTE)
    bob = await house.add_asker("bob", "JIT Requester")
    second = await house.ask("web-1", by=bob)
    for by in (dora, egon):
        page = await approvals.list_waiting(house.service, by)
        assert [view.request.uid for view in page.items] == [first.uid, second.uid]
    assert [view.request.uid for view in (await approvals.list_waiting(house.service, house.alice)).items] == [
        second.uid
    ]
    assert (await approvals.list_waiting(house.service, bob)).items == ()


async def test_a_long_inbox_comes_page_by_page(house: House) -> None:
    _, dora, _ = await waiting(house)
    for number in range(4):
        house.clock.advance(MINUTE)
        await house.ask("web-1", sources=[f"192.0.2.{number}"])
    seen, after = [], None
    while True:
        page = await approvals.list_waiting(house.service, dora, limit=2, after=after)
        seen += [view.request.uid for view in page.items]
        after = page.after
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 5
    with pytest.raises(Invalid):
        await approvals.list_waiting(house.service, dora, after="nonsense")


async def test_so_many_requests_of_one_person_wait_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decide.MOST_WAITING == 100
    monkeypatch.setattr(decide, "MOST_WAITING", 3)
    first, dora, _ = await waiting(house)
    second, _ = [await house.ask("web-1", sources=[f"192.0.2.{number}"]) for number in range(2)]
    with pytest.raises(Refused, match="3 of your requests wait for that already") as refused:
        await house.ask("web-1", sources=["192.0.2.9"])
    assert [reason.code for reason in refused.value.reasons] == ["TooManyWaiting"]
    would_be = ask("web-1", sources=["192.0.2.9"], caller=house.alice.address)
    assert isinstance(await requests.explain(house.service, house.alice, would_be), decide.Denied)
    await house.ask("web-1", by=await house.add_asker("bob", "JIT Requester"))
    await approvals.withdraw(house.service, house.alice, first.uid)
    await house.ask("web-1", sources=["192.0.2.9"])
    with pytest.raises(Refused):
        await house.ask("web-1", sources=["192.0.2.10"])
    await approvals.approve(house.service, dora, second.uid)
    await house.ask("web-1", sources=["192.0.2.10"])


async def test_a_page_of_the_inbox_looks_at_so_many_requests_and_goes_on_from_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "MOST_LOOKED_AT", 2)
    await waiting(house)
    for number in range(4):
        house.clock.advance(MINUTE)
        await house.ask("web-1", sources=[f"192.0.2.{number}"])
    await house.enable("web-2")
    house.clock.advance(MINUTE)
    last = await house.ask("web-2")
    only_web_2 = await house.add_asker("fred", "JIT Approver", scope=house.machine("web-2").id)
    pages, after = [], None
    while True:
        page = await approvals.list_waiting(house.service, only_web_2, after=after)
        pages.append([view.request.uid for view in page.items])
        after = page.after
        if after is None:
            break
    assert pages == [[], [], [last.uid]]


async def test_an_extension_that_needs_approval_leaves_what_stands_until_it_has_it(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("1h"))
    dora, _ = await house.add_approvers()
    await rail(house, Limits(approvals=1))
    longer = await grants.extend_grant(house.service, house.alice, grant.uid, lasting("2h"))
    assert (longer.grant.state, longer.grant.uid != grant.uid) == (State.PENDING, True)
    await house.pass_time(30 * MINUTE)
    await approvals.approve(house.service, dora, longer.request)
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.SUPERSEDED
    assert (await house.grant(longer.grant.uid)).end == START + 150 * MINUTE
    assert house.reaches("web-1")


async def test_a_link_is_good_for_its_approver_and_once(house: House) -> None:
    asked, dora, egon = await waiting(house, Limits(approvals=2))
    house.service = replace(house.service, settings=replace(house.service.settings, link_keys=lambda: (b"k" * 32,)))
    link = links.make(b"k" * 32, asked.uid, dora.principal.uid)
    for by, text in ((egon, link), (house.alice, link), (dora, link[:-1] + "_"), (dora, "jga_"), (dora, "x" * 10_000)):
        with pytest.raises(Forbidden, match="link"):
            await approvals.decide_by_link(house.service, by, text, Verdict.APPROVED)
    done = await approvals.decide_by_link(house.service, dora, link, Verdict.APPROVED)
    assert [one.name for one in done.said] == ["dora"]
    with pytest.raises(Conflict):
        await approvals.decide_by_link(house.service, dora, link, Verdict.APPROVED)
    unkeyed = replace(house.service, settings=replace(house.service.settings, link_keys=tuple))
    with pytest.raises(Forbidden):
        await approvals.decide_by_link(unkeyed, dora, links.make(b"", asked.uid, dora.principal.uid), Verdict.APPROVED)


async def test_everything_that_is_said_is_on_record(house: House) -> None:
    asked, dora, egon = await waiting(house, Limits(approvals=2))
    await approvals.approve(house.service, dora, asked.uid, "fine")
    with pytest.raises(Forbidden):
        await approvals.approve(house.service, house.alice, asked.uid)
    await approvals.deny(house.service, egon, asked.uid, "no")
    told = [(e.operation, e.outcome, e.caller, e.properties.get("note")) for e in await house.events()]
    assert (Operation.APPROVE, "Accepted", "dora", "fine") in told
    assert (Operation.APPROVE, "Refused", "alice", None) in told
    assert (Operation.DENY, "Succeeded", "egon", "no") in told


async def test_a_note_has_a_bound(house: House) -> None:
    asked, dora, _ = await waiting(house)
    with pytest.raises(Invalid):
        await approvals.approve(house.service, dora, asked.uid, "x" * 1001)


async def test_asking_again_while_it_waits_is_another_request(house: House) -> None:
    """Case OV8."""
    asked, dora, _ = await waiting(house)
    again = await house.ask("web-1", span=lasting("2h"))
    await approvals.approve(house.service, dora, again.uid)
    await house.settle()
    assert await state(house, asked) == (State.CLOSED, CloseReason.SUPERSEDED)
    assert (await requests.get_request(house.service, house.alice, again.uid)).grants[0].grant.state is State.OPEN


async def test_two_requests_that_are_agreed_to_in_the_other_order_do_not_shut_each_other(house: House) -> None:
    """Who asked twice and is agreed to twice has what the newer one says, and never nothing."""
    first, dora, _ = await waiting(house)
    await house.pass_time(MINUTE)
    second = await house.ask("web-1", span=lasting("2h"))
    await approvals.approve(house.service, dora, second.uid)
    await approvals.approve(house.service, dora, first.uid)
    await house.settle()
    assert await state(house, first) == (State.CLOSED, CloseReason.SUPERSEDED)
    assert await state(house, second) == (State.OPEN, None)
    assert house.reaches("web-1")
