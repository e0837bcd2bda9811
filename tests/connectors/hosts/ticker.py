"""A server that talks without being asked and remembers what it heard: to see each direction of a session by itself."""

import contextlib
import socket
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Self

from tests.netns import Namespace, answers

from jitgate.clock import SystemClock

_EVERY_SECONDS = 0.01
_SILENT_AFTER = 30
"""So many times nothing is to be heard in the time in which there should be something."""


class Ticker:
    """Sends a few bytes every ten milliseconds to whoever is connected. `heard` is all that came from them."""

    def __init__(self, namespace: Namespace, port: int) -> None:
        self.heard = b""
        self._closing = threading.Event()
        self._listener = namespace.make_socket(socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("0.0.0.0", port))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            with connection:
                while not self._closing.wait(_EVERY_SECONDS):
                    with contextlib.suppress(BlockingIOError):
                        connection.send(b"tick")
                    with contextlib.suppress(BlockingIOError):
                        self.heard += connection.recv(4096)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def ticks(session: socket.socket, seconds: float = 0.3) -> bool:
    """Whether anything still comes from the server, after what was on its way."""
    time.sleep(0.03)
    session.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while session.recv(65536):
            pass
    session.setblocking(True)
    return answers(session, seconds) and bool(session.recv(64))


def time_of_last_tick(session: socket.socket) -> datetime:
    """When the server was heard for the last time before it fell silent.

    No later than it came: the last moment at which nothing was there yet. So a test that is held up finds nothing late.
    """
    last = silent = SystemClock().wall()
    quiet = 0
    while quiet < _SILENT_AFTER:
        if answers(session, _EVERY_SECONDS) and session.recv(65536):
            last, quiet = silent, 0
        else:
            quiet += 1
        if not answers(session, 0):
            silent = SystemClock().wall()
    return last
