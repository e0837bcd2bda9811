"""The TCP sockets of a namespace, and ending them (sock_diag(7), <linux/inet_diag.h>).

It is what ``ss`` and ``ss -K`` do, without a program to start and to parse.
"""

import contextlib
import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from jitgate.connectors.hosts import netlink
from jitgate.core.desired import Protocol
from jitgate.core.prefixes import Prefix, of_address

_BY_FAMILY, _DESTROY = 20, 21
_REQUEST = struct.Struct("=BBBBI48s")
_ANSWER = struct.Struct("=BBBB48s")
_ID = struct.Struct(">HH16s16s")
_NUMBER = {Protocol.TCP: socket.IPPROTO_TCP, Protocol.UDP: socket.IPPROTO_UDP}

ESTABLISHED, _SYN_RECEIVED, _CLOSE, _LISTEN = 1 << 1, 1 << 3, 1 << 7, 1 << 10
_FIN_WAIT, _CLOSE_WAIT, _LAST_ACK, _CLOSING = 1 << 4 | 1 << 5, 1 << 8, 1 << 9, 1 << 11
CONNECTED = ESTABLISHED | _SYN_RECEIVED | _FIN_WAIT | _CLOSE_WAIT | _LAST_ACK | _CLOSING
"""Established, coming up or going down."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection to a local TCP port. `peer` is the other side's address, `id` what the kernel knows it by."""

    port: int
    peer: Prefix
    family: int
    id: bytes


class Sockets:
    """The sockets of one namespace. Not thread-safe."""

    def __init__(self, namespace: str | None) -> None:
        self._link = netlink.Link(namespace, netlink.SOCK_DIAG)

    def sessions(self, port: int, states: int) -> list[Session]:
        """The connections to a local TCP port, both families, those of the host with itself left out."""
        return [
            Session(port, of_address(peer), family, kept)
            for family, kept, _, local, peer in self._list(Protocol.TCP, states, port)
            if peer != local and not ipaddress.ip_address(peer).is_loopback
        ]

    def listening(self) -> set[tuple[Protocol, int, str]]:
        """Protocol, port and local address of what waits for connections or datagrams."""
        waiting = {Protocol.TCP: _LISTEN, Protocol.UDP: _CLOSE}
        return {
            (protocol, port, local)
            for protocol, states in waiting.items()
            for _, _, port, local, _ in self._list(protocol, states, 0)
        }

    def reset(self, session: Session) -> bool:
        """End a connection: both sides learn at once. False if it was gone, or the kernel cannot."""
        request = _REQUEST.pack(session.family, socket.IPPROTO_TCP, 0, 0, CONNECTED, session.id)
        try:
            self._link.request(_DESTROY, request)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                return False
            raise
        return True

    def close(self) -> None:
        self._link.close()

    def _list(self, protocol: Protocol, states: int, port: int) -> Iterator[tuple[int, bytes, int, str, str]]:
        """Family, id, local port, local and remote address of each socket; port 0 is any."""
        wanted = struct.pack(">H46x", port)
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(family, _NUMBER[protocol], 0, 0, states, wanted)
            # A kernel that was built without diagnosis of a protocol answers ENOENT.
            with contextlib.suppress(FileNotFoundError):
                for body in self._link.dump(_BY_FAMILY, request):
                    told, _, _, _, kept = _ANSWER.unpack_from(body)
                    local_port, _, local, remote = _ID.unpack_from(kept)
                    yield told, kept, local_port, _address(told, local), _address(told, remote)


def _address(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(packed[:4]))
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)
