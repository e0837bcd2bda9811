"""What a firewall lets through, seen from outside: datagrams from many sources, and when the last of each arrived."""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from tests.netns import HOST4, Namespace

from bench.installation import TRAFFIC

_PAUSE = 0.001
_TIMESTAMP = 35
"""SO_TIMESTAMPNS (socket(7)): the kernel tells when a datagram came, however late we look."""
_TIMESPEC = struct.Struct("qq")


class Watch:
    """Sends from each of the sources, all in turns, without an end. A context manager.

    `last`: seconds since 1970 at which the last datagram of a source came.
    """

    def __init__(self, client: Namespace, host: Namespace, sources: Sequence[str]) -> None:
        self.last: dict[str, float] = {}
        self._over = threading.Event()
        self._receiver = host.make_socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        self._receiver.bind((HOST4, TRAFFIC))
        self._receiver.settimeout(0.1)
        self._senders = [_sender(client, each) for each in sources]
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for each in [self._receiver, *self._senders]:
            each.close()

    def _send(self) -> None:
        while not self._over.is_set():
            for each in self._senders:
                with suppress(OSError):  # some firewalls answer what they refuse
                    each.send(b"x")
            time.sleep(_PAUSE)

    def _receive(self) -> None:
        while not self._over.is_set():
            try:
                _, told, _, (address, _) = self._receiver.recvmsg(8, socket.CMSG_SPACE(_TIMESPEC.size))
            except TimeoutError:
                continue
            seconds, nanoseconds = _TIMESPEC.unpack(told[0][2])
            self.last[address] = seconds + nanoseconds / 1e9


def _sender(client: Namespace, source: str) -> socket.socket:
    made = client.make_socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((source, 0))
    made.connect((HOST4, TRAFFIC))
    return made
