"""The picture that the README shows: the portal's first page on a working day, light and dark.

`make screenshots` renews it, in docs/pictures.
"""

from pathlib import Path

import httpx
from playwright.sync_api import Browser
from tests.portal.browser import session_of
from tests.server import Server, linux_host

from jitgate.core.machine import Machine
from jitgate.web.portal.session import COOKIE

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SHAPE = {"width": 1180, "height": 640}
SETTLED = 600
"""Milliseconds until scripts have run and what is live has come."""

_ADDRESSES = {"web-1": "192.0.2.10", "db-1": "192.0.2.21", "build-7": "192.0.2.37"}


def machines(subscription: str) -> list[Machine]:
    """Three hosts; databases are what needs approval."""
    tags = {"db-1": {"team": "db"}}
    return [linux_host(subscription, name, address, tags.get(name, {})) for name, address in _ADDRESSES.items()]


def take(server: Server, browser: Browser, directory: Path = PICTURES) -> None:
    """Furnish the server, and photograph what Ana sees. The server has to have been made with `machines`."""
    _furnish(server)
    cookie = {"name": COOKIE, "value": session_of(server, "ana"), "url": server.base_url, "secure": True}
    for scheme in ("light", "dark"):
        context = browser.new_context(
            base_url=server.base_url,
            ignore_https_errors=True,
            color_scheme=scheme,
            viewport=SHAPE,  # type: ignore[arg-type]
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.add_cookies([cookie])  # type: ignore[list-item]
        page = context.new_page()
        page.goto("/")
        page.wait_for_timeout(SETTLED)
        page.screenshot(path=directory / f"portal-{scheme}.png")
        context.close()


def _furnish(server: Server) -> None:
    """Ana has two ports open; Ben asks for a database, which takes somebody else's word."""
    guarded = {"selector": {"scope": "/", "tags": {"team": "db"}}, "limits": {"approvals": 1}}
    with (
        server.client() as owner,
        server.client(server.token_of("ana", "Owner")) as ana,
        server.client(server.token_of("ben", "JIT Requester")) as ben,
    ):
        _good(owner.post("/api/v1/machines/enable?wait=60", json={"machines": list(_ADDRESSES)}))
        _good(owner.put("/api/v1/guardrails/databases", json=guarded))
        _ask(ana, "web-1", "PT2H", "INC-4711: disk full")
        _ask(ana, "build-7", "PT45M", "upgrade of the runner")
        _ask(ben, "db-1", "PT30M", "INC-4711: slow query")


def _ask(client: httpx.Client, machine: str, length: str, why: str) -> None:
    port = {"number": 22, "sources": ["203.0.113.7"], "duration": length}
    asked = {"machines": [{"id": machine, "ports": [port]}], "justification": why}
    _good(client.post("/api/v1/requests?wait=60", json=asked))


def _good(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text
