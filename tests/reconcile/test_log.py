"""What the log tells of looks at firewalls: whatever speaks meanwhile, each line has the ids of its own look."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars
from tests.house import HOUR, House

from jitgate.connectors.base import Outcome, Plan
from jitgate.core.access import Span
from jitgate.core.errors import Invalid
from jitgate.service import presentation
from jitgate.store.database import Tx

Line = MutableMapping[str, Any]
CORRELATION = "6c1e2a52-1c0f-4a8e-9a44-0d5f0c6e7b11"


@pytest.fixture
def told() -> Iterator[list[Line]]:
    with structlog.testing.capture_logs(processors=[merge_contextvars]) as lines:
        yield lines


def moved(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "grants moved"]


async def test_a_grant_that_time_shuts_is_followed_to_its_end(house: House, told: list[Line]) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1", span=Span(end=house.clock.wall() + HOUR))
    await house.pass_time(HOUR)
    lines = [(line["state"], line.get("reason")) for line in moved(told) if line["grants"] == grant.uid]
    assert lines == [("opening", None), ("open", None), ("closing", "expired"), ("closed", "expired")]


async def test_what_a_connector_tells_has_the_scope_and_the_grants_that_it_is_about(
    house: House, told: list[Line]
) -> None:
    await house.enable("web-1", "web-2")
    apply = house.firewall.apply

    async def telling(plan: Plan) -> Outcome:
        structlog.get_logger("connector").info("at it")
        return await apply(plan)

    house.firewall.apply = telling  # type: ignore[method-assign]
    asked = {house.machine(name).scope: await house.ask(name) for name in ("web-1", "web-2")}
    await asyncio.gather(*map(house.reconciler.reconcile, asked))
    looks = {line["scope"]: line for line in told if line["event"] == "at it"}
    assert {scope: line["grants"] for scope, line in looks.items()} == {
        scope: view.grants[0].grant.uid for scope, view in asked.items()
    }
    # Both shared a transaction, and each has its own ids all the same.
    opened = {line["scope"]: line["correlation"] for line in moved(told) if line["state"] == "open"}
    assert opened == {scope: line["correlation"] for scope, line in looks.items()}
    assert {correlation.partition("#")[0] for correlation in opened.values()} == set(asked)


async def test_a_step_that_is_undone_is_not_told(
    house: House, told: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.enable("web-1")

    def breaks(*_: object) -> None:
        raise Invalid("sources", "it goes wrong afterwards")

    monkeypatch.setattr(presentation, "request", breaks)
    with pytest.raises(Invalid):
        await house.ask("web-1")
    assert not moved(told)


async def test_a_function_at_the_database_is_in_the_context_of_who_asked(house: House) -> None:
    def work(_tx: Tx) -> dict[str, Any]:
        return get_contextvars()

    with bound_contextvars(correlation=CORRELATION):
        for door in (house.store.read, house.store.write, house.store.glance):
            assert (await door(work))["correlation"] == CORRELATION
    assert "correlation" not in await house.store.write(work)
