"""What holds for every page. A new page is tried by itself; give it something to show in tests/portal/pages.py."""

import re
from pathlib import Path

from tests.portal.browser import Stage, session_of
from tests.portal.pages import pages, who_sees
from tests.server import Server
from tests.web.scenery import Scenery

from jitgate.web.portal import ROUTES, assets
from jitgate.web.portal.session import COOKIE


def test_every_page_is_usable_by_everybody_in_light_and_dark_wide_and_on_a_phone(stage: Stage) -> None:
    titles: dict[str, str] = {}
    browsers = {who: stage.context(who) for who in ("", "owner")}
    for route, path in pages(stage.scenery):
        page = stage.open_in(browsers[who_sees(route)], path)
        assert re.fullmatch(r"\S.* · jitgate", page.title())
        titles.setdefault(page.title(), path)
        assert page.locator("main").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
        stage.check(page)
        page.close()
    assert len(titles) >= len(list(pages(stage.scenery))) - 1, titles  # both ways to sign in the command line


def test_every_page_loads_and_runs_nothing_but_this_servers_own_files(stage: Stage) -> None:
    browsers = {who: stage.context(who) for who in ("", "owner")}
    for route, path in pages(stage.scenery):
        answer = browsers[who_sees(route)].request.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)| style=|<style| on\w+=|javascript:", answer.text()), path
        assert not re.findall(r'\b(?<!-)(?:src|href|action)="(?!/|#|\{)[^"]*"', answer.text()), path


def test_files_are_kept_for_a_year_and_named_by_what_is_in_them(stage: Stage) -> None:
    context = stage.context()
    for name in ("base.css", "portal.js", *assets.FETCHED):
        answer = context.request.get(assets.address(name))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
    assert context.request.get("/static/base.000000000000.css").status == 404
    assert context.request.get("/static/..%2fpages.py").status == 404


def test_no_form_is_taken_from_elsewhere(tmp_path: Path) -> None:
    with Server(tmp_path, reconciles=False) as server, server.client("") as client:
        scenery = Scenery(server)
        session = f"{COOKIE}={session_of(server, 'owner')}"
        before = server.rows("meta", "activity", "credential")
        for path in [scenery.path("POST", route.path) for route in ROUTES if route.method == "POST" and route.is_page]:
            for origin in ({"Origin": "https://attacker.example"}, {"Origin": "null"}, {}):
                answer = client.post(path, data={"then": "/"}, headers={"Cookie": session, **origin})
                assert answer.status_code == 403, path
        assert server.rows("meta", "activity", "credential") == before
