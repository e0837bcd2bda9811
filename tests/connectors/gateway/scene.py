"""A real gateway on loopback, a machine behind it, and clients at several addresses: real TCP, no rights needed.

scene.open(ALICE, seconds=60)
with scene.connect(ALICE) as client:
    assert echoes(client)
"""

import random
import socket
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.house import MovableClock
from tests.stateful.nftables import SteppedClock

from jitgate.agent.gateway import GatewayPost
from jitgate.connectors.base import Report
from jitgate.connectors.gateway.roster import Place, Target
from jitgate.connectors.hosts.messages import Answer
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, canonical

ALICE, BOB, SIX = "127.0.0.2", "127.0.0.3", "::1"
MACHINE, BEHIND = "11111111-0000-0000-0000-000000000001", "127.0.0.20"
UUID6, BEHIND6 = "11111111-0000-0000-0000-000000000006", "::1"
PATIENCE = 30.0


class Echo:
    """A machine: says back what it hears, in threads that end with it. `heard`: who connected."""

    def __init__(self, address: str = BEHIND, port: int = 0) -> None:
        self._listening = socket.create_server((address, port), family=_family(address), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self.accepted:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted.append(connection)
                self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


class Silent(Echo):
    """A machine that accepts, and leaves it to the test what becomes of the connection."""

    def serve(self, connection: socket.socket) -> None:
        """Nothing."""


class Scene:
    """A gateway in front of a machine; `desired` grows with what is opened, each time with a later generation."""

    def __init__(self, directory: Path, target: Echo | None = None, **settings: object) -> None:
        self.target = target or Echo()
        self.clock: MovableClock = SteppedClock()
        self.said: list[Answer] = []
        self.key = PortKey(MACHINE, self.target.port, Protocol.TCP)
        self.session = SessionEnd.KEEP
        self.generation = 0
        self.access: dict[AccessKey, datetime | None] = {}
        first = random.randrange(20_000, 31_000)  # below what the system gives to clients
        place = Place(
            "edge",
            "gateway.example",
            (Target("win-1", MACHINE, BEHIND),),
            listen=("127.0.0.1", "::1"),
            ports=(first, first + 500),
        )
        self.place = replace(place, **settings)  # type: ignore[arg-type]
        self._directory = directory
        self._opened = ExitStack()
        self._opened.callback(self.target.close)
        self.start()

    def start(self) -> None:
        """A gateway that knows nothing but its mapped ports."""
        self.post = GatewayPost(self.place, self._directory, self.clock, self.said.append)
        self.post.start()

    def stop(self) -> None:
        self.post.close()

    @property
    def mapped(self) -> int:
        """The mapped port of the machine's port."""
        return self.sync().connections[self.key.machine].mapped_ports[self.key.port]

    def open(self, *sources: str, seconds: float = 60) -> Report:
        """Open the port for sources, or let it end at another time."""
        end = self.clock.wall() + timedelta(seconds=seconds)
        self.access |= {self._key(source): end for source in sources}
        return self.sync()

    def shut(self, *sources: str, cut: bool = False) -> Report:
        """Shut it for them: it has expired, or, with `cut`, was revoked."""
        keys = [self._key(source) for source in sources]
        self.access |= dict.fromkeys(keys)
        until = self.clock.wall() + timedelta(days=5)
        return self.sync(cut=dict.fromkeys(keys, until) if cut else {})

    def sync(self, *, late: float = 0.0, cut: Mapping[AccessKey, datetime] | None = None, **other: object) -> Report:
        """Have all of it stand; `late`: how long ago it was worked out."""
        self.generation += 1
        return self.post.sync(self.desired(cut=cut or {}, **other), self.clock.elapsed() - late)

    def desired(self, **other: object) -> Desired:
        made = Desired(
            scope=self.place.scope,
            generation=self.generation,
            at=self.clock.wall(),
            machines=frozenset({self.key.machine}),
            protected={self.key: Protection(self.session)},
            access=dict(self.access),
            complete=True,
        )
        return replace(made, **other)  # type: ignore[arg-type]

    def try_to_connect(self, source: str, port: int | None = None) -> socket.socket | None:
        """A connection that the gateway keeps; None where it is refused or reset."""
        family = _family(source)
        made = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(PATIENCE)
        try:
            made.bind((source, 0))
            made.connect(("::1" if family is socket.AF_INET6 else "127.0.0.1", port or self.mapped))
        except OSError:
            made.close()
            return None
        return made

    def listens(self, port: int) -> bool:
        """Whether there is anybody at a mapped port."""
        made = self.try_to_connect(ALICE, port)
        if made is not None:
            made.close()
        return made is not None

    def connect(self, source: str, port: int | None = None) -> socket.socket:
        made = self.try_to_connect(source, port)
        assert made is not None, f"{source} is not let in"
        return made

    def is_reset_at_once(self, source: str) -> bool:
        """Whether somebody there is sent away by a reset, which may be there before connect(2) has returned."""
        made = self.try_to_connect(source)
        if made is None:
            return True
        with made:
            return is_reset(made)

    def is_let_in(self, source: str) -> bool:
        """Whether somebody there gets an answer of the machine."""
        made = self.try_to_connect(source)
        if made is None:
            return False
        with made:
            return echoes(made)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._opened.close()

    def _key(self, source: str) -> AccessKey:
        prefix: Prefix = canonical(source)
        return AccessKey(self.key.machine, self.key.port, self.key.protocol, prefix)


def echoes(connection: socket.socket, said: bytes = b"hello") -> bool:
    """Whether what is said comes back."""
    connection.settimeout(PATIENCE)
    try:
        connection.sendall(said)
        heard = b""
        while len(heard) < len(said):
            piece = connection.recv(1 << 16)
            if not piece:
                return False
            heard += piece
    except OSError:
        return False
    return heard == said


def is_cut(connection: socket.socket, within: float = PATIENCE) -> bool:
    """Whether the connection ends by itself within seconds."""
    connection.settimeout(within)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def is_reset(connection: socket.socket, within: float = PATIENCE) -> bool:
    """The same by a reset."""
    connection.settimeout(within)
    try:
        connection.recv(1)
    except ConnectionResetError:
        return True
    except OSError:
        return False
    return False


def until(look: object, seconds: float = PATIENCE) -> None:
    """Return as soon as something is so."""
    assert callable(look)
    give_up = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < give_up, "it does not come about"
        time.sleep(0.01)


def reset(connections: Iterable[socket.socket]) -> None:
    """End them without a trace."""
    for each in connections:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        each.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while heard := connection.recv(1 << 16):
            connection.sendall(heard)
        connection.shutdown(socket.SHUT_WR)
