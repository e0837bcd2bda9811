"""Tokens: what is pasted where it does not belong is not written down, and a limited one tells of no other."""

import pytest
from tests.house import HOUR, House, limited

from jitgate import audit
from jitgate.core.errors import NotFound
from jitgate.core.roles import Limit
from jitgate.service import credentials, freezes, principals
from jitgate.service.credentials import Wanted
from jitgate.store import activity


async def record_of(house: House) -> str:
    entries = await house.store.read(lambda tx: activity.oldest(tx))
    return "\n".join(audit.line(entry).decode() for entry in entries)


async def test_a_whole_token_can_be_revoked_and_its_secret_is_not_put_on_record(house: House) -> None:
    """Whoever revokes a token that has leaked pastes what they have found."""
    made = await credentials.make_token(house.service, house.alice, Wanted("leaked", HOUR))
    await credentials.revoke_credential(house.service, house.alice, made.secret)
    [held] = await credentials.list_credentials(house.service, house.alice)
    assert held.ended
    assert made.secret[25:45] not in await record_of(house)


async def test_a_token_where_a_name_belongs_is_not_put_on_record(house: House) -> None:
    made = await credentials.make_token(house.service, house.alice, Wanted("mine", HOUR))
    for act in (
        principals.disable_principal(house.service, house.alice, made.secret),
        freezes.freeze(house.service, house.alice, freezes.Target(person=made.secret), "wrong field"),
        credentials.revoke_credential(house.service, house.alice, made.secret[:-1]),
    ):
        with pytest.raises(NotFound):
            await act
    assert made.secret[25:32] not in await record_of(house)


async def test_a_limited_token_lists_no_other(house: House) -> None:
    await credentials.make_token(house.service, house.alice, Wanted("wide", HOUR))
    narrow = limited(house.alice, Limit(("Microsoft.Insights/*",)))
    assert await credentials.list_credentials(house.service, narrow) == ()
