"""What an approver looks at, and how they shorten what was asked for."""

from datetime import timedelta

import pytest
from tests.house import HOUR, MINUTE, START, SUBSCRIPTION, House, lasting, part, until

from jitgate.audit import Operation
from jitgate.core.access import State
from jitgate.core.duration import parse_short
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.resource_id import machine_id
from jitgate.core.selector import Selector
from jitgate.service import approvals, guardrails
from jitgate.service.base import Asker
from jitgate.service.deciding import consider
from jitgate.service.views import RequestView

HALF = parse_short("30m", "for")


async def waiting(house: House, **asked: object) -> tuple[RequestView, Asker, Asker]:
    """A request of alice's that waits, and two who may approve it."""
    dora, egon = await house.add_approvers()
    await house.enable("web-1")
    await need_approval(house, 1)
    return await house.ask("web-1", **{"span": lasting("2h"), **asked}), dora, egon  # type: ignore[arg-type]


async def need_approval(house: House, approvals: int) -> None:
    rail = Guardrail("four eyes", Selector(), Limits(approvals=approvals))
    await guardrails.put_guardrail(house.service, house.alice, rail)


async def test_what_is_shortened_shuts_when_the_approver_said_and_says_who_did_it(house: House) -> None:
    asked, dora, _ = await waiting(house)
    done = await approvals.approve(house.service, dora, asked.uid, most=HALF)
    assert done.grants[0].detail == "dora shortened it from 2 h to 30 min"
    await house.settle()
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + 30 * MINUTE
    await house.pass_time(30 * MINUTE - timedelta(milliseconds=1))
    assert house.reaches("web-1")
    await house.pass_time(timedelta(milliseconds=1))
    assert not house.reaches("web-1")
    told = [one for one in await house.events() if one.operation == Operation.APPROVE]
    assert told[-1].properties["shortenedTo"] == "PT30M"


async def test_an_absolute_end_comes_nearer_and_later_approvals_do_not_move_it(house: House) -> None:
    asked, dora, egon = await waiting(house, span=until(START + 2 * HOUR))
    await need_approval(house, 2)
    await approvals.approve(house.service, dora, asked.uid, most=HALF)
    await house.pass_time(10 * MINUTE)
    await approvals.approve(house.service, egon, asked.uid)
    await house.settle()
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + 30 * MINUTE


async def test_nobody_lengthens_not_even_back_to_what_was_asked_for(house: House) -> None:
    asked, dora, egon = await waiting(house)
    await need_approval(house, 2)
    with pytest.raises(Invalid, match="1 min to 2 h"):
        await approvals.approve(house.service, dora, asked.uid, most=parse_short("3h", "for"))
    await approvals.approve(house.service, dora, asked.uid, most=HALF)
    with pytest.raises(Invalid, match="1 min to 30 min"):
        await approvals.approve(house.service, egon, asked.uid, most=parse_short("2h", "for"))
    await approvals.approve(house.service, egon, asked.uid)
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + 30 * MINUTE


async def test_a_refused_approval_shortens_nothing(house: House) -> None:
    asked, dora, _ = await waiting(house)
    await need_approval(house, 2)
    await approvals.approve(house.service, dora, asked.uid)
    with pytest.raises(Conflict, match="already"):
        await approvals.approve(house.service, dora, asked.uid, most=HALF)
    assert str((await house.grant(asked.grants[0].grant.uid)).duration) == "PT2H"


async def test_shortening_makes_grantable_what_a_new_limit_would_refuse(house: House) -> None:
    asked, dora, _ = await waiting(house)
    limits = Limits(max_duration=HOUR)
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("an hour", Selector(), limits))
    with pytest.raises(Conflict, match="longer than allowed"):
        await approvals.approve(house.service, dora, asked.uid)
    view = await consider(house.service, dora, asked.uid)
    assert view.waiting is not None
    assert "longer than allowed" in view.waiting.refused
    assert [str(length) for length in view.longest.values()] == ["PT1H"]
    done = await approvals.approve(house.service, dora, asked.uid, most=parse_short("1h", "for"))
    assert done.grants[0].grant.state is State.OPENING


async def test_an_approver_sees_what_matters_of_whom_they_may_read(house: House) -> None:
    bob = await house.add_asker("bob", "JIT Requester")
    await house.put(part("web-1"), part("db-1"))
    for name in ("db-1", "web-1", "web-1", "web-1", "web-1"):
        await house.ask(name, span=lasting("1h"), by=bob)
        house.clock.advance(MINUTE)
    await need_approval(house, 1)
    dora = await house.add_asker("dora", "JIT Approver", machine_id(SUBSCRIPTION, "jitgate", "web-1"))
    asked = await house.ask("web-1", span=lasting("2h"), by=bob)
    view = await consider(house.service, dora, asked.uid)
    assert view.waiting is not None
    assert view.waiting.is_mine
    assert [str(length) for length in view.longest.values()] == ["PT3H"]
    assert [one.grants[0].machine_name for one in view.earlier] == ["web-1"] * 3
    assert [one.asked_at for one in view.earlier] == sorted((one.asked_at for one in view.earlier), reverse=True)


async def test_who_was_asked_learns_what_became_of_it(house: House) -> None:
    """Cases AP1, AP2: of what somebody else has decided, the others see who did, and what they said."""
    asked, dora, egon = await waiting(house)
    await approvals.deny(house.service, dora, asked.uid, "use staging")
    view = await consider(house.service, egon, asked.uid[:8])
    assert view.waiting is None
    assert view.longest == {}
    assert [(one.name, one.note) for one in view.request.said] == [("dora", "use staging")]
    stranger = await house.add_asker("mallory")
    with pytest.raises(NotFound):
        await consider(house.service, stranger, asked.uid)
