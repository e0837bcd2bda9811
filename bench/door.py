"""A port that is asked for, and a client who tries it without a pause."""

import contextlib
import select
import socket
import time
from collections.abc import Callable

from tests.netns import Namespace

_SECONDS = 60.0
_PROBE_EVERY = 0.0003
"""Seconds between attempts to connect: what is refused is dropped in silence, and the kernel would repeat it after a
whole second."""


class Door:
    """`listening`: the socket behind the port; the client has all addresses that are asked for."""

    def __init__(self, client: Namespace, listening: socket.socket) -> None:
        self._client = client
        self._listening = listening

    def time(self, ask: Callable[[], object], source: str) -> float:
        """Seconds from asking to the first connection from `source` that is accepted. Raises TimeoutError."""
        began = time.perf_counter()
        ask()
        while not self._connects(source):
            if time.perf_counter() - began > _SECONDS:
                raise TimeoutError(f"{source} could not connect within {_SECONDS:g} s")
        return time.perf_counter() - began

    def _connects(self, source: str) -> bool:
        with self._client.make_socket(socket.AF_INET) as connecting:
            connecting.setblocking(False)
            connecting.bind((source, 0))
            with contextlib.suppress(BlockingIOError):
                connecting.connect(self._listening.getsockname())
            if not select.select([self._listening], [], [], _PROBE_EVERY)[0]:
                return False
            self._listening.accept()[0].close()
            return True
