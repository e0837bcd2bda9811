"""What can be done with a grant, and when it is said to be done."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from tests.server import Server
from tests.web.api.conftest import ME, ask

from jitgate.connectors.base import Outcome, Plan
from jitgate.core.desired import AccessKey, Protocol
from jitgate.core.prefixes import Prefix

SLOW = timedelta(seconds=0.6)


class Opened:
    """An open grant, behind a firewall that takes its time from now on."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.server, self.client = server, client
        client.post("/api/v1/machines/enable", json={"machines": ["web-1"]}, params={"wait": 60})
        body = ask(protocol="TCP", duration="PT1H")
        self.grant = client.post("/api/v1/requests", json=body, params={"wait": 60}).json()["grants"][0]
        assert self.grant["state"] == "open"
        server.connector.delay_next(SLOW, calls=2)

    def do(self, what: str, body: dict[str, Any] | None = None, wait: float = 10) -> Any:
        answer = self.client.post(f"/api/v1/grants/{self.grant['id']}/{what}", json=body, params={"wait": wait})
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the firewall answers nothing."""
        go_on = threading.Event()
        apply = self.server.connector.apply

        async def wait(plan: Plan) -> Outcome:
            await asyncio.to_thread(go_on.wait)
            return await apply(plan)

        with patch.object(self.server.connector, "apply", wait):
            try:
                yield
            finally:
                go_on.set()

    def standing(self, source: str = ME) -> datetime | None:
        """Until when the firewall holds the port open."""
        machine = next(machine for machine in self.server.connector.machines if machine.name == "web-1")
        key = AccessKey(machine.uuid, 22, Protocol.TCP, Prefix(f"{source}/32"))
        return self.server.connector.standing(machine.scope).get(key)


@pytest.fixture
def opened(data_dir: Path) -> Iterator[Opened]:
    with Server(data_dir) as server, server.client() as client:
        yield Opened(server, client)


@pytest.mark.parametrize(("verb", "length"), [("extend", "PT2H"), ("shorten", "PT10M")])
def test_with_wait_a_new_end_is_answered_when_the_firewall_holds_it(opened: Opened, verb: str, length: str) -> None:
    answer = opened.do(verb, {"duration": length})
    assert opened.standing() == datetime.fromisoformat(answer["endTimeUtc"])


def test_with_wait_a_close_is_answered_when_the_port_is_proven_shut(opened: Opened) -> None:
    answer = opened.do("close")
    assert (answer["state"], answer["reason"]) == ("closed", "userRequested")
    assert opened.standing() is None


def test_with_wait_a_move_is_answered_when_the_new_source_is_open(opened: Opened) -> None:
    answer = opened.do("move", {"sources": ["192.0.2.5"]})
    assert (answer["state"], answer["sources"]) == ("open", ["192.0.2.5"])
    assert opened.standing("192.0.2.5") == datetime.fromisoformat(answer["endTimeUtc"])


def test_while_it_moves_the_old_source_stays_open(opened: Opened) -> None:
    with opened.held():
        opened.do("move", {"sources": ["192.0.2.5"]}, wait=0)
        assert opened.standing() is not None
    old = opened.client.get(f"/api/v1/grants/{opened.grant['id']}", params={"wait": 60}).json()
    assert (old["state"], old["reason"]) == ("closed", "superseded")


def test_without_wait_nothing_is_waited_for(opened: Opened) -> None:
    with opened.held():
        assert opened.do("close", wait=0)["state"] == "closing"


def test_an_end_is_needed_and_one_is_enough(opened: Opened) -> None:
    url = f"/api/v1/grants/{opened.grant['id']}/extend"
    for body in ({}, {"duration": "PT2H", "endTimeUtc": "2099-01-01T00:00:00Z"}):
        answer = opened.client.post(url, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["target"] == "duration"


def test_somebody_elses_grant_is_not_to_be_touched(opened: Opened) -> None:
    with opened.server.client(opened.server.token_of("reader", "Reader")) as reader:
        for verb, body in (("close", None), ("extend", {"duration": "PT2H"}), ("move", {"sources": ["192.0.2.5"]})):
            assert reader.post(f"/api/v1/grants/{opened.grant['id']}/{verb}", json=body).status_code == 403
    assert opened.standing() is not None


def test_what_is_over_cannot_be_extended(opened: Opened) -> None:
    opened.do("close")
    answer = opened.client.post(f"/api/v1/grants/{opened.grant['id']}/extend", json={"duration": "PT2H"})
    assert answer.status_code == 409
