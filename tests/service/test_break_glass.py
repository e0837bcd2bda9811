"""Breaking the glass: at once, with a reason, briefly, and looked at afterwards by somebody else."""

from dataclasses import replace

import pytest
from tests.house import HOUR, MINUTE, START, House, ask, lasting, limited, part, port

from jitgate.audit import Operation
from jitgate.core.access import Ask, State
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.roles import Limit
from jitgate.core.selector import Selector
from jitgate.core.windows import parse
from jitgate.service import freezes, guardrails, requests, reviews


def urgent(name: str = "web-1", why: str = "the site is down", **asked: object) -> Ask:
    return replace(ask(name, why=why, **asked), break_glass=True)  # type: ignore[arg-type]


async def night(house: House) -> None:
    """Approval that nobody is there to give, outside of all windows."""
    await house.put(part("web-1", port(22)))
    limits = Limits(approvals=1, windows=(parse("Sat 09:00-10:00", "w"),))
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("night", Selector(), limits))


async def test_in_an_emergency_it_opens_at_once_and_for_an_hour_at_most(house: House) -> None:
    """Case AP19."""
    await night(house)
    with pytest.raises(Refused):
        await house.ask("web-1")
    asked = await requests.request_access(house.service, house.alice, urgent())
    await house.settle()
    assert house.reaches("web-1")
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + HOUR
    with pytest.raises(Refused, match="2 h is longer"):
        await requests.request_access(house.service, house.alice, urgent(span=lasting("2h")))


async def test_it_takes_a_right_of_its_own_and_a_reason_and_stays_within_the_policy(house: House) -> None:
    await night(house)
    bob = await house.add_asker("bob", "JIT Requester")
    with pytest.raises(Forbidden, match="breakGlass"):
        await requests.request_access(house.service, bob, urgent())
    with pytest.raises(Refused, match="needs a reason"):
        await requests.request_access(house.service, house.alice, urgent(why=" "))
    with pytest.raises(Refused, match="opens at once"):
        await requests.request_access(house.service, house.alice, urgent(start=START + HOUR))
    with pytest.raises(Refused, match="not in the policy"):
        await requests.request_access(house.service, house.alice, urgent(ports=[3389]))
    assert await house.live() == []


async def test_it_is_listed_until_somebody_else_has_looked_at_it(house: House) -> None:
    await night(house)
    asked = await requests.request_access(house.service, house.alice, urgent())
    dora, egon = await house.add_approvers()
    stranger = await house.add_asker("stranger", "JIT Requester")
    assert [view.uid for view in await reviews.list_reviews(house.service, dora)] == [asked.uid]
    assert [view.uid for view in await reviews.list_reviews(house.service, house.alice)] == [asked.uid]
    assert await reviews.list_reviews(house.service, stranger) == ()
    with pytest.raises(Forbidden, match="their own"):
        await reviews.review(house.service, house.alice, asked.uid, "all fine")
    with pytest.raises((Forbidden, NotFound)):
        await reviews.review(house.service, stranger, asked.uid, "all fine")
    with pytest.raises(Invalid):
        await reviews.review(house.service, dora, asked.uid, " ")
    await reviews.review(house.service, dora, asked.uid[:8], "the disk was full")
    assert await reviews.list_reviews(house.service, egon) == ()
    with pytest.raises(Conflict):
        await reviews.review(house.service, egon, asked.uid, "again")


async def test_who_is_frozen_reviews_nothing(house: House) -> None:
    await night(house)
    asked = await requests.request_access(house.service, house.alice, urgent())
    dora, _ = await house.add_approvers()
    await freezes.freeze(house.service, house.alice, freezes.Target(person="dora"), "an incident")
    with pytest.raises(Forbidden, match="frozen"):
        await reviews.review(house.service, dora, asked.uid, "all fine")


async def test_ones_own_is_shown_to_no_credential_that_is_for_something_else(house: House) -> None:
    await night(house)
    await requests.request_access(house.service, house.alice, urgent())
    narrow = limited(house.alice, Limit(("Microsoft.Insights/*",)))
    assert await reviews.list_reviews(house.service, narrow) == ()


async def test_what_did_not_break_the_glass_has_no_review(house: House) -> None:
    await house.enable("web-1")
    asked = await house.ask("web-1")
    dora, _ = await house.add_approvers()
    with pytest.raises(Conflict, match="no open review"):
        await reviews.review(house.service, dora, asked.uid, "what for")


async def test_it_is_on_record_as_what_it_is(house: House) -> None:
    await night(house)
    asked = await requests.request_access(house.service, house.alice, urgent())
    with pytest.raises(Refused):
        await requests.request_access(house.service, house.alice, urgent(why=""))
    dora, _ = await house.add_approvers()
    await reviews.review(house.service, dora, asked.uid, "the disk was full")
    told = [(event.outcome, event.caller) for event in await house.events(Operation.BREAK_GLASS)]
    assert told == [("Accepted", "alice"), ("Refused", "alice")]
    [reviewed] = await house.events(Operation.REVIEW)
    assert reviewed.properties["note"] == "the disk was full"
    assert not await house.events(Operation.REQUEST)


async def test_it_shuts_at_its_end_like_any_other(house: House) -> None:
    await night(house)
    asked = await requests.request_access(house.service, house.alice, urgent(span=lasting("10m")))
    await house.settle()
    await house.pass_time(10 * MINUTE)
    assert (await house.grant(asked.grants[0].grant.uid)).state is State.CLOSED
    assert not house.reaches("web-1")
