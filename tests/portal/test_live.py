"""What happens shows by itself: the events that pages are told, to whom, and after a broken connection."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.portal.browser import session_of
from tests.processes import until
from tests.server import Server
from tests.web.scenery import Scenery

from jitgate.service import activity
from jitgate.web.portal.live import MOST_OF_ONE
from jitgate.web.portal.session import COOKIE


@pytest.fixture
def scenery(tmp_path: Path) -> Iterator[Scenery]:
    with Server(tmp_path) as server:
        yield Scenery(server)


class Listener:
    """Somebody's page, as far as it listens."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.status_code
        self._lines = answer.iter_lines()
        self.last = ""

    def next(self) -> str:
        """The kind of the next event."""
        kind = ""
        for line in self._lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("id: "):
                self.last = line.removeprefix("id: ")
            elif not line and kind:
                return kind
        return "over"

    def until(self, kind: str) -> None:
        while (found := self.next()) != kind:
            assert found != "over"


@contextmanager
def listening(server: Server, name: str, after: str = "", session: str = "", path: str = "/live") -> Iterator[Listener]:
    headers = {"Cookie": f"{COOKIE}={session or session_of(server, name)}"}
    headers |= {"Last-Event-ID": after} if after else {}
    with server.client("") as client, client.stream("GET", path, headers=headers) as answer:
        yield Listener(answer)


def close(scenery: Scenery) -> None:
    with scenery.server.client(scenery.requester) as client:
        assert client.post(f"/api/v1/grants/{scenery.asked['grants'][0]['id']}/close").is_success


def test_a_page_is_told_within_a_second_that_access_has_changed(scenery: Scenery) -> None:
    with listening(scenery.server, "requester") as page:
        assert page.next() == "hello"
        close(scenery)
        page.until("access")


def test_who_comes_again_is_told_what_happened_meanwhile(scenery: Scenery) -> None:
    with listening(scenery.server, "owner") as other, listening(scenery.server, "requester") as page:
        assert other.next() == page.next() == "hello"
        last = page.last
        close(scenery)
        page.until("access")
        with listening(scenery.server, "requester", after=last) as again:
            assert again.next() == "hello"
            again.until("access")


def test_what_happens_before_a_page_has_its_connection_is_told_too(scenery: Scenery) -> None:
    """Else a port that opened meanwhile would be shown as opening until something else happens."""
    server = scenery.server
    with server.client("") as client:
        headers = {"Cookie": f"{COOKIE}={session_of(server, 'requester')}"}
        shown = client.get("/", headers=headers).text
    [(path, after)] = re.findall(r'sse-connect="(/live\?after=(\d+))"', shown)
    close(scenery)
    until(lambda: server.call(activity.last_sealed(server.service)) > int(after), "nothing was sealed")
    with listening(server, "requester", path=path) as page:
        assert page.next() == "hello"
        assert page.next() in ("missed", "access")


def test_who_was_away_for_too_long_is_told_that_they_missed_something(scenery: Scenery) -> None:
    with listening(scenery.server, "requester", after="1") as page:
        assert page.next() == "hello"
        assert page.next() == "missed"


def test_nobody_is_told_of_what_they_may_not_read(scenery: Scenery) -> None:
    scenery.server.token_of("outsider", "Owner", f"{scenery.subscription}/resourceGroups/neighbour")
    with listening(scenery.server, "outsider") as page, listening(scenery.server, "requester") as other:
        assert page.next() == other.next() == "hello"
        close(scenery)
        other.until("access")
        with scenery.server.client() as owner:
            owner.post("/api/v1/principals", json={"name": "not yours"})
            owner.post(
                "/api/v1/role-assignments",
                json={"role": "Reader", "principal": "outsider", "scope": scenery.subscription},
            )
        assert page.next() == "people"  # the role that they were given, and nothing before


def test_who_signs_out_is_told_no_more(scenery: Scenery) -> None:
    session = session_of(scenery.server, "requester")
    with listening(scenery.server, "requester", session=session) as page:
        assert page.next() == "hello"
        server = scenery.server
        with server.client("") as client:
            headers = {"Cookie": f"{COOKIE}={session}", "Origin": server.base_url}
            assert client.post("/sign-out", headers=headers).status_code == 303
        assert page.next() == "ended"
        assert page.next() == "over"


def test_nobody_can_hold_connections_without_end(scenery: Scenery) -> None:
    session = session_of(scenery.server, "requester")
    server = scenery.server
    with server.client("", limits=httpx.Limits(max_connections=None)) as client:
        headers = {"Cookie": f"{COOKIE}={session}"}
        held = [
            client.send(client.build_request("GET", "/live", headers=headers), stream=True) for _ in range(MOST_OF_ONE)
        ]
        assert {answer.status_code for answer in held} == {200}
        assert client.get("/live", headers=headers).status_code == 503
        held.pop().close()

        def is_let_in() -> bool:
            with client.stream("GET", "/live", headers=headers) as again:
                return again.status_code == 200

        until(is_let_in, "the place of who has gone stays taken")
        for answer in held:
            answer.close()


@pytest.mark.parametrize("after", ["x", "-1", "9" * 30, "1 OR 1"])
def test_an_id_that_never_was_one_is_refused(scenery: Scenery, after: str) -> None:
    with scenery.server.client("") as client:
        headers = {"Cookie": f"{COOKIE}={session_of(scenery.server, 'requester')}"}
        assert client.get("/live", params={"after": after}, headers=headers).status_code == 400
