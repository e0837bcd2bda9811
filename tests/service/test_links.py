"""Sign-in links that an administrator makes for somebody: who may make one, for whom, and until when it is good."""

from datetime import timedelta
from uuid import uuid4

import pytest
from tests.house import HOUR, MINUTE, House

from jitgate import audit
from jitgate.audit import Operation
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.roles import Role
from jitgate.identity.kinds import ACCOUNT
from jitgate.service import credentials, freezes, links, principals, roles, sessions
from jitgate.service.base import Asker
from jitgate.service.credentials import Made
from jitgate.service.recognition import Caller
from jitgate.service.sessions import NotSignedIn, Session
from jitgate.store import activity
from jitgate.store import credentials as credential_rows
from jitgate.store import principals as accounts
from jitgate.store.principals import Credential

DAY = 24 * HOUR
CALLER = Caller(None, "a knock")


async def make(house: House, who: str = "bob", *, by: Asker | None = None, life: timedelta = DAY) -> Made:
    return await links.make_link_for(house.service, by or house.alice, who, life)


async def use(house: House, made: Made) -> Session:
    return await sessions.use_link(house.service, CALLER, made.secret)


async def test_a_link_signs_its_person_in_once(house: House) -> None:
    bob = await house.add_asker("bob", "JIT Requester")
    made = await make(house)
    began = await use(house, made)
    assert (await sessions.find(house.service, CALLER, began.secret)).principal.uid == bob.principal.uid
    with pytest.raises(NotSignedIn):
        await use(house, made)


async def test_a_link_is_on_record_without_its_secret(house: House) -> None:
    await house.add_asker("bob")
    made = await make(house)
    [created] = await house.events(Operation.CREDENTIAL_CREATE)
    assert created.properties["credential"] == made.held.id
    assert created.properties["of"] == "uid-bob"
    await use(house, made)
    entries = await house.store.read(lambda tx: activity.oldest(tx))
    assert made.secret.rpartition("_")[2][:20] not in "\n".join(audit.line(entry).decode() for entry in entries)


async def test_a_link_ends_after_its_time(house: House) -> None:
    await house.add_asker("bob")
    made = await make(house, life=HOUR)
    house.clock.advance(HOUR)
    with pytest.raises(NotSignedIn):
        await use(house, made)


@pytest.mark.parametrize("life", [4 * MINUTE, 7 * DAY + MINUTE])
async def test_a_link_lives_for_five_minutes_to_seven_days(house: House, life: timedelta) -> None:
    await house.add_asker("bob")
    with pytest.raises(Invalid, match="5 minutes to 7 days"):
        await make(house, life=life)


async def test_a_link_is_listed_and_revoked_by_its_id(house: House) -> None:
    await house.add_asker("bob")
    made = await make(house)
    assert [one.id for one in await credentials.list_credentials(house.service, house.alice, "bob")] == [made.held.id]
    await credentials.revoke_credential(house.service, house.alice, made.held.id)
    with pytest.raises(NotSignedIn):
        await use(house, made)


async def test_another_link_ends_the_one_before(house: House) -> None:
    await house.add_asker("bob")
    first, second = await make(house), await make(house)
    with pytest.raises(NotSignedIn):
        await use(house, first)
    await use(house, second)


async def test_nobody_makes_a_link_for_who_holds_more(house: House) -> None:
    """Decision 0009: whoever holds a link could use it."""
    await house.add_asker("bob", "Contributor")
    helper = await assistant_of(house)
    with pytest.raises(Forbidden):
        await make(house, by=helper)
    await house.add_asker("carol")
    assert (await make(house, "carol", by=helper)).held.principal == "carol"


async def test_only_who_administers_people_makes_links(house: House) -> None:
    await house.add_asker("bob")
    for role in ("Contributor", "Security Admin", "JIT Approver", "Reader"):
        with pytest.raises(Forbidden):
            await make(house, by=await house.add_asker(role, role))


async def test_a_link_gives_no_rights_that_came_after_it_was_made(house: House) -> None:
    await house.add_asker("bob")
    made = await make(house, by=await assistant_of(house))
    await house.store.write(lambda tx: accounts.assign(tx, uuid4().hex, "uid-bob", "Owner", "/"))
    with pytest.raises(NotSignedIn):
        await use(house, made)


@pytest.mark.parametrize("how", ["disabled", "frozen"])
async def test_a_link_ends_with_who_has_made_it(house: House, how: str) -> None:
    await house.add_asker("bob")
    made = await make(house, by=await house.add_asker("other", "Owner"))
    await shut_out(house, "other", how)
    with pytest.raises(NotSignedIn):
        await use(house, made)


@pytest.mark.parametrize("how", ["disabled", "frozen"])
async def test_who_is_shut_out_gets_no_link_and_is_let_in_by_none(house: House, how: str) -> None:
    await house.add_asker("bob")
    made = await make(house)
    await shut_out(house, "bob", how)
    with pytest.raises(NotSignedIn):
        await use(house, made)
    with pytest.raises(Conflict, match=how):
        await make(house)


async def test_programs_and_strangers_get_no_link(house: House) -> None:
    await house.store.write(lambda tx: accounts.add(tx, "uid-robot", "robot", "service"))
    with pytest.raises(Conflict, match="client secret"):
        await make(house, "robot")
    with pytest.raises(NotFound):
        await make(house, "nobody")


async def test_whom_a_provider_signs_in_no_link_does(house: House) -> None:
    """Who was shut out there would come in here, and past its second factor."""
    await house.add_asker("bob")
    account = Credential("subject", "uid-bob", ACCOUNT, "bob at the provider", "none", house.clock.wall())
    await house.store.write(lambda tx: credential_rows.add(tx, account))
    with pytest.raises(Conflict, match="identity provider"):
        await make(house)


async def assistant_of(house: House) -> Asker:
    """Somebody who administers people, and holds nothing else."""
    role = Role("Helper", ("Jitgate.Access/*",), description="Lets people in.", scopes=("/",))
    made = await roles.put_role(house.service, house.alice, role)
    return await house.add_asker("helper", made.id)


async def shut_out(house: House, name: str, how: str) -> None:
    if how == "disabled":
        await principals.disable_principal(house.service, house.alice, name)
    else:
        await freezes.freeze(house.service, house.alice, freezes.Target(person=name), "on leave")
