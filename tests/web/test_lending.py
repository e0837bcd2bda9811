"""A client secret for an access token: who gets one, what it proves, and what nobody can make it prove."""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from tests.server import Server

from jitgate.audit import Operation
from jitgate.clock import ManualClock
from jitgate.core.errors import TooMany
from jitgate.core.prefixes import canonical
from jitgate.core.roles import OWNER
from jitgate.identity.credentials import NotKnown
from jitgate.identity.signing import ACCESS, ACCESS_LIFE, Signer
from jitgate.service.lending import WrongClient, client_id, lend, tenant
from jitgate.service.recognition import Caller
from jitgate.store import activity, principals
from jitgate.store.activity import Entry, Filter
from jitgate.store.database import Tx

WHOAMI = "/api/v1/whoami"


@dataclass(frozen=True)
class Program:
    """A service principal with a client secret, and where it signs in."""

    server: Server
    clock: ManualClock
    client: httpx.Client
    uid: str
    secret: str
    credential: str

    def ask(self, **other: str) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_id": self.uid, "client_secret": self.secret, **other}
        return self.client.post(f"/{tenant(self.server.service)}/oauth2/v2.0/token", data=form)

    def token(self) -> str:
        answer = self.ask()
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def whoami(self, token: str) -> httpx.Response:
        return self.client.get(WHOAMI, headers={"Authorization": f"Bearer {token}"})

    def refusals(self) -> list[Entry]:
        wanted = Filter(operation=Operation.SIGN_IN_REFUSED)
        return list(self.server.call(self.server.service.store.read(lambda tx: activity.newest(tx, wanted))))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    clock, uid = ManualClock(), uuid4().hex

    def add(tx: Tx) -> None:
        principals.add(tx, uid, "deploy", "service")
        principals.assign(tx, uuid4().hex, uid, OWNER.name, "/")

    with Server(tmp_path, clock=clock, reconciles=False) as server, server.client("") as client:
        server.call(server.service.store.write(add))
        with server.client() as owner:
            made = owner.post("/api/v1/principals/deploy/secrets", json={"name": "x"}).json()
        yield Program(server, clock, client, uid, made["secret"], made["id"])


def test_a_secret_gets_a_token_that_proves_its_principal_for_minutes(program: Program) -> None:
    answer = program.ask().json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
    token = answer["access_token"]
    assert program.whoami(token).json()["name"] == "deploy"
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert {"iss", "aud", "tid", "oid", "appid", "iat", "nbf", "exp"} <= set(claims)
    assert claims["oid"] == client_id(program.uid)
    program.clock.advance(ACCESS_LIFE)
    assert program.whoami(token).status_code == 401


@pytest.mark.parametrize("name", ["uid", "guid", "name"])
def test_a_client_may_be_named_by_id_or_name(program: Program, name: str) -> None:
    named = {"uid": program.uid, "guid": client_id(program.uid).upper(), "name": "Deploy"}[name]
    assert program.ask(client_id=named).status_code == 200


def test_the_published_key_is_the_one_that_signs(program: Program) -> None:
    configuration = program.client.get("/common/v2.0/.well-known/openid-configuration").json()
    keys = program.client.get(configuration["jwks_uri"]).json()
    assert "d" not in keys["keys"][0]
    token = jwt.decode(program.token(), ECKey.import_key(keys["keys"][0]), algorithms=["ES256"])
    assert token.claims["iss"] == configuration["issuer"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "nobody"},
        {"client_id": ""},
        {"client_id": "owner"},
        {"client_secret": "guessed"},
        {"client_secret": ""},
        {"client_secret": "jg_0123456789abcdef_" + "x" * 43},
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same_and_the_reason_is_on_record(
    program: Program, wrong: dict[str, str]
) -> None:
    answer = program.ask(**wrong)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json() == program.ask(client_secret="jg_0123456789abcdef_" + "y" * 43).json()
    assert program.refusals()[-1].properties["why"]


def test_the_owners_token_is_no_client_secret(program: Program) -> None:
    assert program.ask(client_id="owner", client_secret=program.server.token).status_code == 401


def test_a_revoked_secret_gets_no_token_and_what_it_was_lent_stops_at_once(program: Program) -> None:
    token = program.token()
    with program.server.client() as owner:
        owner.delete(f"/api/v1/tokens/{program.credential}")
    assert program.whoami(token).status_code == 401
    assert program.ask().status_code == 401
    assert {entry.credential for entry in program.refusals()} == {program.credential}


def test_a_disabled_principals_token_stops_at_once(program: Program) -> None:
    token = program.token()
    program.server.call(program.server.service.store.write(lambda tx: principals.disable(tx, program.uid)))
    assert program.whoami(token).status_code == 401


def test_what_was_lent_makes_nothing_lasting(program: Program) -> None:
    bearer = {"Authorization": f"Bearer {program.token()}"}
    answer = program.client.post("/api/v1/tokens", json={"name": "lasting"}, headers=bearer)
    assert answer.status_code == 403


def test_who_tries_too_often_waits_and_the_secret_does_not_help(program: Program) -> None:
    answers = [program.ask(client_secret="guessed") for _ in range(14)]
    assert [answer.status_code for answer in answers][-1] == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert program.ask().status_code == 429
    program.clock.advance(timedelta(minutes=2))
    assert program.ask().status_code == 200


def test_a_stranger_who_knows_a_clients_name_does_not_keep_it_out(program: Program) -> None:
    service = program.server.service
    stranger = Caller(canonical("203.0.113.9"), "")
    for _ in range(60):
        with contextlib.suppress(WrongClient, TooMany):
            program.server.call(lend(service, stranger, program.uid, "guessed", "https://jitgate"))
    with pytest.raises(TooMany):
        program.server.call(lend(service, stranger, program.uid, program.secret, "https://jitgate"))
    assert program.ask().status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
    ],
)
def test_only_client_credentials_are_taken(program: Program, change: dict[str, str], error: str) -> None:
    answer = program.ask(**change)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_another_tenant_is_not_served(program: Program) -> None:
    answer = program.client.post(f"/{uuid4()}/oauth2/v2.0/token", data={"grant_type": "client_credentials"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"&".join([b"a%d=1" % n for n in range(100)]), "application/x-www-form-urlencoded"),
        (b"client_id=\xff", "application/x-www-form-urlencoded"),
        (b"client_id=" + b"x" * 100_000, "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_proper_form_is_refused(program: Program, content: bytes, kind: str) -> None:
    answer = program.client.post("/common/oauth2/v2.0/token", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# --- forgeries ------------------------------------------------------------------------------------------


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def hs256_with_the_public_key(signer: Signer, claims: Any) -> str:
    ours = signer.keys().current(NOW)
    key = OctKey.import_key(json.dumps(ours.as_dict(private=False)).encode())
    return jwt.encode({"alg": "HS256", "typ": ACCESS, "kid": ours.kid}, claims, key, algorithms=["HS256"])


def a_key_of_its_own(_signer: Signer, claims: Any) -> str:
    mine = ECKey.generate_key("P-256")
    return jwt.encode({"alg": "ES256", "typ": ACCESS, "jwk": mine.as_dict(private=False)}, claims, mine)


NOW, LATER = ManualClock().wall(), ManualClock().wall() + timedelta(hours=1)
# By what is wrong: a token out of our signer and the claims of one that was lent.
FORGERIES: Mapping[str, Callable[[Signer, Any], str]] = {
    "alg none": lambda _, claims: f"{part({'alg': 'none', 'typ': ACCESS})}.{part(claims)}.",
    "no signature": lambda s, claims: s.sign(ACCESS, claims, NOW, ACCESS_LIFE).rpartition(".")[0] + ".",
    "changed claims": lambda s, claims: f".{part({**claims, 'cid': '0' * 16})}.".join(
        s.sign(ACCESS, claims, NOW, ACCESS_LIFE).split(".")[::2]
    ),
    "HS256 with the public key": hs256_with_the_public_key,
    "another key": lambda _, claims: Signer.temporary().sign(ACCESS, claims, NOW, ACCESS_LIFE),
    "a key of its own in the header": a_key_of_its_own,
    "another type": lambda s, claims: s.sign("JWT", claims, NOW, ACCESS_LIFE),
    "not yet": lambda s, claims: s.sign(ACCESS, claims, LATER, ACCESS_LIFE),
    "four parts": lambda s, claims: s.sign(ACCESS, claims, NOW, ACCESS_LIFE) + ".x",
    "dots": lambda *_: "..",
}


def forge(program: Program, how: str) -> str:
    """An access token that was not lent."""
    claims = json.loads(base64.urlsafe_b64decode(program.token().split(".")[1] + "=="))
    return FORGERIES[how](program.server.service.bearers.signer, claims)


@pytest.mark.parametrize("how", FORGERIES)
def test_a_token_that_was_not_lent_proves_nobody(program: Program, how: str) -> None:
    before = len(program.refusals())
    answer = program.whoami(forge(program, how))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert len(program.refusals()) == before + 1


def test_a_token_of_100_kb_is_refused_before_it_is_looked_at(program: Program) -> None:
    signer = program.server.service.bearers.signer
    token = signer.sign(ACCESS, {"cid": program.credential, "x": "x" * 100_000}, NOW, ACCESS_LIFE)
    with pytest.raises(NotKnown) as raised:
        signer.read(ACCESS, token, NOW)
    assert raised.value.why == "the token is too long"
    assert program.whoami(token).status_code in {400, 401, 431}


def test_the_signing_key_is_a_file_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    first = Signer.ensure(tmp_path)
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    token = first.sign(ACCESS, {"cid": "x"}, ManualClock().wall(), ACCESS_LIFE)
    assert Signer.ensure(tmp_path).read(ACCESS, token, ManualClock().wall())["cid"] == "x"
