"""Every page of the portal with something on it: what the tests of all pages walk, and what is photographed."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from tests.web.scenery import Scenery

from jitgate.web.gate import is_door
from jitgate.web.portal import ROUTES

AUTHORIZE = {"redirect_uri": "http://127.0.0.1:49152/", "state": "s" * 20, "code_challenge": "c" * 43}
ELSEWHERE = {"/sign-in/with/{provider}", "/sign-in/callback"}
"""They show no page of their own: they lead elsewhere."""


def pages(scenery: Scenery) -> Iterator[tuple[str, str]]:
    """Each page's route, and where to find it with something on it. A new one is in here by itself."""
    for route in ROUTES:
        if route.method == "GET" and route.is_page and route.path not in ELSEWHERE:
            yield route.path, QUERIES.get(route.path) or scenery.path("GET", route.path)


def who_sees(path: str) -> str:
    """Whose browser to look with: "" for a stranger's."""
    return "" if is_door(path) else "owner"


QUERIES: Mapping[str, str] = {
    "/authorize": f"/authorize?{urlencode(AUTHORIZE)}",
    "/request": "/request?machine=web-1&machine=web-2&for=2h&why=INC-7",
    "/settings/guardrails/edit": "/settings/guardrails/edit?name=agree",
    "/settings/roles/edit": "/settings/roles/edit?role=Own role",
    "/configure": "/configure?machine=web-1&machine=win-1",
}
"""For pages that show something only when they are asked for it."""
