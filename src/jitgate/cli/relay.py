"""Bytes both ways between standard input and output and a TCP port, each direction ended by itself.

When standard input ends, the other side is told so and may go on sending: that is how `rsync`, `git` and
anything with an end-of-file in its protocol finish. Threads, because Windows cannot select on standard input.
"""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from jitgate.cli.exits import Failure

CONNECT_SECONDS = 15.0
_CHUNK = 1 << 16
_STDIN, _STDOUT = 0, 1


def connect(address: str, port: int) -> socket.socket:
    """A connection to a port. Raises Failure."""
    try:
        made = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
    except OSError as error:
        raise Failure(
            f"{address} port {port} was opened and does not answer ({error}). "
            "Check the service there, and that you come from the source that the port is open for."
        ) from None
    made.settimeout(None)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def relay(connection: socket.socket, stdin: int = _STDIN, stdout: int = _STDOUT) -> bool:
    """Pass bytes both ways until both directions have ended. False: one of them broke off, which ends both."""
    outcomes: SimpleQueue[bool] = SimpleQueue()
    for direction, at in ((_outward, stdin), (_inward, stdout)):
        threading.Thread(
            target=lambda pass_on, to: outcomes.put(pass_on(connection, to)), args=(direction, at), daemon=True
        ).start()
    return outcomes.get() and outcomes.get()


def _outward(connection: socket.socket, stdin: int) -> bool:
    if not _pump(lambda: os.read(stdin, _CHUNK), connection.sendall):
        return False
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    return True


def _inward(connection: socket.socket, stdout: int) -> bool:
    if not _pump(lambda: connection.recv(_CHUNK), lambda data: _write_all(stdout, data)):
        return False
    # Who reads our output learns that no more will come, while we may still pass on what is sent to us.
    with suppress(OSError):
        os.close(stdout)
    return True


def _pump(read: Callable[[], bytes], write: Callable[[bytes], None]) -> bool:
    """Pass on until the end. False: one of the two broke off."""
    try:
        while data := read():
            write(data)
    except OSError:
        return False
    return True


def _write_all(stdout: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(stdout, left) :]
