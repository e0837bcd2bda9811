"""A real browser at a real server: what the tests of pages are given.

def test_somebody_sees_their_port(stage: Stage) -> None:
    page = stage.open("/", as_="requester")
    page.get_by_role("heading", name="Open now").wait_for()
    stage.check(page)
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from tests.server import Server
from tests.web.scenery import Scenery

from jitgate.identity.kinds import SESSION
from jitgate.store import credentials, principals
from jitgate.store.database import Tx
from jitgate.store.principals import Credential
from jitgate.trust import tokens
from jitgate.web.portal.session import COOKIE

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
AXE = Path(__file__).parents[2] / "packages" / "portal" / "node_modules" / "axe-core" / "axe.min.js"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
ROLES = {
    "owner": "Owner",
    "reader": "Reader",
    "requester": "JIT Requester",
    "approver": "JIT Approver",
    "auditor": "Auditor",
    "nobody": "",
}
"""Who can be signed in, and the role that each holds everywhere."""

_PATIENCE = 30_000
expect.set_options(timeout=_PATIENCE)

_SERIOUS = ("serious", "critical")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    path = shutil.which("chromium")
    assert path is not None, "there is no chromium: run tools/setup dev"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Stage:
    """A server with scenery, and people who look at its pages."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.browser = browser
        self.scenery = Scenery(server)
        self._wait_for_firewalls()
        self._secrets: dict[str, str] = {}
        self._contexts: list[BrowserContext] = []
        self._problems: list[str] = []

    def _wait_for_firewalls(self) -> None:
        with self.server.client() as client:
            for asked in (self.scenery.asked, self.scenery.broken):
                assert client.get(f"/api/v1/requests/{asked['id']}", params={"wait": 60}).is_success

    def close(self) -> None:
        """No page may have complained, or broken the rules of its own policy."""
        for context in self._contexts:
            context.close()
        assert not self._problems, self._problems

    def open(self, path: str, as_: str = "owner", **options: Any) -> Page:
        """A page as somebody sees it (a key of ROLES, or the name of an account that there is)."""
        return self.open_in(self.context(as_, **options), path)

    def open_in(self, context: BrowserContext, path: str) -> Page:
        """A page in a browser that somebody has open already."""
        page = context.new_page()
        self.watch(page)
        answer = page.goto(path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return page

    def watch(self, page: Page) -> None:
        """Have what a page complains of fail the test: an error of a script, or of its policy."""
        page.on("pageerror", lambda error: self._problems.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._heard(page, said))

    def _heard(self, page: Page, said: ConsoleMessage) -> None:
        # A refusal and a lost connection are said on the page: that the browser notes them too is no problem.
        refused = ("Failed to load resource", "Response Status Error Code")
        lost = ("[object Event]", "htmx:sendError", "htmx:afterRequest")
        if said.type == "error" and not any(words in said.text for words in refused + lost):
            self._problems.append(f"{page.url}: {said.text}")

    def context(self, as_: str = "", **options: Any) -> BrowserContext:
        """A browser of its own, signed in; "": as a stranger."""
        # Without transitions: colours under way to another theme would be measured.
        still = {"reduced_motion": "reduce", "ignore_https_errors": True}
        chosen = {"viewport": WIDE, **still, "base_url": self.server.base_url, **options}
        context = self.browser.new_context(**chosen)
        context.set_default_timeout(_PATIENCE)
        self._contexts.append(context)
        if as_:
            cookie: Mapping[str, Any] = {
                "name": COOKIE,
                "value": self.session(as_),
                "url": self.server.base_url,
                "secure": True,
                "httpOnly": True,
                "sameSite": "Lax",
            }
            context.add_cookies([cookie])  # type: ignore[list-item]
        return context

    def session(self, name: str) -> str:
        """The secret of somebody's session."""
        if name not in self._secrets:
            store = self.server.service.store
            if name in ROLES and not self.server.call(store.read(lambda tx: principals.find(tx, name))):
                self.server.token_of(name, ROLES[name])
            self._secrets[name] = session_of(self.server, name)
        return self._secrets[name]

    def check(self, page: Page) -> None:
        """Axe finds nothing serious in light, in dark and on a phone, where nothing runs out of the screen; one h1."""
        assert page.locator("h1").count() == 1
        for scheme, shape in (("light", WIDE), ("dark", PHONE)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size(shape)  # type: ignore[arg-type]
            page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
            found = violations(page)
            assert not found, f"{page.url}, {scheme}: {found}"
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{page.url} is {wider} pixels wider than a phone"
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class File:
    """Something to keep, under the name that the browser would give it."""

    name: str
    body: bytes


def downloaded(page: Page, link: str) -> File:
    """What a link of that name leads to, as a file.

    The browser has to begin to keep it; what is in it is asked for once more, by the same session. Busy, Chromium now
    and then calls off what nobody has called off.
    """
    with page.expect_download() as begun:
        page.get_by_role("link", name=link).click()
    answer = page.request.get(begun.value.url)
    assert answer.ok, f"{link}: {answer.status}"
    return File(begun.value.suggested_filename, answer.body())


def violations(page: Page) -> list[str]:
    """What axe finds serious."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8") + "; null")
    found = page.evaluate(
        # Without having all styles fetched once more: no rule of these reads them.
        "(only) => axe.run(document, {runOnly: only, resultTypes: ['violations'], elementRef: false, preload: false})",
        _RULES,
    )
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


def session_of(server: Server, name: str) -> str:
    """The secret of a new session."""
    token = tokens.make()

    def begin(tx: Tx) -> None:
        account = principals.find(tx, name)
        assert account is not None, name
        credentials.add(tx, Credential(token.id, account.uid, SESSION, "", token.digest, tx.now))

    server.call(server.service.store.write(begin))
    return token.text
