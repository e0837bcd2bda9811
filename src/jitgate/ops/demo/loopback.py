"""A machine that admits its gateway only, and clients, all on loopback: for that nobody needs a right.

::

    alice 127.0.0.2 ──┐
                      ├── gateway 127.0.0.1, a mapped port ──── web-1 127.0.0.20
    bob   127.0.0.3 ──┘

What a machine's own firewall does is done by a filter on its listening socket (socket(7), SO_ATTACH_FILTER): the kernel
drops every packet that does not come from the gateway's address. Such a filter needs no right, unless the system is
short of room for them; then the machine answers everybody, and shows as exposed.
"""

import ctypes
import socket
import struct
import threading
from contextlib import suppress
from enum import StrEnum

from jitgate.core.errors import Unavailable
from jitgate.ops.demo.connections import Session

GATEWAY, ALICE, BOB, AROUND, MACHINE = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.9", "127.0.0.20"
NAME = "web-1"

_SECONDS = 15.0
_PIECE = 4096
_GREETING = f"This is {NAME}. It says back what you say.\n".encode("ascii")
_ATTACH_FILTER = 26
_INSTRUCTION = struct.Struct("=HBBI")
_SOURCE_ADDRESS = 0xFFF00000 + 12  # SKF_NET_OFF: from where the IPv4 header begins


class Seen(StrEnum):
    """What becomes of an attempt to connect."""

    ANSWERED = "answered"
    NOTHING = "refused: nothing listens"
    RESET = "reset by the gateway"


class Machine:
    """Listens at its own address. `port`: where; `admits_only_gateway`: whether others are refused."""

    def __init__(self) -> None:
        listening = socket.socket()
        try:
            _admit_only(listening, GATEWAY)
            self.admits_only_gateway = True
        except OSError:
            self.admits_only_gateway = False
        listening.bind((MACHINE, 0))
        listening.listen()
        self.port: int = listening.getsockname()[1]
        threading.Thread(target=_accept, args=(listening,), daemon=True).start()


def knock(source: str, port: int) -> Seen:
    """Try once."""
    try:
        with _connect(source, port) as made:
            return Seen.ANSWERED if made.recv(_PIECE) else Seen.RESET
    except ConnectionRefusedError:
        return Seen.NOTHING
    except (ConnectionResetError, TimeoutError):
        return Seen.RESET


def session(source: str, port: int) -> Session:
    """A session that stays up. Raises Unavailable."""
    try:
        made = Session(_connect(source, port))
    except OSError as error:
        raise Unavailable(f"{source} cannot connect to {GATEWAY}:{port}: {error}.") from None
    if made.exchange(_SECONDS) is None:
        made.close()
        raise Unavailable(f"no session of {source} comes about")
    return made


def _connect(source: str, port: int) -> socket.socket:
    return socket.create_connection((GATEWAY, port), _SECONDS, (source, 0))


def _admit_only(listening: socket.socket, address: str) -> None:
    """Have the kernel drop what comes to a socket from elsewhere (bpf(4): load, compare, return all or nothing)."""
    [wanted] = struct.unpack("!I", socket.inet_aton(address))
    program = b"".join(
        _INSTRUCTION.pack(*each)
        for each in ((0x20, 0, 0, _SOURCE_ADDRESS), (0x15, 0, 1, wanted), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0))
    )
    kept = ctypes.create_string_buffer(program)
    listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", 4, ctypes.addressof(kept)))


def _accept(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.sendall(_GREETING)
        while heard := connection.recv(_PIECE):
            connection.sendall(heard)
