"""Whether requests should come here: told to strangers in a word, and asked of the database once for many of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.house import House

from jitgate.core.errors import Unavailable
from jitgate.store import presence
from jitgate.store.database import Tx
from jitgate.store.migrations import SchemaError
from jitgate.web.api.waiting import until
from jitgate.web.app import create_app
from jitgate.web.readiness import Farewell, Readiness, must_answer_now


@asynccontextmanager
async def asked() -> AsyncIterator[tuple[House, httpx.AsyncClient, Readiness]]:
    """A client that nobody knows, of an application in this very process."""
    async with House() as house:
        app = create_app(house.service, trusted_proxies=(), allowed_hosts=("localhost",))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            yield house, client, app.state.readiness


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
    """One entry for each time that the database is asked; the last one is what then is raised."""
    made: list[Exception | None] = [None]

    def check(tx: Tx) -> None:
        del tx
        made.insert(0, None)
        if made[-1] is not None:
            raise made[-1]

    monkeypatch.setattr(presence, "check", check)
    return made


async def test_a_server_whose_database_answers_is_ready_and_many_who_ask_cost_one_question(
    looks: list[Exception | None],
) -> None:
    async with asked() as (_, client, _):
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"status":"ready"}')}
    assert len(looks) == 2


@pytest.mark.parametrize("error", [Unavailable("it is at 192.0.2.1"), SchemaError("it is at 0099"), OSError("what")])
async def test_why_it_is_not_ready_is_not_told_to_strangers(looks: list[Exception | None], error: Exception) -> None:
    looks[-1] = error
    async with asked() as (_, client, _):
        answer = await client.get("/readyz")
        assert (answer.status_code, json.loads(answer.text)) == (503, {"status": "not ready"})
        assert (await client.get("/healthz")).status_code == 200


async def test_a_server_that_leaves_is_not_ready_and_has_its_clients_connect_anew() -> None:
    async with asked() as (_, client, readiness):
        assert "connection" not in (await client.get("/healthz")).headers
        readiness.is_leaving = True
        assert (await client.get("/readyz")).status_code == 503
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert (await client.get("/api/v1/whoami")).headers["connection"] == "close"


async def test_nobody_waits_for_a_firewall_at_a_server_that_has_left() -> None:
    async with House() as house:
        readiness = Readiness(house.service)

        async def never() -> bool:
            readiness.has_left = True
            return False

        async def app(*_: object) -> None:
            assert not await until(bool, never, 60)
            assert must_answer_now()

        async with asyncio.timeout(30):
            await Farewell(app, readiness)({"type": "http"}, _receive, _send)


async def _receive() -> dict[str, object]:
    return {}


async def _send(_message: object) -> None: ...
