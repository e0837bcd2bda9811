"""The server's end of the link: what is asked of an agent that answers, is slow, dies, or talks nonsense."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jitgate.clock import ManualClock
from jitgate.connectors.base import (
    Capabilities,
    Connection,
    ConnectorError,
    Done,
    GenerationBehind,
    Outcome,
    Pending,
    Report,
)
from jitgate.connectors.hosts import messages
from jitgate.connectors.hosts.connector import HostsConnector, Told, read
from jitgate.connectors.hosts.messages import (
    Answer,
    Applied,
    Apply,
    Attempts,
    Discover,
    Failed,
    Happened,
    HostFacts,
    Hosts,
    Kind,
    Request,
    Settled,
)
from jitgate.core.desired import AccessKey, Desired, Protocol
from jitgate.core.prefixes import Prefix

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SCOPE = "host/web-1"
KEY = AccessKey("uuid-1", 22, Protocol.TCP, Prefix("203.0.113.7/32"))
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"


def desired(generation: int = 1) -> Desired:
    return Desired(SCOPE, generation, NOW, frozenset(), {}, {KEY: NOW + timedelta(hours=1)})


def report(of: Desired) -> Report:
    standing = {key: end for key, end in of.access.items() if end is not None}
    connections = {"uuid-1": Connection("10.0.0.1")}
    return Report(SCOPE, of.generation, standing, frozenset(), {}, Capabilities(True, True), connections=connections)


class Agent:
    """The other end of a link, played by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def hear(self) -> Request:
        async with asyncio.timeout(60):
            body = await read(self._reader)
        assert body is not None, "the server has hung up"
        return messages.decode_request(body)

    async def hear_apply(self) -> Apply:
        request = await self.hear()
        assert isinstance(request, Apply)
        return request

    def say(self, answer: Answer) -> None:
        self.say_bytes(messages.encode(answer))

    def say_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def die(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class House:
    """A connector, with what it told."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.told: asyncio.Queue[Happened] = asyncio.Queue()
        self.refused: asyncio.Queue[Attempts] = asyncio.Queue()
        self.trouble: list[ConnectorError] = []
        self.agents: list[Agent] = []
        self.connector = HostsConnector(
            SUBSCRIPTION, "jitgate", self.clock, self, {"WEB-2": Told(("198.51.100.1",))}, patience=60
        )

    async def happened(self, event: Happened) -> None:
        if event.kind is Kind.RELEASED and self.trouble:
            raise self.trouble.pop()
        self.told.put_nowait(event)

    async def facts(self, scope: str, facts: HostFacts) -> None:
        raise AssertionError(f"the agent beside the server is asked for {scope} {facts}")

    async def behind(self, scope: str, told: Sequence[HostFacts]) -> None:
        raise AssertionError(f"the agent beside the server is asked for {scope} {told}")

    async def attempts(self, attempts: Attempts) -> None:
        self.refused.put_nowait(attempts)

    async def event(self, kind: Kind) -> Happened:
        async with asyncio.timeout(60):
            while (event := await self.told.get()).kind is not kind:
                pass
        return event

    async def attach(self) -> Agent:
        ours, theirs = socket.socketpair()
        await self.connector.attach(theirs)
        agent = Agent(*await asyncio.open_unix_connection(sock=ours))
        self.agents.append(agent)
        return agent

    async def apply(self, of: Desired | None = None) -> Outcome:
        return await self.connector.apply(await self.connector.plan(of or desired(), {}))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    await made.connector.close()
    for agent in made.agents:
        await agent.die()


async def asking(ask: Callable[[], Awaitable[Outcome]]) -> "asyncio.Task[Outcome]":
    return asyncio.ensure_future(ask())


async def test_how_long_the_agent_has_said_nothing_is_known_whether_it_hangs_or_is_gone(house: House) -> None:
    agent = await house.attach()
    house.clock.advance(timedelta(seconds=61))
    assert house.connector.silent_for == 61, "attached, and says nothing"
    agent.say(Happened(Kind.REPAIRED, SCOPE, "", NOW))
    await house.event(Kind.REPAIRED)
    assert house.connector.silent_for == 0
    await agent.die()
    house.clock.advance(timedelta(seconds=61))
    assert house.connector.silent_for == 61


async def test_a_new_agent_is_told_of_so_that_everything_is_compared(house: House) -> None:
    await house.attach()
    await house.event(Kind.CONNECTED)


async def test_what_the_agent_reports_is_done(house: House) -> None:
    agent = await house.attach()
    task = await asking(house.apply)
    request = await agent.hear_apply()
    agent.say(Applied(request.number, report(request.desired)))
    assert await task == Done(report(desired()))


async def test_time_that_passed_before_sending_is_taken_off_the_grants(house: House) -> None:
    agent = await house.attach()
    house.clock.advance(timedelta(seconds=7))
    task = await asking(house.apply)
    request = await agent.hear_apply()
    assert request.desired.at == NOW + timedelta(seconds=7)
    assert request.worked_out == house.clock.elapsed()
    task.cancel()


async def test_time_spent_waiting_for_an_agent_is_taken_off_the_grants(house: House) -> None:
    task = await asking(house.apply)
    await asyncio.sleep(0)
    asked = house.clock.elapsed()
    house.clock.advance(timedelta(seconds=2))
    agent = await house.attach()
    request = await agent.hear_apply()
    assert (request.desired.at, request.worked_out) == (NOW, asked)
    task.cancel()


async def test_a_slow_agent_is_pending_and_its_late_answer_wakes_the_scope(house: House) -> None:
    agent = await house.attach()
    house.connector._patience = 0.1
    task = await asking(house.apply)
    request = await agent.hear_apply()
    assert isinstance(await task, Pending)
    agent.say(Applied(request.number, report(request.desired)))
    assert (await house.event(Kind.ANSWERED)).scope == SCOPE


@pytest.mark.parametrize(
    ("answer", "error"), [(Failed(0, "nft refused"), ConnectorError), (Failed(0, "old", current=9), GenerationBehind)]
)
async def test_what_the_agent_cannot_do_is_an_error(house: House, answer: Failed, error: type[ConnectorError]) -> None:
    agent = await house.attach()
    task = await asking(house.apply)
    request = await agent.hear_apply()
    agent.say(replace(answer, number=request.number))
    with pytest.raises(error, match=r"old|refused|generation 9"):
        await task


async def test_when_the_agent_dies_what_was_asked_fails_at_once_and_may_be_repeated(house: House) -> None:
    agent = await house.attach()
    task = await asking(house.apply)
    await agent.hear()
    await agent.die()
    with pytest.raises(ConnectorError) as failed:
        await task
    assert failed.value.retry


async def test_the_next_agent_is_waited_for(house: House) -> None:
    task = await asking(house.apply)
    await asyncio.sleep(0.05)
    agent = await house.attach()
    request = await agent.hear_apply()
    agent.say(Applied(request.number, report(request.desired)))
    assert isinstance(await task, Done)


async def test_without_an_agent_nothing_is_pretended(house: House) -> None:
    house.connector._patience = 0.1
    with pytest.raises(ConnectorError, match="no agent"):
        await house.apply()


async def test_a_former_agent_is_heard_no_more(house: House) -> None:
    former = await house.attach()
    agent = await house.attach()
    task = await asking(house.apply)
    request = await agent.hear_apply()
    await former.die()
    agent.say(Applied(request.number, report(request.desired)))
    assert isinstance(await task, Done)


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\x01x", b"\0\0\0\x0a[1,2,3,4,5"])
async def test_an_agent_that_talks_nonsense_is_hung_up_on(house: House, nonsense: bytes) -> None:
    agent = await house.attach()
    task = await asking(house.apply)
    await agent.hear()
    agent.say_bytes(nonsense)
    with pytest.raises(ConnectorError, match="understood"):
        await task
    with pytest.raises(AssertionError, match="hung up"):
        await agent.hear()


async def test_a_report_of_another_scope_is_not_believed(house: House) -> None:
    agent = await house.attach()
    task = await asking(house.apply)
    request = await agent.hear_apply()
    agent.say(Applied(request.number, replace(report(request.desired), scope="host/other")))
    with pytest.raises(ConnectorError):
        await task


async def test_hosts_become_machines_under_the_installations_own_subscription(house: House) -> None:
    agent = await house.attach()
    task = asyncio.ensure_future(house.connector.discover())
    request = await agent.hear()
    assert isinstance(request, Discover)
    hosts = (HostFacts("web-1", "uuid-1", ("10.0.0.1",)), HostFacts("web-2", "uuid-2", ("10.0.0.2",), "no rights"))
    agent.say(Hosts(request.number, hosts))
    first, second = await task
    assert first.id.startswith(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate/")
    assert (first.uuid, first.scope, first.addresses, first.unsupported) == ("uuid-1", SCOPE, ("10.0.0.1",), "")
    assert (second.addresses, second.unsupported) == (("198.51.100.1",), "no rights")


async def test_an_event_is_settled_only_when_it_is_on_record(house: House) -> None:
    agent = await house.attach()
    house.trouble.append(ConnectorError("the database is away"))
    event = Happened(Kind.RELEASED, SCOPE, "released", NOW, "root", "locked out", "uuid-1:0")
    agent.say(event)
    agent.say(replace(event, record="uuid-1:1"))
    assert await house.event(Kind.RELEASED) == replace(event, record="uuid-1:1")
    assert await agent.hear() == Settled("uuid-1:1"), "the first one, which failed, is told again by the next agent"
