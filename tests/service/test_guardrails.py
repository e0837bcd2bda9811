"""Guardrails: anybody with the right tightens one alone, nobody loosens one alone, and no policy weakens one."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.house import HOUR, SUBSCRIPTION, House, lasting, part, port

from jitgate.audit import Operation
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.service import guardrails

RAIL = Guardrail("night", Selector(), Limits(approvals=0, max_duration=2 * HOUR, reason_required=True))
LOOSER = replace(RAIL, limits=replace(RAIL.limits, max_duration=3 * HOUR))
STRICTER = replace(RAIL, limits=replace(RAIL.limits, max_duration=HOUR))
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"


async def test_a_stricter_guardrail_is_in_force_at_once(house: House) -> None:
    await house.enable("web-1")
    assert await guardrails.put_guardrail(house.service, house.alice, RAIL)
    assert await guardrails.put_guardrail(house.service, house.alice, STRICTER)
    with pytest.raises(Refused):
        await house.ask("web-1", span=lasting("2h"))


async def test_nobody_loosens_a_guardrail_alone(house: House) -> None:
    await house.enable("web-1")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    assert not await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    assert await guardrails.get_guardrail(house.service, house.alice, "night") == RAIL
    with pytest.raises(Refused):
        await house.ask("web-1", span=lasting("3h"))
    with pytest.raises(Forbidden, match="another administrator"):
        await house.confirm_guardrail("night", by=house.alice)


async def test_a_second_administrator_lets_the_looser_guardrail_be(house: House) -> None:
    await house.enable("web-1")
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    waiting = await guardrails.list_proposals(house.service, second)
    assert [(one.name, one.guardrail, one.by) for one in waiting] == [("night", LOOSER, house.alice.principal.uid)]
    await house.confirm_guardrail("NIGHT", by=second)
    assert await guardrails.get_guardrail(house.service, second, "night") == LOOSER
    assert not await guardrails.list_proposals(house.service, second)
    await house.ask("web-1", span=lasting("3h"))


async def test_a_change_that_was_put_in_the_place_of_the_one_that_was_read_is_not_confirmed(house: House) -> None:
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    [read] = await guardrails.list_proposals(house.service, second)
    await guardrails.put_guardrail(house.service, house.alice, replace(RAIL, limits=Limits()))
    with pytest.raises(Conflict, match="Read it again"):
        await guardrails.confirm_guardrail(house.service, second, "night", read.mark)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    with pytest.raises(NotFound):
        await guardrails.confirm_guardrail(house.service, second, "other", read.mark)
    assert await guardrails.get_guardrail(house.service, second, "night") == RAIL


async def test_removing_a_guardrail_needs_a_second_administrator_too(house: House) -> None:
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    assert not await guardrails.delete_guardrail(house.service, house.alice, "night")
    assert await guardrails.list_guardrails(house.service, house.alice) == (RAIL,)
    await house.confirm_guardrail("night", by=second)
    assert await guardrails.list_guardrails(house.service, house.alice) == ()


async def test_a_guardrail_tightened_meanwhile_ends_the_proposal_to_loosen_it(house: House) -> None:
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    await guardrails.put_guardrail(house.service, house.alice, STRICTER)
    with pytest.raises(NotFound):
        await house.confirm_guardrail("night", by=second)
    assert await guardrails.get_guardrail(house.service, house.alice, "night") == STRICTER


async def test_no_policy_weakens_a_guardrail(house: House) -> None:
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await house.put(part("web-1", port(22, longest="P1D")))
    with pytest.raises(Refused):
        await house.ask("web-1", span=lasting("3h"))
    assert await guardrails.get_guardrail(house.service, house.alice, "night") == RAIL


async def test_whose_right_ends_at_a_group_sets_no_guardrail_beyond_it(house: House) -> None:
    local = await house.add_asker("local", "Security Admin", GROUP)
    inside = Guardrail("inside", Selector(GROUP), RAIL.limits)
    assert await guardrails.put_guardrail(house.service, local, inside)
    for outside in (Selector(), Selector("/subscriptions/22222222-2222-2222-2222-222222222222")):
        with pytest.raises(Forbidden):
            await guardrails.put_guardrail(house.service, local, replace(inside, selector=outside))
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    with pytest.raises(Forbidden):
        await guardrails.put_guardrail(house.service, local, replace(RAIL, selector=Selector(GROUP)))


async def test_a_stranger_cannot_tell_which_guardrails_exist(house: House) -> None:
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    stranger = await house.add_asker("stranger", "Contributor")
    for name in ("night", "nothing"):
        for act in (guardrails.get_guardrail, guardrails.delete_guardrail):
            with pytest.raises(Forbidden):
                await act(house.service, stranger, name)
        with pytest.raises(Forbidden):
            await guardrails.confirm_guardrail(house.service, stranger, name, "")
    for read in (guardrails.list_guardrails, guardrails.list_proposals):
        with pytest.raises(Forbidden):
            await read(house.service, stranger)


async def test_what_is_not_there_is_told_to_who_may_know(house: House) -> None:
    for act in (guardrails.get_guardrail, guardrails.delete_guardrail):
        with pytest.raises(NotFound):
            await act(house.service, house.alice, "nothing")
    with pytest.raises(NotFound):
        await guardrails.confirm_guardrail(house.service, house.alice, "nothing", "")


@pytest.mark.parametrize(
    "limits",
    [Limits(approvals=11), Limits(max_duration=timedelta(0)), Limits(sources=()), Limits(reason_pattern="*" * 9)],
    ids=["approvals", "longest", "sources", "pattern"],
)
async def test_a_guardrail_that_could_never_work_is_refused(house: House, limits: Limits) -> None:
    with pytest.raises(Invalid):
        await guardrails.put_guardrail(house.service, house.alice, Guardrail("rail", Selector(), limits))


async def test_observing_leaves_the_firewall_alone_until_it_enforces(house: House) -> None:
    second = await house.add_asker("second", "Security Admin")
    rail = Guardrail("trial", Selector(), Limits(enforcement=Enforcement.ENFORCE))
    await house.enable("web-1")
    await guardrails.put_guardrail(house.service, house.alice, rail)
    observe = replace(rail, limits=Limits(enforcement=Enforcement.OBSERVE))
    assert not await guardrails.put_guardrail(house.service, house.alice, observe)
    await house.settle()
    assert not house.reaches("web-1")
    await house.confirm_guardrail("trial", by=second)
    await house.settle()
    assert house.reaches("web-1")
    assert await guardrails.put_guardrail(house.service, house.alice, rail)
    await house.settle()
    assert not house.reaches("web-1")


async def test_nobody_adds_a_guardrail_that_loosens_alone(house: House) -> None:
    """What is said by no guardrail holds as well: every port is enforced until one says to observe it."""
    second = await house.add_asker("second", "Security Admin")
    await house.enable("web-1")
    observe = Guardrail("trial", Selector(), Limits(enforcement=Enforcement.OBSERVE))
    assert not await guardrails.put_guardrail(house.service, house.alice, observe)
    await house.settle()
    assert not house.reaches("web-1")
    with pytest.raises(Forbidden, match="another administrator"):
        await house.confirm_guardrail("trial", by=house.alice)
    await house.confirm_guardrail("TRIAL", by=second)
    assert await guardrails.list_guardrails(house.service, house.alice) == (observe,)
    await house.settle()
    assert house.reaches("web-1")


async def test_a_guardrail_that_ends_sessions_does_so_for_grants_that_stand_already(house: House) -> None:
    await house.enable("web-1")
    await house.open("web-1", span=lasting("1h"))
    session = house.connect("web-1")
    rail = Guardrail("cut", Selector(), Limits(session=SessionEnd.END))
    await guardrails.put_guardrail(house.service, house.alice, rail)
    await house.settle()
    assert house.carries(session)
    house.clock.advance(HOUR)
    assert not house.carries(session)


async def test_every_change_of_a_guardrail_is_on_record(house: House) -> None:
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    with pytest.raises(Forbidden):
        await house.confirm_guardrail("night", by=house.alice)
    await house.confirm_guardrail("night", by=second)
    await guardrails.delete_guardrail(house.service, house.alice, "night")
    await house.confirm_guardrail("night", by=second)
    told = [
        (event.operation, event.outcome, event.caller)
        for event in await house.events()
        if event.resource == "/guardrails/night"
    ]
    assert told == [
        (Operation.GUARDRAIL_WRITE, "Succeeded", "alice"),
        (Operation.GUARDRAIL_PROPOSE, "Accepted", "alice"),
        (Operation.GUARDRAIL_WRITE, "Refused", "alice"),
        (Operation.GUARDRAIL_WRITE, "Succeeded", "second"),
        (Operation.GUARDRAIL_PROPOSE, "Accepted", "alice"),
        (Operation.GUARDRAIL_DELETE, "Succeeded", "second"),
    ]


async def test_who_reads_guardrails_in_one_group_reads_those_of_that_group_and_no_others(house: House) -> None:
    far = f"{GROUP}-far"
    reader = await house.add_asker("reader", "Security Admin", GROUP)
    here = replace(RAIL, selector=Selector(GROUP))
    there = replace(RAIL, name="there", selector=Selector(far))
    for rail in (here, there, replace(RAIL, name="all")):
        await guardrails.put_guardrail(house.service, house.alice, rail)
    for rail in (here, there):
        assert not await guardrails.delete_guardrail(house.service, house.alice, rail.name)
    assert not await guardrails.put_guardrail(house.service, house.alice, replace(RAIL, selector=Selector(far)))
    assert await guardrails.list_guardrails(house.service, reader) == (here,)
    assert await guardrails.get_guardrail(house.service, reader, "NIGHT") == here
    assert not await guardrails.list_proposals(house.service, reader), "the change of night is about another group too"
    for name in ("there", "all", "none"):
        with pytest.raises(Forbidden):
            await guardrails.get_guardrail(house.service, reader, name)
    with pytest.raises(Forbidden):
        await guardrails.list_guardrails(house.service, await house.add_asker("nobody"))


async def test_a_new_guardrail_takes_no_others_place(house: House) -> None:
    await guardrails.put_guardrail(house.service, house.alice, RAIL, is_new=True)
    with pytest.raises(Conflict, match="There is a guardrail night already"):
        await guardrails.put_guardrail(house.service, house.alice, replace(STRICTER, name="NIGHT"), is_new=True)
    outsider = await house.add_asker("outsider", "Security Admin", GROUP)
    with pytest.raises(Forbidden):
        await guardrails.put_guardrail(house.service, outsider, replace(RAIL, selector=Selector(GROUP)), is_new=True)
