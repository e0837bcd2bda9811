"""Who looks on while a story is told: clients that knock at every port, and one that asks whether there is service."""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import httpx
from tests.chaos.ledger import Ledger, Sighting
from tests.chaos.scene import Scene
from tests.chaos.world import ADDRESSES, ADDRESSES6, MACHINES, NUMBERS, PORTS, client, sources

_ANSWERS_WITHIN = 0.25
_ASK_EVERY, _SERVED_WITHIN = 0.25, 1.0
_RESET = struct.pack("ii", 1, 0)
"""A knock leaves nothing behind: no connection that is waited for, at neither end."""


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a machine as a source reaches it."""

    machine: str
    port: int
    source: str
    address: tuple[str, int]


def targets(scene: Scene, name: str) -> list[Target]:
    """All that a client can knock at. What is behind a gateway has an address only once that has a door for it."""
    found = []
    for machine in MACHINES:
        for source in sources(machine):
            for port in PORTS if client(source) == name else ():
                book = ADDRESSES6 if ":" in source else ADDRESSES
                address = scene.doors.get((machine, port)) if machine == "win-1" else (book[machine], port)
                found += [Target(machine, port, source, address)] if address else []
    return found


def knock(aims: Sequence[Target], within: float = _ANSWERS_WITHIN) -> list[Sighting]:
    """Knock at all at once, from the namespace of the calling thread; those that let in in time."""
    seen: list[Sighting] = []
    with selectors.DefaultSelector() as selector:
        for aim in aims:
            _begin(selector, aim)
        give_up = time.monotonic() + within
        while selector.get_map() and (left := give_up - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                sighting = _go_on(selector, key)
                seen += [sighting] if sighting else []
        for key in list(selector.get_map().values()):
            _end(selector, key)
    return seen


def _begin(selector: selectors.BaseSelector, aim: Target) -> None:
    made = socket.socket(socket.AF_INET6 if ":" in aim.source else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    begun = time.monotonic()
    made.connect_ex(aim.address)
    selector.register(made, selectors.EVENT_WRITE, (aim, begun))


def _go_on(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> Sighting | None:
    """Say something once connected. Only the machine's own answer counts: kernels accept for processes that sleep."""
    made: socket.socket = key.fileobj  # type: ignore[assignment]
    aim, begun = key.data
    try:
        if key.events == selectors.EVENT_WRITE:
            made.send(b"?")
            selector.modify(made, selectors.EVENT_READ, key.data)
            return None
        has_answered = bool(made.recv(16))
    except OSError:
        has_answered = False
    _end(selector, key)
    return Sighting(aim.machine, aim.port, aim.source, begun, time.monotonic()) if has_answered else None


def _end(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    selector.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]


class Watch:
    """Looks on from entering until leaving; what it sees goes into the ledger. `without_service`: seconds."""

    def __init__(self, scene: Scene, ledger: Ledger) -> None:
        self.without_service = 0.0
        self._scene, self._ledger = scene, ledger
        self._over = threading.Event()
        self._threads = [self._thread(scene.places[name].inside, partial(self._knock, name)) for name in NUMBERS]
        self._threads.append(self._thread(scene.hub.inside, self._ask))

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def _thread(self, inside: Callable[[Callable[[], None]], None], act: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=lambda: inside(act), daemon=True)

    def _knock(self, name: str) -> None:
        while not self._over.is_set():
            aims = targets(self._scene, name)
            self._ledger.saw(knock(aims), len(aims))
            self._over.wait(0.05)

    def _ask(self) -> None:
        """Measure the time in which no server answers a question that needs its database."""
        served = time.monotonic()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(replica.client()) for replica in self._scene.replicas]
            while not self._over.wait(_ASK_EVERY):
                if not any(map(_is_served, clients)):
                    continue
                gap = time.monotonic() - served
                if gap > _SERVED_WITHIN:
                    self.without_service += gap
                    self._ledger.trouble(served)
                served = time.monotonic()


def _is_served(there: httpx.Client) -> bool:
    try:
        return there.get("/api/v1/whoami", timeout=_SERVED_WITHIN).is_success
    except httpx.TransportError:
        return False
