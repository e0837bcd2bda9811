"""The whole story, as people live it: two browsers, a jitgate of real processes, an identity provider, and a real port
behind a gateway, which opens, counts down, is extended, and shuts; and all of it is on record."""

import csv
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests.connectors.gateway.scene import Echo, echoes, is_cut
from tests.gateways import Gateway
from tests.portal.browser import WIDE, downloaded
from tests.processes import until
from tests.provider import CLIENT, CLIENT_SECRET, OidcProvider

MORE_MACHINES = """
[[gateway.machine]]
name = "win-2"
address = "127.0.0.21"
os = "windows"

[[gateway.machine]]
name = "win-3"
address = "127.0.0.22"
os = "windows"

"""
ISSUER = """
[[issuer]]
name = "keycloak"
url = "{url}"
client_id = "{client}"
client_secret_file = "{secret}"
ca_file = "{ca}"
"""


@pytest.fixture
def target() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def jitgate(tmp_path: Path, target: Echo, provider: OidcProvider) -> Iterator[Gateway]:
    made = Gateway(tmp_path / "data", target)
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    settings = made.directory / "jitgate.toml"
    issuer = ISSUER.format(url=provider.url, client=CLIENT, secret=secret, ca=provider.ca)
    settings.write_text(settings.read_text() + MORE_MACHINES + issuer)
    provider.id_token, provider.is_down = {}, False
    with made:
        until(lambda: made.machine("win-3"), "its machines are not listed")
        made.call("PUT", "/api/v1/guardrails/agree", {"limits": {"approvals": 1}})
        yield made


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, browser: Browser, jitgate: Gateway) -> None:
        self.context: BrowserContext = browser.new_context(
            viewport=WIDE,  # type: ignore[arg-type]
            ignore_https_errors=True,
            base_url=jitgate.url,
            accept_downloads=True,
        )
        self.context.set_default_timeout(30_000)
        self.page: Page = self.context.new_page()

    def left(self) -> int:
        """The seconds that their page says are left."""
        parts = [int(part) for part in self.page.get_by_role("timer").first.inner_text().split(":")]
        return sum(part * 60**place for place, part in enumerate(reversed(parts)))

    def agree(self, port: int) -> None:
        """Find what waits, see what matters, and agree to it."""
        self.page.goto("/")
        self.page.get_by_role("link", name=f"win-1 {port}").click()
        self.page.get_by_role("heading", name="owner asks for win-1").wait_for()
        self.page.get_by_text("“INC-7”").first.wait_for()
        self.page.get_by_role("button", name="Approve").click()
        self.page.get_by_text("Approved", exact=True).first.wait_for()


def test_two_people_open_a_real_port_watch_it_count_down_and_find_it_on_record(
    jitgate: Gateway, target: Echo, provider: OidcProvider, browser: Browser, tmp_path: Path
) -> None:
    owner, zoe = Person(browser, jitgate), Person(browser, jitgate)

    # The first signs in by a link, the second at the identity provider, and is given a role.
    owner.page.goto(jitgate.run("sign-in-link").stdout.split()[-1])
    owner.page.get_by_role("heading", name="Home").wait_for()
    provider.person = {"sub": "7", "preferred_username": "zoe", "groups": []}
    zoe.page.goto("/")
    zoe.page.get_by_role("link", name="Sign in with keycloak").click()
    zoe.page.get_by_text("You hold no role yet").wait_for()
    jitgate.call("POST", "/api/v1/role-assignments", {"role": "JIT Approver", "principal": "zoe", "scope": "/"})

    # Three machines are enabled at once, with a port of their own.
    page = owner.page
    page.goto("/machines?tab=notConfigured")
    for name in ("win-1", "win-2", "win-3"):
        page.get_by_role("checkbox", name=f"Mark {name}").check()
    page.get_by_role("button", name="Enable JIT on 3 machines").click()
    page.get_by_role("checkbox", name="Protect port 3389").uncheck()
    page.get_by_role("button", name="Add a port").click()
    page.get_by_label("Port number").fill(str(target.port))
    page.get_by_role("button", name="Show what saving would do").click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("3 machines are configured.").wait_for()
    until(lambda: (jitgate.machine("win-1") or {})["ports"], "it is not protected")

    # The first asks; what will happen is said beforehand.
    page.get_by_role("link", name="Request access").first.click()
    page.get_by_label("win-1").check()
    page.get_by_role("button", name="Choose ports").click()
    page.get_by_role("switch", name="5985 WinRM", exact=True).uncheck()
    page.get_by_role("switch", name=str(target.port)).check()
    page.get_by_text("Needs approval").wait_for()
    page.get_by_role("slider", name="For how long For all ports").fill("15")
    page.get_by_label("Why").fill("INC-7")
    page.get_by_role("button", name="Ask for approval").click()
    page.get_by_text("1 has to agree.").wait_for()

    # The second finds it, sees what matters, and agrees; the first one's page goes on by itself.
    zoe.agree(target.port)
    page.get_by_text("zoe agreed").wait_for()
    line = page.locator(".copy-line code")
    line.wait_for()
    host, _, port = line.inner_text().rpartition(":")

    # The port is really open, while the page counts down.
    with socket.create_connection((host, int(port)), timeout=30) as session:
        assert echoes(session)
        before = owner.left()
        until(lambda: owner.left() <= before - 2, "it does not count down")
        assert echoes(session)

        # More time is a decision like the first: the second agrees again, and the time that is left grows.
        page.get_by_text("Extend").first.click()
        page.get_by_label("Keep it open for").select_option("30 minutes")
        page.locator("details[open]").get_by_role("button", name="Extend").click()
        page.get_by_text("Others have to agree first.").wait_for()
        zoe.agree(target.port)
        page.goto("/")
        until(lambda: owner.left() > 20 * 60, "its time has not grown")
        assert echoes(session)

        # Done early: it shuts, and the connection with it.
        page.get_by_role("button", name="I'm done").click()
        page.get_by_text("Nothing is open for you").wait_for()
        assert is_cut(session)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=30)

    # And it is on record, on the page and as a table to take along.
    page.goto("/activity")
    page.get_by_role("heading", name="Activity log").wait_for()
    file = tmp_path / "activity.csv"
    file.write_bytes(downloaded(page, "Download as CSV").body)
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    told = {(row["operation"].rpartition("/")[2], row["caller"]) for row in rows}
    assert {("open", "jitgate"), ("closed", "jitgate")} <= told, told
    assert any(row["caller"] == "zoe" and "approve" in row["operation"] for row in rows)
    owner.context.close()
    zoe.context.close()
