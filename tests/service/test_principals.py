"""People, programs and groups: who is let in, and what closes when that ends."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.house import HOUR, START, SUBSCRIPTION, House

from jitgate.audit import Operation, Outcome
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.errors import Conflict, Forbidden, Invalid, JitgateError, NotFound
from jitgate.core.roles import Kind, Role
from jitgate.identity.bearers import Bearers
from jitgate.identity.issuers import Claimed, Issuer, Issuers, Provider
from jitgate.service import assignments, eligibility, groups, principals, roles
from jitgate.service.base import Asker
from jitgate.service.recognition import PERSON, Caller, recognise
from jitgate.store import principals as rows
from jitgate.store.database import Tx
from jitgate.store.eligibility import why_not

ISSUER, OTHER = "https://people.example", "https://other.example"
SUB = f"/subscriptions/{SUBSCRIPTION}"


async def give(house: House, role: str, holder: str, scope: str = "/", by: Asker | None = None) -> str:
    uid = str(uuid4())
    await assignments.assign_role(house.service, by or house.alice, uid, role=role, holder=holder, scope=scope)
    return uid


async def again(house: House, asker: Asker) -> Asker:
    """The same asker with the rights that they hold now."""
    found = await house.store.read(lambda tx: rows.load(tx, asker.principal.uid))
    assert found is not None
    return Asker(found, asker.credential, asker.address)


def trust(house: House, **issuers: str) -> None:
    """Have people sign in at these issuers, by name."""
    providers = [Provider(Issuer(name, url, client_id="jitgate"), house.clock) for name, url in issuers.items()]
    house.service = replace(house.service, bearers=Bearers(issuers=Issuers(providers)))


# --- principals --------------------------------------------------------------------------------------


async def test_somebody_new_has_no_right_until_one_is_given(house: House) -> None:
    made = await principals.add_principal(house.service, house.alice, "Bob Builder", Kind.SERVICE)
    shown = await principals.get_principal(house.service, house.alice, "BOB BUILDER")
    assert (shown.account, shown.assignments) == (made, ())
    await give(house, "Reader", "bob builder")
    shown = await principals.get_principal(house.service, house.alice, made.uid)
    assert [(one.role.name, one.scope) for one in shown.assignments] == [("Reader", "/")]


async def test_a_name_is_taken_once_by_people_programs_and_groups_together(house: House) -> None:
    await principals.add_principal(house.service, house.alice, "ops")
    for name in ("ops", "OPS"):
        with pytest.raises(Conflict):
            await principals.add_principal(house.service, house.alice, name)
        with pytest.raises(Conflict):
            await groups.add_group(house.service, house.alice, name)


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\x00b", "a" * 257])
async def test_what_nobody_can_be_called_is_refused(house: House, name: str) -> None:
    with pytest.raises(Invalid):
        await principals.add_principal(house.service, house.alice, name)


async def test_disabling_somebody_closes_at_once_what_they_have_and_wait_for(house: House) -> None:
    await house.enable("web-1", "web-2")
    bob = await house.add_asker("bob", "JIT Requester")
    grant = await house.open("web-1", by=bob)
    later = (await house.ask("web-2", by=bob, start=START + HOUR)).grants[0].grant
    others = await house.open("web-2")
    await principals.disable_principal(house.service, house.alice, "bob")
    await house.settle()
    closed, never, kept = [await house.grant(one.uid) for one in (grant, later, others)]
    assert (closed.state, closed.reason) == (State.CLOSED, CloseReason.REVOKED)
    assert (never.state, never.reason) == (State.CLOSED, CloseReason.REVOKED)
    assert kept.state is State.OPEN
    assert not house.reaches("web-1")
    [event] = await house.events(Operation.PRINCIPAL_DISABLE)
    assert set(event.properties["closed"]) == {grant.uid, later.uid}


async def test_who_is_disabled_is_let_in_again_with_the_rights_they_had(house: House) -> None:
    bob = await house.add_asker("bob", "JIT Requester")
    for _ in range(2):
        assert (await principals.disable_principal(house.service, house.alice, "bob")).disabled_at == house.clock.wall()
    assert len(await house.events(Operation.PRINCIPAL_DISABLE)) == 1
    assert (await principals.enable_principal(house.service, house.alice, "bob")).disabled_at is None
    assert (await again(house, bob)).principal.assignments == bob.principal.assignments


async def test_nobody_disables_themselves(house: House) -> None:
    await house.add_asker("second", "Owner")
    with pytest.raises(Conflict, match="another administrator"):
        await principals.disable_principal(house.service, house.alice, "alice")


async def test_the_last_who_can_give_rights_is_never_disabled(house: House) -> None:
    keeper = await house.add_asker("keeper", "Reader")
    disabling = await house.add_role(keeper, "Owner", SUB)
    with pytest.raises(Forbidden):
        await principals.disable_principal(house.service, disabling, "alice")
    second = await house.add_asker("second", "Owner")
    await principals.disable_principal(house.service, second, "alice")
    third = await house.add_asker("third", "Owner")
    await principals.disable_principal(house.service, third, "second")
    [own] = [one for one in await house.store.read(rows.list_assignments) if one.principal == third.principal.uid]
    with pytest.raises(Conflict) as refused:
        await assignments.unassign_role(house.service, third, own.uid)
    assert refused.value.code == "LastAdministrator"
    assert (await again(house, third)).principal.assignments


async def test_enabling_somebody_takes_the_rights_that_they_come_back_with(house: House) -> None:
    """Else whoever may enable could bring back an Owner, and be one through them."""
    await house.add_asker("bob", "Owner")
    await principals.disable_principal(house.service, house.alice, "bob")
    helper = await house.add_asker("helper", "Reader")
    role = await custom(house, "Jitgate.Access/principals/*", "Microsoft.Authorization/*")
    await give(house, role, "helper")
    helper = await again(house, helper)
    with pytest.raises(Forbidden, match="Owner gives"):
        await principals.enable_principal(house.service, helper, "bob")


async def custom(house: House, *actions: str) -> str:
    """The name of a new role that holds some actions."""
    made = await roles.put_role(house.service, house.alice, Role(f"custom {uuid4()}", actions, is_custom=True))
    return made.name


# --- groups ------------------------------------------------------------------------------------------


async def test_leaving_a_group_closes_what_the_group_allowed(house: House) -> None:
    await house.enable("web-1", "web-2")
    bob, eve = await house.add_asker("bob"), await house.add_asker("eve", "JIT Requester")
    await groups.add_group(house.service, house.alice, "On Call")
    await give(house, "JIT Requester", "on call", SUB)
    for name in ("bob", "eve"):
        await groups.join_group(house.service, house.alice, "On Call", name)
    by_group = await house.open("web-1", by=await again(house, bob))
    by_both = await house.open("web-2", by=await again(house, eve))
    for name in ("bob", "eve"):
        await groups.leave_group(house.service, house.alice, "On Call", name)
    await house.settle()
    assert (await house.grant(by_group.uid)).reason is CloseReason.REVOKED
    assert (await house.grant(by_both.uid)).state is State.OPEN, "she may still ask by herself"


async def test_removing_a_group_closes_what_it_allowed(house: House) -> None:
    await house.enable("web-1")
    bob = await house.add_asker("bob")
    await groups.add_group(house.service, house.alice, "oncall")
    await give(house, "JIT Requester", "oncall")
    await groups.join_group(house.service, house.alice, "oncall", "bob")
    grant = await house.open("web-1", by=await again(house, bob))
    await groups.remove_group(house.service, house.alice, "ONCALL")
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.REVOKED
    with pytest.raises(NotFound):
        await groups.get_group(house.service, house.alice, "oncall")


async def test_who_puts_somebody_into_a_group_must_hold_what_it_gives(house: House) -> None:
    await groups.add_group(house.service, house.alice, "owners")
    await give(house, "Owner", "owners")
    role = await custom(house, "Jitgate.Access/groups/*", "Microsoft.Authorization/*")
    helper = await house.add_asker("helper")
    await give(house, role, "helper")
    helper = await again(house, helper)
    with pytest.raises(Forbidden, match="Owner gives"):
        await groups.join_group(house.service, helper, "owners", "helper")
    await groups.add_group(house.service, helper, "empty")
    await groups.join_group(house.service, helper, "empty", "helper")
    with pytest.raises(Forbidden, match="Owner gives"):
        await give(house, "Owner", "empty", by=helper)


async def test_who_is_in_a_claimed_group_is_not_decided_here(house: House) -> None:
    trust(house, people=ISSUER)
    await groups.add_group(house.service, house.alice, "/keycloak/admins", claimed=True, issuer="people")
    for change in (groups.join_group, groups.leave_group):
        with pytest.raises(Conflict, match="identity provider"):
            await change(house.service, house.alice, "/keycloak/admins", "alice")


async def test_a_claimed_group_is_one_issuers_and_another_that_claims_its_name_gives_nothing(house: House) -> None:
    trust(house, people=ISSUER, others=OTHER)
    made = await groups.add_group(house.service, house.alice, "oncall", claimed=True, issuer="others")
    assert made.issuer == OTHER
    await give(house, "Owner", "oncall")
    known = [
        await recognise(house.service, Caller(None, "test"), Claimed(issuer, "1", "zoe", ("oncall",)), PERSON)
        for issuer in (ISSUER, OTHER)
    ]
    assert [len(one.principal.assignments) for one in known] == [0, 1]


async def test_the_only_issuer_where_people_sign_in_need_not_be_named(house: House) -> None:
    for trusted, expected in (({"people": ISSUER}, ISSUER), ({}, None), ({"people": ISSUER, "others": OTHER}, None)):
        trust(house, **trusted)
        if expected:
            made = await groups.add_group(house.service, house.alice, "staff", claimed=True)
            assert made.issuer == expected
            continue
        with pytest.raises(Invalid, match="issuer"):
            await groups.add_group(house.service, house.alice, "others", claimed=True)
    with pytest.raises(Invalid, match="people, others"):
        await groups.add_group(house.service, house.alice, "others", claimed=True, issuer="https://evil.example")


async def test_a_claim_that_ends_closes_what_it_allowed_and_both_are_on_record(house: House) -> None:
    trust(house, people=ISSUER)
    await house.enable("web-1")
    await groups.add_group(house.service, house.alice, "oncall", claimed=True, issuer="people")
    await give(house, "JIT Requester", "oncall")
    bob = await house.add_asker("bob")
    await house.store.write(lambda tx: groups.follow_claim(tx, bob, ISSUER, ["OnCall", "somebody else's"]))
    grant = await house.open("web-1", by=await again(house, bob))
    await house.store.write(lambda tx: groups.follow_claim(tx, bob, ISSUER, ["OnCall"]))
    assert (await house.grant(grant.uid)).state is State.OPEN
    await house.store.write(lambda tx: groups.follow_claim(tx, bob, ISSUER, []))
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.REVOKED
    [joined] = await house.events(Operation.GROUP_JOIN)
    [left] = await house.events(Operation.GROUP_LEAVE)
    assert joined.properties["claimed"]
    assert (left.properties["member"], left.properties["closed"]) == ("bob", [grant.uid])


# --- what holds for all ------------------------------------------------------------------------------


async def test_without_the_right_the_answer_is_the_same_whoever_there_is(house: House) -> None:
    bob = await house.add_asker("bob", "Owner", SUB)
    await groups.add_group(house.service, house.alice, "ops")

    async def answer(call: object) -> str:
        with pytest.raises(JitgateError) as refused:
            await call  # type: ignore[misc]
        return f"{refused.value.code} {refused.value.message}"

    for known, unknown in (("alice", "nobody"), ("ops", "no group")):
        for ask in (
            principals.get_principal,
            principals.disable_principal,
            principals.enable_principal,
            groups.get_group,
            groups.remove_group,
        ):
            assert await answer(ask(house.service, bob, known)) == await answer(ask(house.service, bob, unknown))


async def test_refusals_are_on_record(house: House) -> None:
    bob = await house.add_asker("bob")
    with pytest.raises(Forbidden):
        await principals.disable_principal(house.service, bob, "alice")
    [event] = await house.events(Operation.PRINCIPAL_DISABLE)
    assert (event.outcome, event.caller, event.resource) == (str(Outcome.REFUSED), "bob", "/principals/alice")


async def test_what_closes_with_a_right_does_not_depend_on_what_others_have_open(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same number of looks at grants, whoever else has how much open."""
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester")
    await house.open("web-1", by=bob)
    for at in range(20):
        await house.open("web-1", sources=(f"198.51.100.{at}",))
    looked: list[str] = []

    def look(tx: Tx, grant: Grant) -> str:
        looked.append(grant.uid)
        return why_not(tx, grant)

    monkeypatch.setattr(eligibility, "why_not", look)
    await principals.disable_principal(house.service, house.alice, "bob")
    assert len(looked) == 1


async def test_the_pages_of_a_list_follow_each_other(house: House) -> None:
    for name in ("ann", "bob", "cid"):
        await principals.add_principal(house.service, house.alice, name)
    first = await principals.list_principals(house.service, house.alice, limit=2)
    rest = await principals.list_principals(house.service, house.alice, limit=2, after=first.after)
    assert [one.name for one in (*first.items, *rest.items)] == ["alice", "ann", "bob", "cid"]
    assert rest.after is None


async def test_a_grant_that_ended_meanwhile_is_left_alone(house: House) -> None:
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester")
    grant = await house.open("web-1", by=bob)
    await house.pass_time(timedelta(hours=3))
    await principals.disable_principal(house.service, house.alice, "bob")
    assert (await house.grant(grant.uid)).reason is CloseReason.EXPIRED
