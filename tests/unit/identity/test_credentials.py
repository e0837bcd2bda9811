"""From a bearer token to whom it proves: everybody else hears the same words."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jitgate.clock import ManualClock
from jitgate.core.errors import Unauthenticated
from jitgate.core.roles import JIT_REQUESTER
from jitgate.identity.credentials import NoLongerValid, authenticate
from jitgate.identity.kinds import TOKEN
from jitgate.store import credentials, principals
from jitgate.store.database import Store, Tx
from jitgate.store.principals import Credential
from jitgate.trust import tokens
from jitgate.trust.tokens import Token

LIFE = timedelta(days=1)
End = Callable[[Store, ManualClock, Token], Awaitable[None]]
GROUP = "/subscriptions/s/resourceGroups/g"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def token() -> Token:
    return tokens.make()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock, token: Token) -> AsyncIterator[Store]:
    """With one principal, alice, who holds one token and one role."""
    opened = Store.open(f"sqlite:///{tmp_path / 'jitgate.db'}", clock)
    await opened.write(lambda tx: add_alice(tx, token))
    yield opened
    opened.close()


def add_alice(tx: Tx, token: Token, kind: str = TOKEN) -> None:
    principals.add(tx, "alice", "Alice")
    principals.assign(tx, "assignment", "alice", JIT_REQUESTER.name, GROUP)
    credentials.add(tx, Credential(token.id, "alice", kind, "", token.digest, tx.now, tx.now + LIFE))


async def message_for(store: Store, bearer: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        await authenticate(store, bearer)
    return raised.value.message


async def test_a_token_proves_its_principal_with_its_roles(store: Store, token: Token) -> None:
    known = await authenticate(store, token.text)
    assert (known.principal.uid, known.principal.name, known.credential) == ("alice", "Alice", token.id)
    assert [(given.role.name, given.scope) for given in known.principal.assignments] == [(JIT_REQUESTER.name, GROUP)]


def wrong_secret(token: Token) -> str:
    return Token(token.id, tokens.make().secret).text


def unknown_id(token: Token) -> str:
    return Token(tokens.make().id, token.secret).text


def nothing(_token: Token) -> str:
    return ""


def too_long(token: Token) -> str:
    return token.text + "x"


@pytest.mark.parametrize("forge", [wrong_secret, unknown_id, nothing, too_long])
async def test_a_stranger_hears_one_message_whatever_is_wrong(
    store: Store, token: Token, forge: Callable[[Token], str]
) -> None:
    assert await message_for(store, forge(token)) == await message_for(store, "no token at all")


async def expire(store: Store, clock: ManualClock, token: Token) -> None:
    del store, token
    clock.advance(LIFE)


async def revoke(store: Store, clock: ManualClock, token: Token) -> None:
    del clock
    await store.write(lambda tx: credentials.revoke(tx, token.id))


async def disable(store: Store, clock: ManualClock, token: Token) -> None:
    del clock, token
    await store.write(lambda tx: principals.disable(tx, "alice"))


@pytest.mark.parametrize(("end", "why"), [(expire, "expired"), (revoke, "revoked"), (disable, "disabled")])
async def test_a_token_that_counts_no_more_is_refused_at_once_and_in_the_same_words(
    store: Store, clock: ManualClock, token: Token, end: End, why: str
) -> None:
    stranger = await message_for(store, "no token at all")
    await authenticate(store, token.text)
    await end(store, clock, token)
    with pytest.raises(NoLongerValid) as raised:
        await authenticate(store, token.text)
    assert raised.value.message == stranger
    assert why in raised.value.why
    assert raised.value.known.credential == token.id


async def test_a_token_counts_until_the_moment_of_its_end(store: Store, clock: ManualClock, token: Token) -> None:
    clock.advance(LIFE - timedelta(seconds=1))
    assert (await authenticate(store, token.text)).principal.uid == "alice"


async def test_a_role_that_is_taken_away_stops_counting_at_once(store: Store, token: Token) -> None:
    assert (await authenticate(store, token.text)).principal.assignments
    await store.write(lambda tx: principals.unassign(tx, "assignment"))
    assert not (await authenticate(store, token.text)).principal.assignments


async def test_a_wrong_secret_for_a_revoked_token_says_nothing_about_it(store: Store, token: Token) -> None:
    await store.write(lambda tx: credentials.revoke(tx, token.id))
    with pytest.raises(Unauthenticated) as raised:
        await authenticate(store, wrong_secret(token))
    assert not isinstance(raised.value, NoLongerValid)


async def test_a_credential_of_another_kind_is_no_bearer_token(store: Store) -> None:
    other = tokens.make()

    def add(tx: Tx) -> None:
        credentials.add(tx, Credential(other.id, "alice", "join", "", other.digest, tx.now))

    await store.write(add)
    await message_for(store, other.text)


async def test_an_unknown_id_costs_a_comparison_too(
    store: Store, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def matches(secret: str, stored: str) -> bool:
        compared.append(stored)
        return False

    monkeypatch.setattr(tokens, "matches", matches)
    await message_for(store, unknown_id(token))
    await message_for(store, token.text)
    assert compared == [tokens.NO_TOKEN, token.digest]
