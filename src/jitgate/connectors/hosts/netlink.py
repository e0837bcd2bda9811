"""Raw netlink (netlink(7)): messages, attributes, dumps and acknowledged requests.

Only what libnftables and the standard library cannot do goes this way; see `nf_tables`, `sockets` and `facts`.
"""

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts.netns import run_inside

NETFILTER, SOCK_DIAG, ROUTE = 12, 4, 0

REQUEST, ACK, DUMP, CREATE = 0x001, 0x004, 0x300, 0x400
_DUMP_INTERRUPTED = 0x010
_ERROR, _DONE = 2, 3

_HEADER = struct.Struct("=IHHII")
HEADER_LENGTH = _HEADER.size
_ATTRIBUTE = struct.Struct("=HH")
TYPE_MASK = 0x3FFF
_RECEIVE = 1 << 17
_ATTEMPTS = 20

making_a_socket = threading.Lock()
"""Held while a netfilter socket comes into being, so that one can be told from another; see `nft`."""


class Link:
    """One netlink socket in a namespace. Not thread-safe: its user holds a lock."""

    def __init__(self, namespace: str | None, protocol: int) -> None:
        with making_a_socket:
            self._socket = run_inside(namespace, lambda: open_socket(protocol))
        self._sequence = 0

    def dump(self, kind: int, payload: bytes) -> list[memoryview]:
        """The bodies of all messages that answer a dump request; a dump that a change interrupted is repeated.

        Raises OSError with the kernel's own number, or ConnectorError when changes never stop.
        """
        for _ in range(_ATTEMPTS):
            bodies = self._dump_once(kind, payload)
            if bodies is not None:
                return bodies
        raise ConnectorError("the firewall is being changed too fast to be read; try again")

    def ask(self, kind: int, payload: bytes) -> memoryview:
        """The body of the one message that answers. Raises OSError with the kernel's own number, or ConnectorError."""
        self._send(kind, 0, payload)
        for what, _, body in self._answers():
            if what == _ERROR:
                raise_if_error(body)
            return body
        raise ConnectorError("the kernel did not answer on the netlink socket")

    def request(self, kind: int, payload: bytes) -> None:
        """One acknowledged request. Raises OSError with the kernel's own number."""
        self._send(kind, ACK, payload)
        for what, _, body in self._answers():
            if what == _ERROR:
                raise_if_error(body)

    def close(self) -> None:
        self._socket.close()

    def _dump_once(self, kind: int, payload: bytes) -> list[memoryview] | None:
        self._send(kind, DUMP, payload)
        bodies: list[memoryview] = []
        interrupted = False
        while True:
            for what, flags, body in self._answers():
                interrupted = interrupted or bool(flags & _DUMP_INTERRUPTED)
                if what == _DONE:
                    return None if interrupted else bodies
                if what == _ERROR:
                    raise_if_error(body)
                bodies.append(body)

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self._sequence += 1
        self._socket.send(message(kind, flags, self._sequence, payload))

    def _answers(self) -> Iterator[tuple[int, int, memoryview]]:
        return messages(memoryview(self._socket.recv(_RECEIVE)), self._sequence)


def open_socket(protocol: int) -> socket.socket:
    """A netlink socket in the namespace of the calling thread."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """One request with its header."""
    return _HEADER.pack(HEADER_LENGTH + len(payload), kind, REQUEST | flags, sequence, 0) + payload


def messages(buffer: memoryview, answering: int | None = None) -> Iterator[tuple[int, int, memoryview]]:
    """Kind, flags and body of each message in what one receive brought; only those that answer a request, if told so.

    What a request that failed half-way left behind is passed over.
    """
    offset = 0
    while offset + HEADER_LENGTH <= len(buffer):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(buffer, offset)
        if length < HEADER_LENGTH:
            return
        if answering in (None, sequence):
            yield kind, flags, buffer[offset + HEADER_LENGTH : offset + length]
        offset += aligned(length)


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute with its header and padding."""
    header = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind)
    return header + payload + b"\0" * (-len(payload) % 4)


def attributes(buffer: memoryview) -> dict[int, memoryview]:
    """The attributes of one level by their type; of several alike, the last."""
    return dict(each_attribute(buffer))


def each_attribute(buffer: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and payload of each attribute of one level."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(buffer):
        length, kind = _ATTRIBUTE.unpack_from(buffer, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & TYPE_MASK, buffer[offset + _ATTRIBUTE.size : offset + length]
        offset += aligned(length)


def text(payload: memoryview) -> str:
    """A string attribute, which ends with a zero byte."""
    return bytes(payload).rstrip(b"\0").decode("utf-8", "replace")


def number(payload: memoryview) -> int:
    """A big-endian number attribute, of any width."""
    return int.from_bytes(payload, "big")


def aligned(length: int) -> int:
    return (length + 3) & ~3


def error_of(body: memoryview) -> int:
    """The errno of an error message; 0 is an acknowledgement."""
    code: int = struct.unpack_from("=i", body)[0]
    return -code


def raise_if_error(body: memoryview) -> None:
    """Raise OSError for an error message that is not an acknowledgement."""
    if code := error_of(body):
        raise OSError(code, f"{errno.errorcode.get(code, code)}: {os.strerror(code)}")
