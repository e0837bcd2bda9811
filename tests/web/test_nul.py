"""A NUL in whatever is sent is refused in words, on every face: PostgreSQL can keep none."""

import base64
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from tests.postgresql import database
from tests.server import GROUP, Server

ARM = f"/subscriptions/{{subscription}}/resourceGroups/{GROUP}/providers/Microsoft.Security"
LOG = "/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with database() as url, Server(tmp_path_factory.mktemp("data"), reconciles=False, url=url) as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[httpx.Client]:
    """The owner's, signed in."""
    with server.client() as api:
        link = api.post("/api/v1/sign-in-links").json()["path"].partition("#")[2]
    with server.client("") as client:
        client.headers["Origin"] = server.base_url
        assert client.post("/sign-in/link", data={"link": link, "next": "/"}).status_code == 303
        yield client


def log_of(filter: str) -> str:
    return f"{LOG}&$filter={quote(filter)}"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/machines/%00",
        "/api/v1/requests/%00abcd",
        "/api/v1/principals/a%00b",
        "/api/v1/guardrails/%00",
        "/api/v1/activity?person=%00",
        "/api/v1/activity?after=%00",
        "/api/v1/principals?after=%00",
        "/api/v1/machines?q=a%00",
        f"{ARM}/locations/westeurope/jitNetworkAccessPolicies/%00?api-version=2020-01-01",
        log_of("eventTimestamp ge '2030-01-01T00:00:00Z' and caller eq '\0'"),
        log_of("eventTimestamp ge '2030-01-01T00:00:00Z' and correlationId eq 'a\0'"),
    ],
)
def test_an_address_with_a_nul_is_refused_in_words(server: Server, path: str) -> None:
    with server.client() as owner:
        answer = owner.get(path.format(subscription=server.subscription))
    assert answer.status_code == 400, answer.text
    assert "NUL" in answer.text


@pytest.mark.parametrize("path", ["/activity?person=%00", "/machines?q=%00", "/requests/%00", "/machines/%00"])
def test_a_page_with_a_nul_in_its_address_is_refused_as_a_page(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 400, answer.text
    assert "holds a NUL" in answer.text
    assert "<html" in answer.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/settings/freezes", {"scope": "/", "why": "\0"}),
        ("/settings/people", {"name": "a\0b", "kind": "user"}),
        ("/sign-in/link", {"link": "\0", "next": "/"}),
        ("/login/token", {"grant_type": "authorization_code", "code": "\0"}),
        ("/login/token", {"\0": "x"}),
    ],
)
def test_a_form_with_a_nul_is_refused_in_words(browser: httpx.Client, path: str, form: dict[str, str]) -> None:
    answer = browser.post(path, data=form)
    assert answer.status_code == 400, answer.text
    assert "NUL" in answer.text


def test_a_token_of_a_page_with_a_nul_is_refused(server: Server) -> None:
    token = base64.urlsafe_b64encode(b"a\0").decode().rstrip("=")
    path = f"/subscriptions/{server.subscription}/providers/Microsoft.Security/jitNetworkAccessPolicies"
    with server.client() as owner:
        answer = owner.get(f"{path}?api-version=2020-01-01&$skiptoken={token}")
    assert answer.status_code == 400, answer.text


def test_a_body_with_a_nul_is_refused_in_words(server: Server) -> None:
    with server.client() as owner:
        answer = owner.put("/api/v1/networks/lab", json={"prefixes": ["192.0.2.0/24"], "description": "\0"})
    assert answer.status_code == 400, answer.text
    assert "NUL" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/activity?until=9999-12-31",
        "/activity/export?until=9999-12-31",
        "/activity?since=0001-01-01",
    ],
)
def test_the_last_day_that_there_is_is_a_day_like_any_other(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 200


def test_the_last_moment_that_there_is_is_a_moment_like_any_other(server: Server) -> None:
    wanted = "eventTimestamp ge '2020-01-01T00:00:00Z' and eventTimestamp le '9999-12-31T23:59:59.9999999Z'"
    with server.client() as owner:
        answer = owner.get(log_of(wanted).format(subscription=server.subscription))
        assert answer.status_code == 200, answer.text
        bounded = owner.get("/api/v1/activity?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z")
        assert bounded.status_code == 200, bounded.text
        assert owner.get("/api/v1/activity?until=9999-12-31T23:59:59-01:00").status_code == 400
