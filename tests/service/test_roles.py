"""Roles and assignments: nobody gives more than they hold, and what is taken away closes."""

from dataclasses import replace
from uuid import uuid4

import pytest
from tests.house import SUBSCRIPTION, House, ask, policy_id
from tests.service.test_principals import again, give

from jitgate.audit import Operation
from jitgate.core.access import CloseReason, State
from jitgate.core.errors import Conflict, Forbidden, Invalid, JitgateError, NotFound
from jitgate.core.roles import BUILT_IN, INITIATE, OWNER, READ_MACHINE, READ_POLICY, Role
from jitgate.service import assignments, groups, requests, roles

SUB = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SUB}/resourceGroups/jitgate"
WEB = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web-1"
ASKS = Role("Asks", (INITIATE, READ_MACHINE, READ_POLICY), description="Asks.", scopes=(SUB,))


# --- definitions -------------------------------------------------------------------------------------


async def test_a_custom_role_is_defined_changed_and_removed(house: House) -> None:
    made = await roles.put_role(house.service, house.alice, ASKS)
    assert await roles.get_role(house.service, house.alice, "asks", GROUP) == made
    changed = await roles.put_role(house.service, house.alice, replace(ASKS, description="Asks for access."))
    assert changed.id == made.id
    assert await roles.list_roles(house.service, house.alice, "/") == [*BUILT_IN.values(), changed]
    assert await roles.delete_role(house.service, house.alice, "ASKS") == changed
    assert await roles.delete_role(house.service, house.alice, "ASKS") is None
    assert [event.properties["role"]["name"] for event in await house.events(Operation.ROLE_WRITE)] == ["Asks"] * 2


async def test_a_role_is_listed_where_it_matters_and_nowhere_else(house: House) -> None:
    await roles.put_role(house.service, house.alice, replace(ASKS, scopes=(GROUP,)))
    for scope, listed in ((SUB, True), (GROUP, True), (WEB, True), (GROUP + "0", False)):
        found = await roles.list_roles(house.service, house.alice, scope)
        assert ("Asks" in {role.name for role in found}) is listed
    with pytest.raises(NotFound):
        await roles.get_role(house.service, house.alice, "Asks", GROUP + "0")


async def test_what_is_built_in_stays_as_it_is(house: House) -> None:
    with pytest.raises(Invalid, match="built in"):
        await roles.put_role(house.service, house.alice, replace(ASKS, name="READER"))
    with pytest.raises(Invalid, match="built in"):
        await roles.put_role(house.service, house.alice, replace(ASKS, id=OWNER.id))
    with pytest.raises(Invalid, match="built in"):
        await roles.delete_role(house.service, house.alice, "Reader")


async def test_two_roles_have_two_names(house: House) -> None:
    await roles.put_role(house.service, house.alice, ASKS)
    with pytest.raises(Conflict, match="unique"):
        await roles.put_role(house.service, house.alice, replace(ASKS, name="ASKS", id=str(uuid4())))


async def test_a_role_that_somebody_holds_is_neither_removed_nor_taken_from_its_place(house: House) -> None:
    await house.add_asker("bob")
    await roles.put_role(house.service, house.alice, ASKS)
    await give(house, "Asks", "bob", GROUP)
    for change in (
        roles.delete_role(house.service, house.alice, "Asks"),
        roles.put_role(house.service, house.alice, replace(ASKS, scopes=(WEB,))),
    ):
        with pytest.raises(Conflict) as refused:
            await change
        assert refused.value.code == "RoleInUse"


async def test_nobody_defines_a_role_that_holds_more_than_they_do(house: House) -> None:
    bob = await house.add_asker("bob", "Owner", SUB)
    await roles.put_role(house.service, bob, ASKS)
    with pytest.raises(Forbidden):
        await roles.put_role(house.service, bob, replace(ASKS, scopes=("/",)))
    await roles.put_role(house.service, house.alice, Role("Definer", ("Microsoft.Authorization/*",)))
    eve = await house.add_asker("eve")
    await give(house, "Definer", "eve")
    eve = await again(house, eve)
    with pytest.raises(Forbidden, match="does not hold"):
        await roles.put_role(house.service, eve, replace(ASKS, name="More"))
    with pytest.raises(Forbidden, match="does not hold"):
        await roles.put_role(house.service, eve, replace(ASKS, actions=("*",)))


async def test_what_a_role_loses_closes_for_all_who_hold_it(house: House) -> None:
    await house.enable("web-1")
    bob = await house.add_asker("bob")
    await roles.put_role(house.service, house.alice, ASKS)
    await groups.add_group(house.service, house.alice, "oncall")
    await groups.join_group(house.service, house.alice, "oncall", "bob")
    await give(house, "Asks", "oncall", SUB)
    grant = await house.open("web-1", by=await again(house, bob))
    await roles.put_role(house.service, house.alice, replace(ASKS, description="still asks"))
    assert (await house.grant(grant.uid)).state is State.OPEN
    await roles.put_role(house.service, house.alice, replace(ASKS, not_actions=(INITIATE,)))
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.REVOKED
    assert (await house.events(Operation.ROLE_WRITE))[-1].properties["closed"] == [grant.uid]


async def test_who_may_not_remove_a_role_is_not_told_whether_it_is_there(house: House) -> None:
    bob = await house.add_asker("bob", "Reader")
    await roles.put_role(house.service, house.alice, ASKS)
    messages = set()
    for name in ("Asks", "Unknown"):
        with pytest.raises(Forbidden) as refused:
            await roles.delete_role(house.service, bob, name)
        messages.add(refused.value.message)
    assert len(messages) == 1


# --- assignments -------------------------------------------------------------------------------------


async def test_a_role_that_is_taken_away_closes_what_it_allowed(house: House) -> None:
    await house.enable("web-1", "web-2")
    bob = await house.add_asker("bob", "JIT Requester", WEB)
    uid = await give(house, "JIT Requester", "bob", GROUP)
    bob = await again(house, bob)
    here, there = [await house.open(name, by=bob) for name in ("web-1", "web-2")]
    await assignments.unassign_role(house.service, house.alice, uid)
    await house.settle()
    assert (await house.grant(here.uid)).state is State.OPEN, "the right at the machine itself is left"
    assert (await house.grant(there.uid)).reason is CloseReason.REVOKED
    assert not house.reaches("web-2")
    [event] = await house.events(Operation.ROLE_UNASSIGN)
    assert event.properties["closed"] == [there.uid]
    assert event.resource == f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uid}"


async def test_the_same_assignment_again_changes_nothing(house: House) -> None:
    await house.add_asker("bob")
    uid = await give(house, "Reader", "bob", SUB)
    again_ = await assignments.assign_role(
        house.service, house.alice, uid, role="reader", holder="BOB", scope=SUB.upper().replace("SUBS", "subs")
    )
    assert again_.given.uid == uid
    assert len(await house.events(Operation.ROLE_ASSIGN)) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"role": "Emperor"}, "RoleDefinitionDoesNotExist"),
        ({"holder": "nobody"}, "PrincipalNotFound"),
        ({"scope": "/nowhere"}, "InvalidInput"),
        ({"scope": ""}, "InvalidInput"),
        ({"role": "Asks", "scope": "/"}, "InvalidInput"),
        ({"uid": "another"}, "RoleAssignmentExists"),
        ({"scope": GROUP}, "RoleAssignmentUpdateNotPermitted"),
    ],
)
async def test_what_cannot_be_given_is_refused_with_its_reason(
    house: House, changes: dict[str, str], code: str
) -> None:
    await house.add_asker("bob")
    await roles.put_role(house.service, house.alice, ASKS)
    uid = await give(house, "Reader", "bob", SUB)
    wanted = {"uid": uid, "role": "Reader", "holder": "bob", "scope": SUB} | changes
    with pytest.raises(JitgateError) as refused:
        await assignments.assign_role(house.service, house.alice, **wanted)
    assert refused.value.code == code


async def test_nobody_gives_more_than_they_hold_there(house: House) -> None:
    local = await house.add_asker("local", "Owner", GROUP)
    await house.add_asker("bob")
    await give(house, "Owner", "bob", GROUP, by=local)
    with pytest.raises(Forbidden):
        await give(house, "Reader", "bob", SUB, by=local)
    await roles.put_role(house.service, house.alice, Role("Giver", ("Microsoft.Authorization/*",)))
    giver = await house.add_asker("giver")
    await give(house, "Giver", "giver")
    giver = await again(house, giver)
    with pytest.raises(Forbidden, match="does not hold"):
        await give(house, "Owner", "giver", by=giver)
    with pytest.raises(Forbidden, match="does not hold"):
        await give(house, "JIT Requester", "bob", by=giver)
    await give(house, "Giver", "bob", by=giver)


async def test_contributors_give_nothing(house: House) -> None:
    bob = await house.add_asker("bob", "Contributor")
    with pytest.raises(Forbidden, match="roleAssignments/write"):
        await give(house, "Reader", "bob", by=bob)


async def test_who_may_not_take_a_role_away_is_not_told_whether_it_is_there(house: House) -> None:
    bob = await house.add_asker("bob", "Reader")
    known = (await assignments.list_assignments(house.service, house.alice, "/")).items[0].given.uid
    messages = set()
    for uid in (known, str(uuid4())):
        for scope in (None, "/"):
            with pytest.raises(Forbidden) as refused:
                await assignments.unassign_role(house.service, bob, uid, scope)
            messages.add(refused.value.message)
    assert len(messages) == 1
    assert await assignments.unassign_role(house.service, house.alice, str(uuid4())) is None


async def test_assignments_are_listed_with_what_they_give_and_to_whom(house: House) -> None:
    await house.add_asker("bob")
    await groups.add_group(house.service, house.alice, "oncall")
    await groups.join_group(house.service, house.alice, "oncall", "bob")
    await give(house, "Reader", "oncall", SUB)
    await give(house, "Auditor", "bob", GROUP)

    async def listed(scope: str, **filters: object) -> set[tuple[str, str]]:
        page = await assignments.list_assignments(house.service, house.alice, scope, **filters)  # type: ignore[arg-type]
        return {(view.holder.name, view.role.name) for view in page.items}

    assert await listed(SUB) == {("alice", "Owner"), ("oncall", "Reader"), ("bob", "Auditor")}
    assert await listed(SUB, below=False) == {("alice", "Owner"), ("oncall", "Reader")}
    assert await listed("/", holder="bob") == {("bob", "Auditor")}
    assert await listed("/", holder="bob", through_groups=True) == {("bob", "Auditor"), ("oncall", "Reader")}
    assert await listed("/", holder="nobody") == set()


# --- asking, at the machine --------------------------------------------------------------------------


async def test_a_right_at_one_machine_is_enough_to_ask_for_it(house: House) -> None:
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester", WEB)
    await house.open("web-1", by=bob)
    assert (await requests.initiate(house.service, bob, policy_id(), ask("web-1"))).grants


async def test_a_right_at_one_machine_tells_nothing_of_which_policies_there_are(house: House) -> None:
    await house.enable("web-2")
    bob = await house.add_asker("bob", "JIT Requester", WEB)
    messages = set()
    for name in ("default", "no-such"):
        with pytest.raises(Forbidden) as refused:
            await requests.initiate(house.service, bob, policy_id(name), ask("web-1"))
        messages.add(refused.value.message.replace(name, "NAME"))
    assert len(messages) == 1
