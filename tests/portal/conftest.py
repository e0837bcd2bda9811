"""People at their browsers, a jitgate, and a real OpenID Connect provider, all over loopback TLS."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import playwright.sync_api
import pytest
from tests.portal.browser import Stage, chromium
from tests.provider import AUDIENCE, CLIENT, CLIENT_SECRET, OidcProvider
from tests.server import Server

from jitgate.clock import ManualClock, SystemClock
from jitgate.identity.bearers import Bearers
from jitgate.identity.issuers import Issuer, Issuers, Provider
from jitgate.identity.signing import Signer
from jitgate.store import activity
from jitgate.store.activity import Entry, Filter


class Browser:
    """Keeps cookies, says where its forms come from, and follows redirects when it is told to."""

    def __init__(self, server: Server, provider: OidcProvider | None = None) -> None:
        context = ssl.create_default_context(cafile=str(server.ca))
        if provider is not None:
            context.load_verify_locations(cafile=str(provider.ca))
        self.server = server
        self.client = httpx.Client(base_url=server.base_url, verify=context, timeout=30)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def post(self, path: str, origin: str | None = None, **form: str) -> httpx.Response:
        return self.client.post(path, data=form, headers={"Origin": origin or self.server.base_url})

    def follow(self, path: str) -> httpx.Response:
        """Where a chain of redirects ends. Cookies go to those that set them."""
        answer = self.client.get(path)
        while answer.is_redirect:
            answer = self.client.get(urljoin(str(answer.url), answer.headers["Location"]))
        return answer

    def sign_in(self, link: str) -> httpx.Response:
        return self.post("/sign-in/link", link=link, next="/")

    def cookie(self, name: str = "__Host-jitgate") -> str | None:
        return self.client.cookies.get(name)


class Place:
    """A server with a provider, and the clock of the server."""

    def __init__(self, server: Server, provider: OidcProvider, clock: ManualClock) -> None:
        self.server, self.provider, self.clock = server, provider, clock
        self._browsers: list[Browser] = []

    def browser(self) -> Browser:
        self._browsers.append(Browser(self.server, self.provider))
        return self._browsers[-1]

    def close(self) -> None:
        for browser in self._browsers:
            browser.client.close()

    def link(self) -> str:
        """The secret of a new link for the owner."""
        with self.server.client() as client:
            path: str = client.post("/api/v1/sign-in-links").json()["path"]
        return path.partition("#")[2]

    def signed_in(self) -> Browser:
        """The owner's browser."""
        browser = self.browser()
        assert browser.sign_in(self.link()).status_code == 303
        return browser

    def on_record(self, operation: str) -> list[Entry]:
        wanted = Filter(operation=operation)
        return list(self.server.call(self.server.service.store.read(lambda tx: activity.newest(tx, wanted))))


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.sync_api.Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def stage(tmp_path: Path, browser: playwright.sync_api.Browser) -> Iterator[Stage]:
    with Server(tmp_path) as server:
        made = Stage(server, browser)
        yield made
        made.close()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, provider: OidcProvider) -> Iterator[Place]:
    # The provider's tokens tell the real time, so the server's begins there.
    clock = ManualClock(SystemClock().wall())
    provider.id_token, provider.is_down = {}, False
    issuer: Any = Issuer("keycloak", provider.url, AUDIENCE, CLIENT, lambda: CLIENT_SECRET, ca=provider.ca)
    bearers = Bearers(Signer.temporary(), Issuers((Provider(issuer, clock),)))
    with Server(tmp_path, clock=clock, reconciles=False, bearers=bearers) as server:
        made = Place(server, provider, clock)
        yield made
        made.close()
