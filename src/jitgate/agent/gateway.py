"""The gateways' process: it outlives the servers that tell it what to hold, so that no session ends with one of them.

``serve`` takes links from a control socket, one after the other, as whoever started it hands them over. When that is
gone too, so is this process, and then nothing listens.
"""

import asyncio
import logging
import queue
import resource
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jitgate.agent import serving
from jitgate.agent.generation import Generation
from jitgate.agent.link import SocketLink
from jitgate.clock import Clock, SystemClock
from jitgate.connectors.base import ConnectorError, GenerationBehind, Report
from jitgate.connectors.gateway import probe, roster
from jitgate.connectors.gateway.gateway import Gateway
from jitgate.connectors.gateway.roster import Place
from jitgate.connectors.hosts.messages import Answer, Applied, Apply, Failed, Happened, HostFacts, Hosts, Kind
from jitgate.connectors.hosts.wire import Malformed
from jitgate.core.desired import Desired, PortKey

PROBE_EVERY_SECONDS = 30.0
_NEWS_EVERY_SECONDS = 1.0
_PROBES_AT_ONCE = 16
_FIRST_PROBES_MAY_TAKE_SECONDS = probe.PATIENCE_SECONDS + 0.5
_DESCRIPTORS_ASIDE = 256
"""For all that is no connection. A connection takes two."""

_log = logging.getLogger("jitgate.gateway")

Say = Callable[[Answer], None]


class GatewayPost:
    """One gateway, in an event loop and a thread of its own. Everything public returns at once."""

    def __init__(
        self, place: Place, directory: Path, clock: Clock, say: Say, most_connections: int | None = None
    ) -> None:
        self.place = place
        self._clock, self._say = clock, say
        self._loop = asyncio.new_event_loop()
        self._gateway = Gateway(place, directory, clock, self._loop, self._notice, most_connections)
        self._look = asyncio.Event()
        self._news: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation = Generation(directory) if place.joined_as else None

    @property
    def scope(self) -> str:
        """What desired states call this gateway."""
        return self.place.scope

    def start(self) -> None:
        """From now on do what is asked."""
        threading.Thread(target=self._run, name=f"gateway-{self.place.name}", daemon=True).start()

    def apply(self, request: Apply) -> None:
        """Have the gateway hold what is desired, and say what then stands."""
        self._loop.call_soon_threadsafe(self._begin, request)

    def settle(self, record: str) -> None:
        """A gateway keeps no record of its own."""

    def machines(self) -> Sequence[HostFacts]:
        """The machines behind it."""
        facts = {"gateway": self.place.name}
        return [
            HostFacts(each.name, each.uuid, (each.address,), facts={**facts, "target": each.address, "os": each.os})
            for each in self.place.targets
        ]

    def tell_again(self) -> None:
        """Tell a server elsewhere, which knows nothing of it: of the gateway itself, and of all that is behind it."""
        itself = HostFacts(self.place.name, "", facts={"address": self.place.address})
        self._say(Hosts(0, (itself, *self.machines())))

    def use(self, place: Place) -> None:
        """Other machines are behind it from now on."""
        self.place = place
        self._loop.call_soon_threadsafe(self._gateway.use, place)
        self.tell_again()

    def sync(self, desired: Desired, worked_out: float) -> Report:
        """The same as `apply`, waited for. Raises ConnectorError."""
        done: Future[Report] = Future()

        def run() -> None:
            try:
                done.set_result(self._gateway.sync(desired, worked_out))
            except ConnectorError as error:
                done.set_exception(error)
            self._look.set()

        self._loop.call_soon_threadsafe(run)
        return done.result()

    def close(self) -> None:
        """Listen nowhere, end every connection, and the thread."""
        ended = threading.Event()

        def end() -> None:
            self._gateway.close()
            self._loop.stop()
            ended.set()

        self._loop.call_soon_threadsafe(end)
        ended.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._keep(self._probe_regularly())
        self._loop.run_forever()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    def _begin(self, request: Apply) -> None:
        self._keep(self._apply(request))

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _apply(self, request: Apply) -> None:
        try:
            report = self._fenced(request)
            if self._unknown():
                # Who protects a machine wants to know whether it is; what is open or shut stands already.
                await self._probe_unknown()
                report = replace(report, protected=self._gateway.problems())
        except GenerationBehind as error:
            self._say(Failed(request.number, error.message, error.retry, error.current))
        except ConnectorError as error:
            self._say(Failed(request.number, error.message, error.retry))
        except Exception as error:  # noqa: BLE001 - what is open has to be closed in time all the same
            _log.exception("%s: could not apply", self.place.name)
            self._say(Failed(request.number, f"the gateway failed: {type(error).__name__}: {error}"))
        else:
            self._say(Applied(request.number, report))
        self._look.set()

    def _fenced(self, request: Apply) -> Report:
        """Raises ConnectorError; GenerationBehind for less than was carried out before, also by a former process."""
        if self._generation is None:
            return self._gateway.sync(request.desired, request.worked_out)
        self._generation.check(request.desired.generation)
        report = self._gateway.sync(request.desired, request.worked_out)
        self._generation.keep(request.desired.generation)
        return report

    # Looking around.

    def _notice(self, what: str) -> None:
        """Tell the server, not more often than once in a while."""
        _log.info("%s: %s", self.place.name, what)
        if not self._news:
            self._loop.call_later(_NEWS_EVERY_SECONDS, self._tell)
        if len(self._news) < 100:
            self._news.append(what)

    def _tell(self) -> None:
        news, self._news = self._news, []
        self._say(Happened(Kind.NOTICED, self.scope, "; ".join(dict.fromkeys(news)), self._clock.wall()))

    async def _probe_regularly(self) -> None:
        """See, for ever, whether machines can be reached past the gateway: at once where that is not known."""
        while True:
            await self._probe(self._gateway.probed())
            self._look.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY_SECONDS):
                    while not self._unknown():
                        await self._look.wait()
                        self._look.clear()

    def _unknown(self) -> bool:
        return any(key not in self._gateway.exposed for key, _, _ in self._gateway.probed())

    async def _probe_unknown(self) -> None:
        unknown = [target for target in self._gateway.probed() if target[0] not in self._gateway.exposed]
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_PROBES_MAY_TAKE_SECONDS):
                await self._probe(unknown)

    async def _probe(self, targets: Sequence[tuple[PortKey, str, int]]) -> None:
        few = asyncio.Semaphore(_PROBES_AT_ONCE)

        async def one(key: PortKey, address: str, port: int) -> None:
            async with few:
                self._gateway.found(key, await probe.around(address, port, self.place.probe_from))

        await asyncio.gather(*(one(*target) for target in targets))


class Speaker:
    """Says to whichever server there is, from a thread of its own: one that does not listen holds up no relay."""

    def __init__(self) -> None:
        self._link: SocketLink | None = None
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="speaker", daemon=True).start()

    def use(self, link: SocketLink | None) -> None:
        """Say to this one from now on; what is said to nobody is lost, and the next server asks for everything."""
        self._link = link

    def say(self, answer: Answer) -> None:
        """Returns at once."""
        self._answers.put(answer)

    def _run(self) -> None:
        while True:
            answer = self._answers.get()
            link = self._link
            try:
                if link is not None:
                    link.say(answer)
            except (ConnectorError, OSError) as error:
                _log.warning("the server could not be told: %s", error)


def posts(state: Path, clock: Clock, say: Say) -> list[GatewayPost]:
    """A post for each gateway in the file that was left in a directory. Raises ConnectorError."""
    most = _affordable()
    return [GatewayPost(place, place.directory(state), clock, say, most) for place in roster.read(state)]


def serve(control: socket.socket, state: Path) -> None:
    """Serve one server after the other until nobody is left to hand one over. Raises ConnectorError, OSError."""
    speaker = Speaker()
    held = posts(state, SystemClock(), speaker.say)
    for post in held:
        post.start()
    _log.info("holding %s", ", ".join(post.place.name for post in held) or "no gateway")
    while (link := _next(control)) is not None:
        to_server = SocketLink(link)
        speaker.use(to_server)
        try:
            serving.attend(to_server, held)
        except (Malformed, OSError) as error:
            _log.error("the server cannot be understood: %s", error)
        speaker.use(None)
        link.close()


def _next(control: socket.socket) -> socket.socket | None:
    """The next link; None when nobody will hand one over any more."""
    while True:
        try:
            data, descriptors, *_ = socket.recv_fds(control, 1, 1)
        except ConnectionResetError:
            return None
        if descriptors:
            return socket.socket(fileno=descriptors[0])
        if not data:
            return None


def _affordable() -> int:
    """As many connections as there may be descriptors for, once the limit is raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 16
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, (soft - _DESCRIPTORS_ASIDE) // 2)
