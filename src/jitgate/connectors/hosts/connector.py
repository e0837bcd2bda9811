"""The server's end: the hosts that the local agent holds, as a connector.

The agent may die at any time; another then takes its place, over another socket. What was asked of the dead one
has failed, and whoever asked asks again.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from jitgate.clock import Clock
from jitgate.connectors.base import Connection, ConnectorError, Done, Memory, Outcome, Pending, Plan, Report
from jitgate.connectors.hosts import messages
from jitgate.connectors.hosts.messages import (
    Answer,
    Applied,
    Apply,
    Discover,
    Failed,
    Happened,
    HostFacts,
    Hosts,
    Kind,
    Request,
    Settled,
)
from jitgate.connectors.hosts.wire import Malformed
from jitgate.connectors.steps import steps
from jitgate.core.desired import Desired
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.resource_id import key, machine_id
from jitgate.failpoints import failpoint

NAME = "hosts"
PATIENCE_SECONDS = 5.0
_KEYS_A_SECOND = 20_000
_MANY_KEYS = 2_000
"""From here on packing a message takes long enough to be done beside the event loop."""

_log = logging.getLogger(__name__)

OnEvent = Callable[[Happened], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Told:
    """What the settings say of a host. `addresses`: where to connect to, in place of what the agent finds."""

    addresses: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class HostsConnector:
    """Hosts, by way of the agent.

    `on_event` is told, one after the other, what happened unasked; when it returns, that is safely on record.
    It is told again later if it raises ConnectorError or OSError.
    """

    name = NAME

    def __init__(
        self,
        subscription: str,
        resource_group: str,
        clock: Clock,
        on_event: OnEvent,
        told: Mapping[str, Told] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._subscription, self._resource_group = subscription, resource_group
        self._clock = clock
        self._on_event = on_event
        self._told = {key(name): each for name, each in (told or {}).items()}
        self._patience = patience
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._asked: dict[int, str] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._closing: asyncio.StreamWriter | None = None
        self._attached = asyncio.Event()
        self._happened: asyncio.Queue[Happened] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def attach(self, link: socket.socket) -> None:
        """Talk to this agent from now on, and no longer to a former one."""
        self._detach("the agent was replaced by another; this is tried again")
        reader, self._writer = await asyncio.open_unix_connection(sock=link)
        self._attached.set()
        if not self._tasks:
            self._begin(self._tell())
        self._begin(self._listen(reader, self._writer))
        self._happened.put_nowait(Happened(Kind.CONNECTED, "", "the agent is connected", self._clock.wall()))

    async def close(self) -> None:
        """Hang up. The agent ends, and the kernel keeps the deadlines."""
        self._detach("the server is stopping")
        if self._closing is not None:
            with contextlib.suppress(OSError):
                await self._closing.wait_closed()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def discover(self) -> Sequence[Machine]:
        """The hosts. Raises ConnectorError when there is no agent."""
        try:
            answer = await self._ask(Discover, self._patience)
        except TimeoutError:
            raise ConnectorError("the agent does not answer") from None
        if isinstance(answer, Hosts):
            return tuple(map(self._machine, answer.hosts))
        raise _unexpected(answer)

    def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand."""
        del memory  # The agent knows for itself what stands.
        return Plan(desired, steps(desired))

    async def apply(self, plan: Plan) -> Outcome:
        """Have the agent make it stand. Raises ConnectorError, GenerationBehind."""
        # In this order: a moment lost between the two shortens the grants, and does not lengthen them.
        worked_out = self._clock.elapsed()
        desired = self._aged(plan.desired)
        patience = self._patience + len(desired.access) / _KEYS_A_SECOND

        def apply(number: int) -> Apply:
            self._asked[number] = desired.scope
            return Apply(number, desired, worked_out)

        try:
            answer = await self._ask(apply, patience)
        except TimeoutError:
            return Pending(self._clock.wall() + timedelta(seconds=patience))
        if isinstance(answer, Applied) and answer.report.scope == desired.scope:
            return Done(self._with_told_addresses(answer.report))
        raise _unexpected(answer)

    # Asking.

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, request: Callable[[int], Request], patience: float) -> Answer:
        number = next(self._numbers)
        async with asyncio.timeout(patience):
            await self._wait_for_agent()
            waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting[number] = waiting
            try:
                await self._say(request(number))
                answer = await waiting
            finally:
                del self._waiting[number]
        self._asked.pop(number, None)
        return answer

    async def _wait_for_agent(self) -> None:
        try:
            async with asyncio.timeout(self._patience / 2):
                await self._attached.wait()
        except TimeoutError:
            raise ConnectorError(
                "no agent holds this host's firewall; what stands there ends at its deadline"
            ) from None

    async def _say(self, request: Request) -> None:
        many = isinstance(request, Apply) and len(request.desired.access) > _MANY_KEYS
        message = await asyncio.to_thread(messages.encode, request) if many else messages.encode(request)
        if self._writer is None:
            raise ConnectorError("the agent has just ended; this is tried again")
        failpoint("link.before_send")
        self._writer.write(message)
        await self._writer.drain()
        failpoint("link.after_send")

    # Listening.

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = "the agent ended"
        try:
            while (body := await messages.read(reader)) is not None:
                failpoint("link.received")
                many = len(body) > _MANY_KEYS * 40
                answer = messages.decode_answer
                self._hear(await asyncio.to_thread(answer, body) if many else answer(body))
        except (Malformed, OSError) as error:
            reason = f"the agent cannot be understood: {error}"
            _log.error(reason)
        finally:
            if self._writer is writer:
                self._detach(f"{reason}; this is tried again")

    def _hear(self, answer: Answer) -> None:
        if isinstance(answer, Happened):
            self._happened.put_nowait(answer)
        elif (waiting := self._waiting.get(answer.number)) is not None and not waiting.done():
            waiting.set_result(answer)
        elif (scope := self._asked.pop(answer.number, None)) is not None:
            late = "the agent answered after nobody waited any more"
            self._happened.put_nowait(Happened(Kind.ANSWERED, scope, late, self._clock.wall()))

    def _detach(self, reason: str) -> None:
        if self._writer is not None:
            self._writer.close()
            self._closing = self._writer
        self._writer = None
        self._attached.clear()
        self._asked.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectorError(reason))

    async def _tell(self) -> None:
        while True:
            happened = await self._happened.get()
            try:
                await self._on_event(happened)
                if happened.record:
                    await self._say(Settled(happened.record))
            except (ConnectorError, OSError) as error:
                # What has a record is told again by the next agent; the rest a sweep finds.
                _log.warning("what happened to %s could not be passed on: %s", happened.scope or "the agent", error)

    # Values.

    def _aged(self, desired: Desired) -> Desired:
        """The same as of now: what time has passed since it was worked out is no longer left of any grant."""
        return replace(desired, at=max(desired.at, self._clock.wall()))

    def _machine(self, host: HostFacts) -> Machine:
        told = self._told.get(key(host.name), Told())
        return Machine(
            uuid=host.uuid,
            id=machine_id(self._subscription, self._resource_group, host.name),
            name=host.name,
            os=OperatingSystem.LINUX,
            connector=self.name,
            provider="host",
            scope=f"host/{host.name}",
            addresses=tuple(told.addresses) or host.addresses,
            tags=told.tags,
            unsupported=host.unsupported,
            facts=host.facts,
        )

    def _with_told_addresses(self, report: Report) -> Report:
        told = self._told.get(key(report.scope.removeprefix("host/")), Told())
        if not told.addresses:
            return report
        connections = {
            machine: Connection(told.addresses[0], found.mapped_ports) for machine, found in report.connections.items()
        }
        return replace(report, connections=connections)


def _unexpected(answer: Answer) -> ConnectorError:
    if isinstance(answer, Failed):
        return answer.error()
    return ConnectorError(f"the agent answered something else: {type(answer).__name__}")
