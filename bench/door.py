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
_LOOK_EVERY = 0.003
_SURELY_SHUT = 1.0
"""Seconds without a connection after which a port counts as shut, also where the machine is busy."""


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

    def lateness(self, ask: Callable[[], object], source: str, seconds: float) -> float:
        """Seconds from when a port that is asked for so long should shut to the last connection that is accepted; a
        port that stays open is watched for a minute."""
        ends = time.perf_counter() + seconds
        self.time(ask, source)
        last = time.perf_counter()
        while (now := time.perf_counter()) < min(max(ends, last) + _SURELY_SHUT, ends + _SECONDS):
            if self._connects(source):
                last = now
            time.sleep(_LOOK_EVERY)
        return last - ends

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


def open_door(opened: contextlib.ExitStack, client: Namespace, host: Namespace, address: str, port: int) -> Door:
    """A port of the host on which something listens."""
    listening = opened.enter_context(host.make_socket(socket.AF_INET))
    listening.bind((address, port))
    listening.listen(64)
    return Door(client, listening)
