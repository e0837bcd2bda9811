"""What a host tells about itself: its name, system, addresses, what listens on it, and what it publishes."""

import platform
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from jitgate.connectors.hosts import netlink
from jitgate.connectors.hosts.sockets import Sockets
from jitgate.core.desired import Protocol

_GET_ADDRESSES = 22
_ADDRESS_HEADER = struct.Struct("=BBBBI")
_GLOBAL_SCOPE = 0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """`addresses` are those that others may reach it by; `listening` names protocol, port and local address;
    `published` says which ports lead elsewhere, see `published`."""

    name: str
    system: str
    kernel: str
    addresses: tuple[str, ...]
    listening: tuple[tuple[Protocol, int, str], ...]
    published: tuple[str, ...] = ()

    def as_json(self) -> Mapping[str, object]:
        """For people and for the wire."""
        return {
            "system": self.system,
            "kernel": self.kernel,
            "listening": [f"{protocol.lower()}/{port} on {address}" for protocol, port, address in self.listening],
            "published": list(self.published),
        }


def gather(namespace: str | None) -> HostFacts:
    """The facts of one namespace. Raises ConnectorError or OSError."""
    sockets = Sockets(namespace)
    try:
        listening = tuple(sorted(sockets.listening()))
    finally:
        sockets.close()
    return HostFacts(
        name=namespace or socket.gethostname(),
        system=_system(),
        kernel=platform.release(),
        addresses=tuple(address for address, scope in addresses(namespace) if scope == _GLOBAL_SCOPE),
        listening=listening,
    )


def addresses(namespace: str | None) -> list[tuple[str, int]]:
    """Every address of the namespace and its scope (rtnetlink(7)), loopback left out."""
    link = netlink.Link(namespace, netlink.ROUTE)
    try:
        bodies = link.dump(_GET_ADDRESSES, _ADDRESS_HEADER.pack(0, 0, 0, 0, 0))
    finally:
        link.close()
    found = []
    for body in bodies:
        family, _, _, scope, _ = _ADDRESS_HEADER.unpack_from(body)
        each = netlink.attributes(body[_ADDRESS_HEADER.size :])
        packed = bytes(each.get(2) or each.get(1) or b"")
        address = IPv4Address(packed) if family == socket.AF_INET else IPv6Address(packed)
        if not address.is_loopback:
            found.append((str(address), scope))
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
