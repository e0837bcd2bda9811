"""Bodies of any size and shape, and paths and methods that do not exist, on a running server."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
import structlog
from tests.contract.arm import eventually
from tests.server import Server

from jitgate.core.errors import Unavailable
from jitgate.web.limits import MOST_BODY

REQUESTS = "/api/v1/requests"
POLICY = (
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/g/providers/Microsoft.Security"
    "/locations/westeurope/jitNetworkAccessPolicies/default?api-version=2020-01-01"
)


def chunks(size: int) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for _ in range(size // 1024):
        yield b" " * 1024


@pytest.mark.parametrize(("method", "path"), [("POST", REQUESTS), ("PUT", POLICY)])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_refused_whether_its_length_is_announced_or_not(
    server: Server, owner: httpx.Client, method: str, path: str, announced: bool
) -> None:
    before = server.rows("meta")
    size = 2 * MOST_BODY
    body = b" " * size if announced else chunks(size)
    answer = owner.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert (error["code"], error["target"]) == ("RequestTooLarge", "body")
    assert str(MOST_BODY) in error["message"]
    assert server.rows("meta") == before


@contextlib.contextmanager
def posting(server: Server, length: int) -> Iterator[ssl.SSLSocket]:
    """A connection over which a call has begun that announces a body of so many bytes."""
    context = ssl.create_default_context(cafile=str(server.ca))
    address = httpx.URL(server.base_url)
    head = f"PUT {POLICY} HTTP/1.1\r\nHost: {address.host}\r\nAuthorization: Bearer {server.token}\r\n"
    with (
        socket.create_connection((address.host, address.port), timeout=60) as connection,
        context.wrap_socket(connection, server_hostname=address.host) as tls,
    ):
        tls.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        yield tls


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(server: Server) -> None:
    with posting(server, 10**12) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_away_in_the_middle_of_a_body_is_no_failure(server: Server, owner: httpx.Client) -> None:
    with structlog.testing.capture_logs() as logged:
        with posting(server, 100) as connection:
            connection.sendall(b'{"properties"')
        eventually(lambda: [entry for entry in logged if entry["event"] == "the client went away"])
        assert owner.get("/api/v1/whoami").status_code == 200
    assert not [entry for entry in logged if entry["event"] == "failed"]


def test_a_body_just_within_the_limit_is_read(owner: httpx.Client) -> None:
    answer = owner.put(POLICY, content=b"{}".ljust(MOST_BODY))
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "properties")


@pytest.mark.parametrize("path", [REQUESTS, POLICY])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b"\xff",
        b'{"a": %s}' % (b"9" * 10_000),
    ],
)
def test_a_body_that_is_no_plain_json_object_is_refused_by_both_faces(
    owner: httpx.Client, path: str, body: bytes
) -> None:
    method = "POST" if path == REQUESTS else "PUT"
    answer = owner.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "InvalidInput"
    assert error["details"][0]["target"]


def test_an_unknown_path_is_a_refusal_in_the_usual_shape(owner: httpx.Client) -> None:
    answer = owner.get("/no/such/path")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", POLICY, "DELETE, GET, PUT"),
        ("HEAD", POLICY, "DELETE, GET, PUT"),
        ("OPTIONS", POLICY, "DELETE, GET, PUT"),
        ("POST", POLICY, "DELETE, GET, PUT"),
        ("GET", POLICY.replace("?", "/initiate?"), "POST"),
        ("DELETE", "/api/v1/whoami", "GET"),
    ],
)
def test_a_method_that_does_not_work_is_refused_with_those_that_do(
    owner: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = owner.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
    assert method == "HEAD" or answer.json()["error"]["code"] == "MethodNotAllowed"


def test_a_trailing_slash_is_not_redirected_with_the_token(owner: httpx.Client) -> None:
    assert owner.get("/api/v1/whoami/").status_code == 404


def test_what_was_not_foreseen_is_a_500_that_names_the_correlation_id_and_nothing_else(
    server: Server, owner: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_fn: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(type(server.service.store), "glance", lambda _self, fn: fail(fn))
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        answer = owner.get("/api/v1/whoami")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    correlation = answer.headers["x-ms-correlation-request-id"]
    assert correlation in answer.json()["error"]["message"]
    assert any(entry["event"] == "failed" and entry["correlation"] == correlation for entry in logged)


def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back(
    server: Server, owner: httpx.Client, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_fn: object) -> None:
        await asyncio.sleep(0)
        raise Unavailable("The database cannot be used now.")

    for door in ("read", "glance"):
        monkeypatch.setattr(type(server.service.store), door, lambda _self, fn: away(fn))
    answer = owner.get("/api/v1/whoami")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["error"]["code"] == "ServiceUnavailable"
    assert stranger.get("/readyz").status_code == 503
    assert stranger.get("/healthz").status_code == 200, "a restart would mend nothing"


def told(logged: list[MutableMapping[str, Any]]) -> MutableMapping[str, Any]:
    """What the log says of the call; it may do so after the answer."""
    return eventually(lambda: [entry for entry in list(logged) if entry["event"] == "request"])[0]


def test_the_log_holds_each_call_and_neither_its_token_nor_its_query(server: Server, owner: httpx.Client) -> None:
    with structlog.testing.capture_logs() as logged:
        owner.get("/api/v1/whoami", params={"secret": "hunter2"})
        entry = told(logged)
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/api/v1/whoami", 200)
    assert "hunter2" not in repr(logged)
    assert server.token not in repr(logged)


def test_no_path_breaks_a_line_of_the_log(owner: httpx.Client) -> None:
    with structlog.testing.capture_logs() as logged:
        owner.get("/x%0d%0aforged%20line%1b[31m")
        entry = told(logged)
    assert entry["path"].isprintable()
