"""Tokens of trusted issuers: whom they prove, and all that they do not prove."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.provider import AUDIENCE, CLIENT, OidcProvider
from tests.server import Server

from jitgate.audit import Operation
from jitgate.clock import ManualClock, SystemClock
from jitgate.core.roles import READER
from jitgate.identity.bearers import Bearers
from jitgate.identity.credentials import NotKnown
from jitgate.identity.issuers import Issuer, Issuers, Provider
from jitgate.identity.signing import Signer
from jitgate.store import activity, credentials, principals
from jitgate.store.activity import Entry, Filter

WHOAMI = "/api/v1/whoami"


def issuer_of(provider: OidcProvider) -> Issuer:
    return Issuer("keycloak", provider.url, audience=AUDIENCE, client_id=CLIENT, ca=provider.ca)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[Server]:
    issuers = Issuers((Provider(issuer_of(provider), SystemClock()),))
    bearers = Bearers(Signer.temporary(), issuers)
    with Server(tmp_path_factory.mktemp("data"), reconciles=False, bearers=bearers) as running:
        yield running


def whoami(server: Server, token: str) -> httpx.Response:
    with server.client(token) as client:
        return client.get(WHOAMI)


def refusals(server: Server) -> list[Entry]:
    wanted = Filter(operation=Operation.SIGN_IN_REFUSED)
    return list(server.call(server.service.store.read(lambda tx: activity.newest(tx, wanted, most=1000))))


def test_a_token_proves_whom_its_issuer_says_who_holds_no_role_at_first(server: Server, provider: OidcProvider) -> None:
    answer = whoami(server, provider.sign(provider.claims(sub="new", preferred_username="newcomer")))
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["roles"]) == ("newcomer", [])
    again = whoami(server, provider.sign(provider.claims(sub="new", preferred_username="renamed")))
    assert again.json()["id"] == answer.json()["id"]
    uid = answer.json()["id"]
    server.call(server.service.store.write(lambda tx: principals.assign(tx, "reader", uid, READER.name, "/")))
    assert whoami(server, provider.sign(provider.claims(sub="new"))).json()["roles"]


def test_a_name_makes_nobody_somebody_else(server: Server, provider: OidcProvider) -> None:
    answer = whoami(server, provider.sign(provider.claims(sub="impostor", preferred_username="owner"))).json()
    assert answer["name"] == "owner (127.0.0.1)"
    assert answer["roles"] == []


def test_a_subject_that_was_shut_out_stays_out(server: Server, provider: OidcProvider) -> None:
    token = provider.sign(provider.claims(sub="leaver", preferred_username="leaver"))
    uid = whoami(server, token).json()["id"]
    held = server.call(server.service.store.read(lambda tx: credentials.list_of(tx, uid, ["account"])))
    server.call(server.service.store.write(lambda tx: credentials.revoke(tx, held[0].id)))
    assert whoami(server, token).status_code == 401


def test_what_an_issuer_lent_makes_nothing_lasting(server: Server, provider: OidcProvider) -> None:
    with server.client(provider.sign(provider.claims())) as client:
        assert client.post("/api/v1/tokens", json={"name": "lasting"}).status_code == 403


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unsigned(provider: OidcProvider) -> str:
    return f"{encoded({'alg': 'none', 'kid': provider.key.kid})}.{encoded(provider.claims())}."


def confused(provider: OidcProvider) -> str:
    """Signed with what everybody knows, the public key, as if that were a shared secret."""
    header = encoded({"alg": "HS256", "kid": provider.key.kid, "typ": "JWT"})
    signed = f"{header}.{encoded(provider.claims())}"
    return f"{signed}.{encoded(hmac.digest(provider.key.as_pem(private=False), signed.encode(), 'sha256'))}"


def by_another_key(provider: OidcProvider) -> str:
    key = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid, "typ": "JWT"}, provider.claims(), key)


NOT_GOOD: Mapping[str, Callable[[OidcProvider], str]] = {
    "expired": lambda p: p.sign(p.claims(exp=int(time.time()) - 61)),
    "not begun": lambda p: p.sign(p.claims(nbf=int(time.time()) + 120)),
    "without an end": lambda p: p.sign({k: v for k, v in p.claims().items() if k != "exp"}),
    "wrong audience": lambda p: p.sign(p.claims(aud="another-api")),
    "an id token": lambda p: p.sign(p.claims(aud=CLIENT)),
    "without audience": lambda p: p.sign({k: v for k, v in p.claims().items() if k != "aud"}),
    "without subject": lambda p: p.sign({k: v for k, v in p.claims().items() if k != "sub"}),
    "another issuer": lambda p: p.sign(p.claims(iss="https://attacker.example")),
    "the issuer with a slash": lambda p: p.sign(p.claims(iss=p.url + "/")),
    "alg none": unsigned,
    "HS256 with the public key": confused,
    "another key": by_another_key,
    "unknown kid": lambda p: p.sign(p.claims(), kid="made-up"),
    "no kid": lambda p: p.sign(p.claims(), kid=""),
    "wrong typ": lambda p: p.sign(p.claims(), typ="logout+jwt"),
    "changed": lambda p: p.sign(p.claims())[:-8] + "AAAAAAAA",
    "a proof of possession": lambda p: p.sign(p.claims(), typ="dpop+jwt"),
    "no JSON": lambda p: "bm9uZQ.bm9uZQ.bm9uZQ",
    "dots": lambda p: "..",
}


@pytest.mark.parametrize("what", NOT_GOOD)
def test_what_is_not_good_proves_nobody_and_the_reason_is_on_record(
    server: Server, provider: OidcProvider, what: str
) -> None:
    before = len(refusals(server))
    answer = whoami(server, NOT_GOOD[what](provider))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert answer.json() == whoami(server, "nonsense").json(), "the caller is told the same whatever it is"
    recorded = refusals(server)
    assert len(recorded) == before + 2
    assert recorded[1].properties["why"]


def test_a_token_of_100_kb_is_refused_before_it_is_looked_at(server: Server, provider: OidcProvider) -> None:
    token = provider.sign(provider.claims(x="x" * 100_000))
    with pytest.raises(NotKnown) as raised:
        server.call(server.service.bearers.issuers.read(token, SystemClock().wall()))
    assert raised.value.why == "the token is too long"


def test_clocks_may_differ_by_the_leeway(server: Server, provider: OidcProvider) -> None:
    late = int(time.time()) - 50
    assert whoami(server, provider.sign(provider.claims(exp=late))).status_code == 200


def test_an_access_token_by_its_type_and_an_audience_among_several_are_taken(
    server: Server, provider: OidcProvider
) -> None:
    token = provider.sign(provider.claims(aud=["other", AUDIENCE]), typ="at+jwt")
    assert whoami(server, token).status_code == 200


# --- keys -----------------------------------------------------------------------------------------------


async def read(cache: Provider, token: str) -> Any:
    return await cache.read(token, AUDIENCE, SystemClock().wall())


async def test_keys_are_fetched_once_and_made_up_key_ids_wear_out_nobody(provider: OidcProvider) -> None:
    clock = ManualClock()
    cache = Provider(issuer_of(provider), clock)
    provider.asked.clear()
    await read(cache, provider.sign(provider.claims()))
    for number in range(20):
        with pytest.raises(NotKnown):
            await read(cache, provider.sign(provider.claims(), kid=f"made-up-{number}"))
    assert provider.asked["keys"] == 1
    clock.advance(timedelta(minutes=2))
    with pytest.raises(NotKnown):
        await read(cache, provider.sign(provider.claims(), kid="made-up"))
    assert provider.asked["keys"] == 2


async def test_a_key_that_the_issuer_has_added_is_found_within_a_minute(tmp_path: Path) -> None:
    with OidcProvider(tmp_path / "p") as provider:
        clock = ManualClock()
        cache = Provider(issuer_of(provider), clock)
        await read(cache, provider.sign(provider.claims()))
        provider.key = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
        clock.advance(timedelta(seconds=61))
        assert (await read(cache, provider.sign(provider.claims())))["sub"]


async def test_an_outage_of_the_issuer_is_none_here_for_a_day(tmp_path: Path) -> None:
    with OidcProvider(tmp_path / "p") as provider:
        clock = ManualClock()
        cache = Provider(issuer_of(provider), clock)
        await read(cache, provider.sign(provider.claims()))
        provider.is_down = True
        clock.advance(timedelta(hours=23))
        assert await read(cache, provider.sign(provider.claims()))
        clock.advance(timedelta(hours=2))
        with pytest.raises(NotKnown):
            await read(cache, provider.sign(provider.claims()))


async def test_a_secret_among_the_keys_is_left_out(tmp_path: Path) -> None:
    with OidcProvider(tmp_path / "p") as provider:
        provider.extra_keys = [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}]
        cache = Provider(issuer_of(provider), ManualClock())
        await read(cache, provider.sign(provider.claims()))
        with pytest.raises(NotKnown):
            await read(cache, provider.sign(provider.claims(), kid="shared"))
