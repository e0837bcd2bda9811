"""The server's end: the hosts that the local agent holds, as a connector.

The agent may die at any time; another then takes its place, over another socket. What was asked of the dead one
has failed, and whoever asked asks again.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from jitgate.clock import Clock
from jitgate.connectors.base import Connection, ConnectorError, Done, Memory, Outcome, Pending, Plan, Report
from jitgate.connectors.hosts import messages
from jitgate.connectors.hosts.asking import PATIENCE_SECONDS, Asking, Reply, order, unexpected
from jitgate.connectors.hosts.messages import (
    Answer,
    Apply,
    Attempts,
    Discover,
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
_MANY_KEYS = 2_000
"""From here on packing a message takes long enough to be done beside the event loop."""

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what hosts say unasked; when it returns, that is safely on record.

    It is told again later if it raises ConnectorError or OSError.
    """

    async def happened(self, event: Happened) -> None:
        """Something happened to a host, or to its agent."""
        ...

    async def facts(self, scope: str, facts: HostFacts) -> None:
        """What a host tells about itself has changed."""
        ...

    async def behind(self, scope: str, told: Sequence[HostFacts]) -> None:
        """What a gateway elsewhere tells: of itself, and of all machines behind it."""
        ...

    async def attempts(self, attempts: Attempts) -> None:
        """Who was turned away lately has changed."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What the settings say of a host. `addresses`: where to connect to, in place of what the agent finds."""

    addresses: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class HostsConnector:
    """Hosts, by way of the agent beside the server. `listener` is told one thing after the other."""

    name = NAME
    whole_ports = False

    def __init__(
        self,
        subscription: str,
        resource_group: str,
        clock: Clock,
        listener: Listener,
        told: Mapping[str, Told] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._subscription, self._resource_group = subscription, resource_group
        self._clock = clock
        self._listener = listener
        self._told = {key(name): each for name, each in (told or {}).items()}
        self._patience = patience
        self._asking = Asking()
        self._writer: asyncio.StreamWriter | None = None
        self._closing: asyncio.StreamWriter | None = None
        self._attached = asyncio.Event()
        self._heard_at = clock.elapsed()
        self._told_unasked: asyncio.Queue[Happened | Attempts] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def attach(self, link: socket.socket) -> None:
        """Talk to this agent from now on, and no longer to a former one."""
        self._detach("the agent was replaced by another; this is tried again")
        reader, self._writer = await asyncio.open_unix_connection(sock=link)
        self._attached.set()
        if not self._tasks:
            self._begin(self._tell())
        self._begin(self._listen(reader, self._writer))
        self._told_unasked.put_nowait(Happened(Kind.CONNECTED, "", "the agent is connected", self._clock.wall()))

    @property
    def silent_for(self) -> float:
        """For how many seconds the agent has said nothing, not even in answer to a look."""
        return self._clock.elapsed() - self._heard_at

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
            answer = await self._ask("", Discover, self._patience)
        except TimeoutError:
            raise ConnectorError("the agent does not answer") from None
        if isinstance(answer, Hosts):
            return tuple(map(self._machine, answer.hosts))
        raise unexpected(answer)

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand."""
        del memory  # The agent knows for itself what stands.
        return Plan(desired, steps(desired))

    async def apply(self, plan: Plan) -> Outcome:
        """Have the agent make it stand. Raises ConnectorError, GenerationBehind."""

        def ask(request: Callable[[int], Request], patience: float) -> Awaitable[Reply]:
            return self._ask(plan.scope, request, patience)

        stands = await order(plan.desired, self._clock, self._patience, ask)
        return stands if isinstance(stands, Pending) else Done(self._with_told_addresses(stands))

    # Asking.

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, scope: str, request: Callable[[int], Request], patience: float) -> Reply:
        await self._wait_for_agent()
        return await self._asking.ask(self._writer, scope, lambda number: self._say(request(number)), patience)

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
            while (body := await read(reader)) is not None:
                failpoint("link.received")
                self._heard_at = self._clock.elapsed()
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
        if isinstance(answer, (Happened, Attempts)):
            self._told_unasked.put_nowait(answer)
        elif scope := self._asking.hear(self._writer, answer):
            late = "the agent answered after nobody waited any more"
            self._told_unasked.put_nowait(Happened(Kind.ANSWERED, scope, late, self._clock.wall()))

    def _detach(self, reason: str) -> None:
        if self._writer is not None:
            self._asking.fail(self._writer, reason)
            self._writer.close()
            self._closing = self._writer
        self._writer = None
        self._attached.clear()

    async def _tell(self) -> None:
        while True:
            said = await self._told_unasked.get()
            try:
                await self._pass_on(said)
            except (ConnectorError, OSError) as error:
                # What has a record is told again by the next agent; the rest a sweep finds.
                _log.warning("what happened to %s could not be passed on: %s", said.scope or "the agent", error)

    async def _pass_on(self, said: Happened | Attempts) -> None:
        if isinstance(said, Attempts):
            await self._listener.attempts(said)
            return
        await self._listener.happened(said)
        if said.record:
            await self._say(Settled(said.record))

    # Values.

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


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's body; None when the other side is gone. Raises Malformed, OSError."""
    try:
        head = await reader.readexactly(messages.LENGTH.size)
        return await reader.readexactly(messages.length_in(head))
    except asyncio.IncompleteReadError:
        return None
