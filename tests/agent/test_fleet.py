"""The server's end of the link to hosts elsewhere: what it takes from an answer, and what it forgets."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jitgate.clock import ManualClock
from jitgate.connectors.base import Capabilities, Connection, Done, Pending, Report
from jitgate.connectors.hosts import fleet as fleet_module
from jitgate.connectors.hosts.fleet import Fleet
from jitgate.connectors.hosts.line import Member
from jitgate.connectors.hosts.messages import Applied, Apply
from jitgate.connectors.hosts.polls import Poll, Reply, Said
from jitgate.core.desired import Desired, PortKey, Protocol
from jitgate.trust import signatures

SCOPE, UUID, OTHER = "fleet/jitgate/web-1", "1111", "2222"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = signatures.make()
MEMBER = Member(UUID, SCOPE, KEY.public)
DESIRED = Desired(SCOPE, 1, NOW, frozenset({UUID}), {}, {})
REPORT = Report(SCOPE, 1, {}, frozenset(), {}, Capabilities(True, True))


class Nobody:
    """Is told what hosts say unasked, and keeps none of it."""

    async def happened(self, event: Any) -> None: ...

    async def facts(self, scope: str, facts: Any) -> None: ...

    async def behind(self, scope: str, told: Any) -> None: ...

    async def attempts(self, attempts: Any) -> None: ...


class Agent:
    """Polls a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.session, self.turn, self.heard = "", 0, 0

    async def poll(self, *said: Any) -> Reply:
        self.turn += 1
        told = Poll(UUID, self.session, self.turn, "n", self.heard, 1, Said(1, said))
        reply = await self.fleet.poll(MEMBER, told, 1.0, 0.0)
        self.session = reply.session
        self.heard = max(self.heard, reply.said.last)
        return reply


async def test_a_report_says_nothing_of_other_machines_nor_where_to_connect_to() -> None:
    fleet = Fleet(ManualClock(NOW), Nobody())
    agent = Agent(fleet)
    await agent.poll()
    asking = asyncio.create_task(fleet.apply(await fleet.plan(DESIRED, {})))
    [asked] = (await agent.poll()).said.messages
    assert isinstance(asked, Apply)
    own, other = PortKey(UUID, 22, Protocol.TCP), PortKey(OTHER, 22, Protocol.TCP)
    lie = replace(
        REPORT,
        connections={UUID: Connection("192.0.2.66", {22: 2222}), OTHER: Connection("192.0.2.66", {})},
        protected={own: "x" * 4000, other: ""},
        repaired=("x" * 4000,) * 1000,
    )
    polling = asyncio.create_task(agent.poll(Applied(asked.number, lie)))
    outcome = await asking
    await fleet.close()
    await polling
    assert isinstance(outcome, Done)
    assert not outcome.report.connections
    assert outcome.report.protected.keys() == {own}
    assert sum(map(len, outcome.report.repaired)) + len(outcome.report.protected[own]) < 20_000


async def test_an_agent_that_never_answers_takes_no_more_and_more_memory() -> None:
    fleet = Fleet(ManualClock(NOW), Nobody(), patience=0.001)
    agent = Agent(fleet)
    await agent.poll()
    for _ in range(50):
        assert isinstance(await fleet.apply(await fleet.plan(DESIRED, {})), Pending)
        await agent.poll()
    assert len(fleet._asking._given_up) <= 8
    await fleet.close()


async def test_agents_are_let_go_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "_LET_GO_AT_ONCE", 2)
    fleet = Fleet(ManualClock(NOW), Nobody())
    members = [replace(MEMBER, uuid=f"uuid-{number}", scope=f"fleet/jitgate/web-{number}") for number in range(5)]
    first = Poll("", "", 1, "n", 0, 1, Said())
    sessions = [(await fleet.poll(each, replace(first, host=each.uuid), 1.0, 0.0)).session for each in members]
    held = [
        asyncio.create_task(fleet.poll(each, replace(first, host=each.uuid, session=session), 60.0, 0.0))
        for each, session in zip(members, sessions, strict=True)
    ]
    await asyncio.sleep(0)
    done: list[int] = []

    async def pause(_: float) -> None:
        await asyncio.gather(*held[: 2 * len(done) + 2])
        done.append(sum(each.done() for each in held))

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", pause)
        await fleet.let_go()
    assert done == [2, 4, 5]


async def test_how_long_ago_a_host_was_heard_does_not_go_by_a_clock_that_people_set() -> None:
    clock = ManualClock(NOW)
    fleet = Fleet(clock, Nobody())
    await Agent(fleet).poll()
    clock.advance(timedelta(seconds=7))
    clock.step(timedelta(minutes=-15))
    assert fleet.heard() == {UUID: timedelta(seconds=7)}
    assert not fleet.heard(), "told once"
