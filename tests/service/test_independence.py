"""A second administrator is a second person: whoever was set up for the occasion agrees to nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.house import HOUR, House

from jitgate.core import roles
from jitgate.core.errors import Forbidden, Refused
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.roles import Kind, Role
from jitgate.core.selector import Selector
from jitgate.identity.issuers import Claimed
from jitgate.service import approvals, assignments, credentials, groups, guardrails, links, principals
from jitgate.service.base import Asker
from jitgate.service.credentials import Wanted
from jitgate.service.independence import SETTLED
from jitgate.service.recognition import PROGRAM, Caller, recognise
from jitgate.service.roles import put_role
from jitgate.store import principals as rows

DAY = timedelta(days=1)
RAIL = Guardrail("night", Selector(), Limits(max_duration=2 * HOUR))
LOOSER = replace(RAIL, limits=Limits(max_duration=3 * HOUR))
Way = Callable[[House], Awaitable[None]]


async def test_a_week_old_second_administrator_confirms(house: House) -> None:
    await _propose_later(house, house.alice, before=_make_bob, wait=SETTLED)
    await house.confirm_guardrail("night", by=await _asker(house, "bob"))
    assert await _in_force(house) == LOOSER


async def _make_bob(house: House) -> None:
    await principals.add_principal(house.service, house.alice, "bob")
    await _give(house, house.alice, "bob")


async def _through_a_group(house: House) -> None:
    await principals.add_principal(house.service, house.alice, "bob")
    await groups.add_group(house.service, house.alice, "keepers")
    await _give(house, house.alice, "keepers")
    await groups.join_group(house.service, house.alice, "keepers", "bob")


async def _into_an_old_group(house: House) -> None:
    await principals.add_principal(house.service, house.alice, "bob")
    await groups.join_group(house.service, house.alice, "old keepers", "bob")


async def _through_a_third_hand(house: House) -> None:
    await principals.add_principal(house.service, house.alice, "carl")
    await _give(house, house.alice, "carl")
    await principals.add_principal(house.service, house.alice, "bob")
    await _give(house, await _asker(house, "carl"), "bob")


async def _by_letting_somebody_in_again(house: House) -> None:
    await principals.enable_principal(house.service, house.alice, "gone")


async def _by_widening_a_role(house: House) -> None:
    await put_role(house.service, house.alice, _role(roles.READ_GUARDRAIL, roles.WRITE_GUARDRAIL))


async def _by_a_link_into_an_old_account(house: House) -> None:
    await links.make_link_for(house.service, house.alice, "old", HOUR)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (_make_bob, "bob"),
        (_through_a_group, "bob"),
        (_into_an_old_group, "bob"),
        (_through_a_third_hand, "bob"),
        (_by_letting_somebody_in_again, "gone"),
        (_by_widening_a_role, "reader"),
        (_by_a_link_into_an_old_account, "old"),
    ],
)
async def test_who_was_made_an_administrator_for_the_occasion_confirms_nothing(
    house: House, way: Way, name: str
) -> None:
    await _set_up_long_ago(house)
    await _propose_later(house, house.alice, before=way, wait=SETTLED - HOUR)
    house.clock.advance(30 * DAY)
    with pytest.raises(Forbidden, match="had not stood for 7 days") as refused:
        await house.confirm_guardrail("night", by=await _asker(house, name))
    assert refused.value.code == "NotIndependent"
    assert await _in_force(house) == RAIL


async def test_who_becomes_an_administrator_after_the_proposal_confirms_nothing(house: House) -> None:
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    house.clock.advance(HOUR)
    await _make_bob(house)
    with pytest.raises(Forbidden, match="7 days"):
        await house.confirm_guardrail("night", by=await _asker(house, "bob"))


async def test_nobody_confirms_what_they_had_a_new_administrator_propose(house: House) -> None:
    house.clock.advance(30 * DAY)
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    await _make_bob(house)
    await guardrails.put_guardrail(house.service, await _asker(house, "bob"), LOOSER)
    with pytest.raises(Forbidden, match="The right of bob"):
        await house.confirm_guardrail("night", by=house.alice)


async def test_a_program_confirms_nothing_however_old_it_is(house: House) -> None:
    program = await _make_program(house)
    await _propose_later(house, house.alice, wait=30 * DAY)
    with pytest.raises(Forbidden, match="a person must confirm"):
        await house.confirm_guardrail("night", by=program)


async def test_what_a_program_proposes_is_not_confirmed_by_who_made_its_secret(house: House) -> None:
    program = await _make_program(house)
    await credentials.make_secret(house.service, house.alice, "robot", Wanted("robot", 90 * DAY))
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    house.clock.advance(30 * DAY)
    await guardrails.put_guardrail(house.service, program, LOOSER)
    for held in await credentials.list_credentials(house.service, house.alice, "robot"):
        house.clock.advance(HOUR)
        await credentials.revoke_credential(house.service, house.alice, held.id)
    with pytest.raises(Forbidden, match="whose secret they made"):
        await house.confirm_guardrail("night", by=house.alice)
    await house.confirm_guardrail("night", by=second)
    assert await _in_force(house) == LOOSER


async def test_what_a_program_of_an_issuer_proposes_is_confirmed_by_nobody(house: House) -> None:
    """Whoever controls the subject, such as a pipeline, can speak through it, and nobody knows who that is."""
    pipeline = await _pipeline(house)
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    house.clock.advance(30 * DAY)
    assert not await guardrails.put_guardrail(house.service, pipeline, LOOSER)
    for who in (house.alice, second):
        with pytest.raises(Forbidden, match="Let a person propose the same change, and another person") as refused:
            await house.confirm_guardrail("night", by=who)
        assert refused.value.code == "NotIndependent"
    assert await _in_force(house) == RAIL
    await guardrails.put_guardrail(house.service, house.alice, LOOSER)
    await house.confirm_guardrail("night", by=second)
    assert await _in_force(house) == LOOSER


async def test_a_program_of_an_issuer_is_not_made_a_persons_by_a_secret_besides(house: House) -> None:
    pipeline = await _pipeline(house)
    await credentials.make_secret(house.service, house.alice, "pipeline", Wanted("robot", 90 * DAY))
    second = await house.add_asker("second", "Security Admin")
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    house.clock.advance(30 * DAY)
    await guardrails.put_guardrail(house.service, pipeline, LOOSER)
    with pytest.raises(Forbidden, match="Nobody knows which person"):
        await house.confirm_guardrail("night", by=second)


async def test_what_a_program_proposes_that_nobody_could_sign_in_as_is_confirmed_by_nobody(house: House) -> None:
    program = await _make_program(house)
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    house.clock.advance(30 * DAY)
    await guardrails.put_guardrail(house.service, program, LOOSER)
    with pytest.raises(Forbidden, match="Nobody knows which person"):
        await house.confirm_guardrail("night", by=house.alice)


async def test_a_program_approves_nothing_and_is_told_so(house: House) -> None:
    program = await _make_program(house)
    await _ask_for_approval(house)
    asked = await house.ask("web-1", by=await house.add_asker("carl", "Owner"))
    [waiting] = (await approvals.list_waiting(house.service, program)).items
    assert not waiting.is_mine
    with pytest.raises(Forbidden, match="a person's word"):
        await approvals.approve(house.service, program, asked.uid)
    await approvals.deny(house.service, program, asked.uid)


async def test_a_request_that_only_programs_could_approve_is_refused(house: House) -> None:
    await _make_program(house)
    await _ask_for_approval(house)
    with pytest.raises(Refused, match="nobody can give it"):
        await house.ask("web-1")


async def test_what_a_program_asks_for_is_not_approved_by_who_made_its_secret(house: House) -> None:
    program = await _make_program(house)
    second = await house.add_asker("second", "Owner")
    await credentials.make_secret(house.service, house.alice, "robot", Wanted("robot", 90 * DAY))
    await _ask_for_approval(house)
    asked = await house.ask("web-1", by=program)
    [waiting] = (await approvals.list_waiting(house.service, house.alice)).items
    assert not waiting.is_mine
    with pytest.raises(Forbidden, match="could have asked through it"):
        await approvals.approve(house.service, house.alice, asked.uid)
    await approvals.approve(house.service, second, asked.uid)


async def _ask_for_approval(house: House) -> None:
    await house.enable("web-1")
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("two", Selector(), Limits(approvals=1)))


async def _pipeline(house: House) -> Asker:
    claimed = Claimed("https://ci.example", "repo:team/infra", "pipeline", ())
    known = await recognise(house.service, Caller(house.alice.address, "c"), claimed, PROGRAM)
    await _give(house, house.alice, known.principal.name)
    return await _asker(house, known.principal.name)


async def _set_up_long_ago(house: House) -> None:
    """An administrator, one who was let in no more, a group with the right and without members, a role without it."""
    await groups.add_group(house.service, house.alice, "old keepers")
    await _give(house, house.alice, "old keepers")
    await house.add_asker("old", "Owner")
    await house.add_asker("gone", "Owner")
    await principals.disable_principal(house.service, house.alice, "gone")
    await put_role(house.service, house.alice, _role(roles.READ_GUARDRAIL))
    await principals.add_principal(house.service, house.alice, "reader")
    await _give(house, house.alice, "reader", "Keeper")
    house.clock.advance(30 * DAY)


async def _propose_later(house: House, by: Asker, *, wait: timedelta, before: Way | None = None) -> None:
    house.clock.advance(30 * DAY)
    await guardrails.put_guardrail(house.service, house.alice, RAIL)
    if before is not None:
        await before(house)
    house.clock.advance(wait)
    assert not await guardrails.put_guardrail(house.service, by, LOOSER)


async def _make_program(house: House) -> Asker:
    await principals.add_principal(house.service, house.alice, "robot", Kind.SERVICE)
    await _give(house, house.alice, "robot")
    return await _asker(house, "robot")


async def _give(house: House, by: Asker, holder: str, role: str = "Owner") -> None:
    await assignments.assign_role(house.service, by, str(uuid4()), role=role, holder=holder, scope="/")


async def _asker(house: House, name: str) -> Asker:
    account = await house.store.read(lambda tx: rows.find(tx, name))
    assert account is not None
    principal = await house.store.read(lambda tx: rows.load(tx, account.uid))
    assert principal is not None
    return replace(house.alice, principal=principal)


async def _in_force(house: House) -> Guardrail:
    return await guardrails.get_guardrail(house.service, house.alice, "night")


def _role(*actions: str) -> Role:
    return Role("Keeper", actions, (), "", "", ("/",), is_custom=True)
