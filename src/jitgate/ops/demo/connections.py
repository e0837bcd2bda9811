"""TCP connections from a client of the demo: whether one comes about, and one that stays up."""

import errno
import select
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jitgate.connectors.hosts.netns import run_inside
from jitgate.ops.demo.network import Node

PORT = 22
SILENCE_SECONDS = 0.3
"""How long nothing may come back before a port counts as shut. An open one answers within a millisecond."""

_PIECE = 4096


class Answer(StrEnum):
    """What becomes of an attempt to connect."""

    ACCEPTED = "accepted"
    REFUSED = "refused by the machine, so the firewall let it through"
    NONE = "unanswered"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A client that knocks at a machine, at one of its addresses."""

    client: Node
    machine: Node
    address: str

    def __str__(self) -> str:
        return f"{self.client} at {self.machine} ({self.address})"


def attempts(client: Node, machine: Node) -> Sequence[Attempt]:
    """One for each family."""
    return [Attempt(client, machine, address) for address in machine.addresses]


def knock(tried: Iterable[Attempt], seconds: float = SILENCE_SECONDS) -> dict[Attempt, Answer]:
    """Try them all at once."""
    begun = {each: _begin(each) for each in tried}
    try:
        return _answers(begun, time.monotonic() + seconds)
    finally:
        for each in begun.values():
            each.close()


def make_socket(node: Node, family: int) -> socket.socket:
    """A TCP socket in a node's namespace."""
    return run_inside(node.namespace, lambda: socket.socket(family, socket.SOCK_STREAM))


def family_of(address: str) -> int:
    """The socket family of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Session:
    """A connection that carries lines to an echo and back. `carrier`: the process that it runs through, if any."""

    def __init__(self, connection: socket.socket, carrier: subprocess.Popen[bytes] | None = None) -> None:
        self._connection = connection
        self._carrier = carrier
        self._sent = 0

    def exchange(self, seconds: float) -> float | None:
        """How long a line took there and back, in seconds; None if it did not come back in time, or at all."""
        self._sent += 1
        line = f"line {self._sent}\n".encode("ascii")
        began = time.monotonic()
        try:
            self._connection.sendall(line)
            return time.monotonic() - began if self._hear(line, began + seconds) else None
        except OSError:
            return None

    def is_cut(self, seconds: float) -> bool:
        """Whether the other side ends it within that time."""
        self._connection.settimeout(seconds)
        try:
            while self._connection.recv(_PIECE):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """End it."""
        self._connection.close()
        if self._carrier is not None:
            self._carrier.kill()
            self._carrier.wait()

    def _hear(self, line: bytes, until: float) -> bool:
        heard = b""
        while line not in heard:
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._connection.settimeout(left)
            piece = self._connection.recv(_PIECE)
            if not piece:
                return False
            heard += piece
        return True


def _begin(attempt: Attempt) -> socket.socket:
    made = make_socket(attempt.client, family_of(attempt.address))
    made.setblocking(False)
    made.connect_ex((attempt.address, PORT))
    return made


def _answers(begun: dict[Attempt, socket.socket], until: float) -> dict[Attempt, Answer]:
    found = dict.fromkeys(begun, Answer.NONE)
    waiting = {each: attempt for attempt, each in begun.items()}
    is_over = False
    while waiting and not is_over:
        # Looked at once more when the time is up: a machine that stood still may have had the answers for long.
        left = until - time.monotonic()
        is_over = left <= 0
        for ready in select.select((), waiting, (), max(0.0, left))[1]:
            error = ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            found[waiting.pop(ready)] = _ANSWERS.get(error, Answer.NONE)
    return found


_ANSWERS = {0: Answer.ACCEPTED, errno.ECONNREFUSED: Answer.REFUSED, errno.ECONNRESET: Answer.REFUSED}
