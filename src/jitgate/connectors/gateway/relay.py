"""One connection through the gateway: bytes both ways, each direction ended by itself.

A direction reads only while its other side takes what was read: what could not be sent at once waits in memory, and
until it is gone nothing more is read. All such waiting together has a budget; beyond it the pieces get small, so
that thousands of slow readers take no more memory than a few.
"""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from jitgate.core.prefixes import Prefix

PIECE, SMALL_PIECE = 256 << 10, 4 << 10
BUDGET = 64 << 20
"""Bytes that may wait before pieces get small."""

CONNECT_SECONDS = 10.0
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPALIVE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""What tells a peer that has vanished: two minutes. macOS calls the first one by the second name."""

_RESET = struct.pack("ii", 1, 0)


class Waiting:
    """The buffer that all relays of a loop read into, and how many bytes of memory hold what waits to be sent."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.bytes = 0
        self._budget = budget
        self._whole = memoryview(bytearray(PIECE))
        self._small = self._whole[:SMALL_PIECE]

    @property
    def room(self) -> memoryview:
        """To read the next piece into."""
        return self._whole if self.bytes < self._budget else self._small


class Direction:
    """From one socket to another."""

    __slots__ = ("_broken", "_ended", "_left", "_loop", "_sink", "_source", "_waiting", "is_over")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: socket.socket,
        sink: socket.socket,
        waiting: Waiting,
        ended: Callable[[], None],
        broken: Callable[[], None],
    ) -> None:
        self._loop, self._source, self._sink, self._waiting = loop, source, sink, waiting
        self._ended, self._broken = ended, broken
        self._left: memoryview | None = None
        self.is_over = False

    def start(self) -> None:
        """Carry from now on."""
        self._loop.add_reader(self._source, self._read)

    def stop(self) -> None:
        """Carry no more, and forget what waits."""
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        self._forget()

    def _read(self) -> None:
        room = self._waiting.room
        try:
            count = self._source.recv_into(room)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._broken()
            return
        if not count:
            self._end()
        elif (sent := self._send(room[:count])) is not None and sent < count:
            self._wait(room[sent:count])

    def _wait(self, rest: memoryview) -> None:
        self._loop.remove_reader(self._source)
        self._left = memoryview(bytes(rest))
        self._waiting.bytes += len(rest)
        self._loop.add_writer(self._sink, self._drain)

    def _drain(self) -> None:
        assert self._left is not None
        sent = self._send(self._left)
        if sent is None:
            return
        if sent < len(self._left):
            self._left = self._left[sent:]
            return
        self._forget()
        self._loop.remove_writer(self._sink)
        self.start()

    def _send(self, data: memoryview) -> int | None:
        """How much went; None if the connection is broken."""
        try:
            return self._sink.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._broken()
            return None

    def _end(self) -> None:
        """Nothing more comes; the other side is told so, and may go on sending."""
        self._loop.remove_reader(self._source)
        self.is_over = True
        with suppress(OSError):
            self._sink.shutdown(socket.SHUT_WR)
        self._ended()

    def _forget(self) -> None:
        if self._left is not None:
            # All of it, however little was left to send: memory is free again when the last of a piece is.
            self._waiting.bytes -= memoryview(self._left.obj).nbytes
            self._left = None


class Relay:
    """One client's connection. `source`: its address. `ended` is called once, with why the target was not reached."""

    __slots__ = ("_client", "_directions", "_ended", "_is_over", "_loop", "_server", "_timer", "_waiting", "source")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        source: Prefix,
        waiting: Waiting,
        ended: Callable[["Relay", str], None],
    ) -> None:
        self._loop, self._client, self._waiting, self._ended = loop, client, waiting, ended
        self.source = source
        self._is_over = False
        self._server: socket.socket | None = None
        self._directions: tuple[Direction, ...] = ()
        self._timer: asyncio.TimerHandle | None = None

    def connect(self, address: str, port: int, reached: Callable[[], None]) -> None:
        """Reach the target, then carry. Nothing is read from the client before."""
        try:
            self._server = socket.socket(family_of(address), socket.SOCK_STREAM)
            self._server.setblocking(False)
            begun = self._server.connect_ex((address, port))
        except OSError as error:
            self.cut(error.strerror or str(error))
            return
        if begun not in (0, errno.EINPROGRESS):
            self.cut(os.strerror(begun).lower())
            return
        self._timer = self._loop.call_later(CONNECT_SECONDS, self.cut, "no answer")
        self._loop.add_writer(self._server, self._connected, reached)

    def cut(self, why: str = "") -> None:
        """End it at once, with a reset to both sides."""
        if self._is_over:
            return
        for connection in (self._client, self._server):
            if connection is not None:
                reset_on_close(connection)
        self._close(why)

    def _connected(self, reached: Callable[[], None]) -> None:
        assert self._server is not None
        self._loop.remove_writer(self._server)
        if error := self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.cut(os.strerror(error).lower())
            return
        reached()
        self._stop_timer()
        client, server = self._client, self._server
        for each in (client, server):
            tune(each)
        self._directions = (
            Direction(self._loop, client, server, self._waiting, self._ended_one, self.cut),
            Direction(self._loop, server, client, self._waiting, self._ended_one, self.cut),
        )
        for direction in self._directions:
            direction.start()

    def _ended_one(self) -> None:
        if all(direction.is_over for direction in self._directions):
            self._close("")

    def _close(self, why: str) -> None:
        self._stop_timer()
        for direction in self._directions:
            direction.stop()
        self._directions = ()
        if self._server is not None:
            self._loop.remove_writer(self._server)
            self._server.close()
        self._client.close()
        self._is_over = True
        self._ended(self, why)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def family_of(address: str) -> socket.AddressFamily:
    """The socket family of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def reset_on_close(connection: socket.socket) -> None:
    """Have the other side see a reset, and nothing linger here."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def tune(connection: socket.socket) -> None:
    """Send at once, and notice a peer that has vanished."""
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _KEEPALIVE:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
