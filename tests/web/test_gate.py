"""The gate before all routes, on a running server."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from tests.server import Server

from jitgate.audit import Operation
from jitgate.clock import ManualClock
from jitgate.store import activity, credentials
from jitgate.trust import tokens
from jitgate.web.app import create_app
from jitgate.web.gate import DOORS, OPEN_PATHS, PORTAL, is_door, is_open, is_page

WHOAMI = "/api/v1/whoami"


def routes(server: Server) -> Iterator[tuple[str, str]]:
    """Every route of the application, with its methods. A new route is in here by itself."""
    app = create_app(server.service, server.link, trusted_proxies=(), allowed_hosts=("localhost",))
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        for method in route.methods or {"GET"}:
            yield method, re.sub(r"\{[^}]*\}", "x", route.path)


def test_every_route_refuses_a_stranger(server: Server, stranger: httpx.Client) -> None:
    found = [(method, path) for method, path in routes(server) if not (is_open(path) or is_page(path) or is_door(path))]
    assert len(found) > 20
    for method, path in found:
        answer = stranger.request(method, path)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert method == "HEAD" or answer.json()["error"]["code"] == "AuthenticationFailed"


def test_what_is_open_to_strangers_is_harmless_and_read_only(server: Server, stranger: httpx.Client) -> None:
    for path in OPEN_PATHS:
        assert stranger.get(path).status_code == 200
        assert stranger.post(path).status_code == 405
        assert server.subscription not in stranger.get(path).text


def test_every_page_sends_a_stranger_to_the_sign_in_page(server: Server, stranger: httpx.Client) -> None:
    pages = [(method, path) for method, path in routes(server) if is_page(path)]
    assert {path for _, path in pages} == {re.sub(r"\{[^}]*\}", "x", path) for path in PORTAL}
    for method, path in pages:
        for headers in ({}, {"Authorization": f"Bearer {server.token}"}, {"Cookie": f"__Host-jitgate={server.token}"}):
            answer = stranger.request(method, path, headers=headers)
            assert answer.status_code == 303, (method, path, headers)
            assert answer.headers["Location"].startswith("/sign-in?next=")


def test_the_doors_are_those_that_are_named_and_let_nobody_through_from_another_site(
    server: Server, stranger: httpx.Client
) -> None:
    doors = [(method, path) for method, path in routes(server) if is_door(path)]
    assert len({path for _, path in doors}) == len(DOORS)
    before = server.rows("meta", "activity", "credential")
    for method, path in doors:
        assert stranger.request(method, path, headers={"Origin": "https://attacker.example"}).status_code == 403
        assert stranger.request(method, path, headers={"Host": "attacker.example"}).status_code == 400
        assert stranger.request(method, path).status_code < 500
    assert server.rows("meta", "activity", "credential") == before


def test_a_stranger_cannot_tell_which_paths_exist(stranger: httpx.Client) -> None:
    one, other = stranger.get(WHOAMI), stranger.get("/no/such/path")
    assert (one.status_code, one.json()) == (other.status_code, other.json())


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer {tokens.make().text}"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "{token}"},
        {"Authorization": "Bearer {token}x"},
        {"Cookie": "token={token}"},
        {"X-Api-Key": "{token}"},
    ],
)
def test_only_the_whole_token_in_the_right_place_counts(
    server: Server, stranger: httpx.Client, headers: Mapping[str, str]
) -> None:
    sent = {name: value.replace("{token}", server.token) for name, value in headers.items()}
    assert stranger.get(WHOAMI, headers=sent).status_code == 401


def test_a_token_in_the_query_does_not_count(server: Server, stranger: httpx.Client) -> None:
    assert stranger.get(WHOAMI, params={"access_token": server.token, "token": server.token}).status_code == 401


def test_two_tokens_in_one_call_are_none(server: Server, stranger: httpx.Client) -> None:
    sent = [("Authorization", f"Bearer {server.token}")] * 2
    assert stranger.get(WHOAMI, headers=sent).status_code == 401


def test_the_name_of_the_scheme_is_read_in_any_case(server: Server, stranger: httpx.Client) -> None:
    assert stranger.get(WHOAMI, headers={"Authorization": f"bearer {server.token}"}).status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:443", "127.0.0.1.attacker.example"])
def test_a_name_that_was_pointed_here_is_refused_with_a_token_too(owner: httpx.Client, host: str) -> None:
    answer = owner.get(WHOAMI, headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidHost")


@pytest.mark.parametrize("headers", [{"Origin": "https://attacker.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_of_another_site_is_refused_with_a_token_too(owner: httpx.Client, headers: Mapping[str, str]) -> None:
    answer = owner.get(WHOAMI, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")


def test_a_revoked_token_is_refused_at_once_and_its_use_is_on_record(tmp_path: Path) -> None:
    with Server(tmp_path) as server, server.client() as client:
        assert client.get(WHOAMI).status_code == 200
        token = tokens.parse(server.token)
        assert token is not None
        server.call(server.service.store.write(lambda tx: credentials.revoke(tx, token.id)))
        assert client.get(WHOAMI).status_code == 401
        wanted = activity.Filter(operation=Operation.SIGN_IN_REFUSED)
        found = server.call(server.service.store.read(lambda tx: activity.newest(tx, wanted)))
        assert [(entry.credential, entry.address) for entry in found] == [(token.id, "127.0.0.1/32")]


def test_who_sends_no_token_leaves_nothing_in_the_database(server: Server, stranger: httpx.Client) -> None:
    before = server.rows("meta")
    for _ in range(5):
        stranger.get(WHOAMI)
        stranger.post(WHOAMI, content=b"x" * 10_000)
    assert server.rows("meta") == before


def test_tokens_that_nobody_has_are_on_record_with_the_reason_and_cannot_fill_it(tmp_path: Path) -> None:
    with Server(tmp_path, clock=ManualClock(), reconciles=False) as server, server.client("") as stranger:
        for token in [tokens.make().text for _ in range(100)]:
            stranger.get(WHOAMI, headers={"Authorization": f"Bearer {token}"})
        wanted = activity.Filter(operation=Operation.SIGN_IN_REFUSED)
        found = server.call(server.service.store.read(lambda tx: activity.newest(tx, wanted, most=1000)))
        assert len(found) == 60
        assert {(entry.principal, entry.address, entry.properties["why"]) for entry in found} == {
            (None, "127.0.0.1/32", "no such credential")
        }


def test_the_callers_address_is_read_through_trusted_proxies_only(tmp_path: Path) -> None:
    said = {"X-Forwarded-For": "203.0.113.7"}
    (tmp_path / "trusting").mkdir()
    (tmp_path / "wary").mkdir()
    with Server(tmp_path / "wary") as server, server.client() as client:
        assert client.get(WHOAMI, headers=said).json()["address"] == "127.0.0.1"
    proxies = [ipaddress.ip_network("127.0.0.0/8")]
    with Server(tmp_path / "trusting", trusted_proxies=proxies) as server, server.client() as client:
        assert client.get(WHOAMI, headers=said).json()["address"] == "203.0.113.7"
        assert client.get(WHOAMI, headers={"X-Forwarded-For": "garbage"}).json()["address"] is None


def test_a_websocket_is_refused(server: Server, owner: httpx.Client) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    assert owner.get(WHOAMI, headers=upgrade).status_code == 403


# --- what every answer carries ------------------------------------------------------------------------


@pytest.mark.parametrize("path", [WHOAMI, "/healthz", "/no/such/path"])
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_is_careful_with_browsers_and_caches(
    owner: httpx.Client, stranger: httpx.Client, path: str, known: bool
) -> None:
    headers = (owner if known else stranger).get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "server" not in headers
    UUID(headers["x-ms-request-id"])
    UUID(headers["x-ms-correlation-request-id"])


def test_a_correlation_id_that_is_a_guid_is_kept_and_anything_else_replaced(owner: httpx.Client) -> None:
    chosen = "11111111-2222-3333-4444-555555555555"
    name = "x-ms-correlation-request-id"
    assert owner.get(WHOAMI, headers={name: chosen}).headers[name] == chosen
    for bad in ("x", "1" * 36, "a\tb", "11111111-2222-3333-4444-55555555555g"):
        answered = owner.get(WHOAMI, headers={name: bad}).headers[name]
        assert answered != bad
        UUID(answered)


def test_the_page_about_the_api_runs_no_script_and_loads_nothing_from_elsewhere(stranger: httpx.Client) -> None:
    answer = stranger.get("/docs")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|https?://|src=|@import|url\(", answer.text)
    assert "/jitNetworkAccessPolicies/{jitNetworkAccessPolicyName}/initiate" in answer.text
    assert "maxRequestAccessDuration" in answer.text
    assert "/api/v1/grants" in answer.text
