"""The exposure of a host by what it says listens on its management ports."""

import ipaddress
import re
from collections.abc import Collection, Iterable, Sequence

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach, is_internal
from jitgate.core.machine import MANAGEMENT_PORTS

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST = 500
_TEXT = re.compile(r"(tcp|udp)/([0-9]{1,5}) on ([0-9A-Fa-f:.]{2,45})")
_LONGEST_TEXT = 80

_PRIVATE_ONLY = "the machine has private addresses only; what leads to them from elsewhere is not known"


def exposures(
    listening: object, addresses: Iterable[str], shut: Collection[tuple[int, Protocol]]
) -> tuple[Exposure, ...]:
    """Who reaches the management ports on which something listens.

    `listening`  texts such as ``tcp/22 on ::``; a host may tell anything, and what is no such text counts as nothing
    `addresses`  where the host is reached
    `shut`       ports and protocols that jitgate is known to hold shut
    """
    told = listening[:_MOST] if isinstance(listening, (list, tuple)) else ()
    found: dict[tuple[int, Protocol], list[tuple[str, str]]] = {}
    for text in told:
        if (read := _read(text)) is not None:
            port, protocol, local = read
            found.setdefault((port, protocol), []).append((text, local))
    own = tuple(addresses)
    return tuple(
        _of_port(port, protocol, sockets, own, (port, protocol) in shut)
        for (port, protocol), sockets in sorted(found.items())
    )


def _of_port(
    port: int, protocol: Protocol, sockets: Sequence[tuple[str, str]], own: Sequence[str], is_shut: bool
) -> Exposure:
    bound = [ipaddress.ip_address(local) for _, local in sockets]
    wide = any(address.is_unspecified for address in bound)
    public = (wide and _has_public(own)) or any(_is_public(address) for address in bound)
    return Exposure(
        port=port,
        protocol=protocol,
        reach=Reach.ANYONE if public else Reach.INTERNAL,
        sources=_families(bound),
        rules=tuple(sorted(text for text, _ in sockets)),
        effective_deny=is_shut,
        note="" if public else _PRIVATE_ONLY,
    )


def _has_public(own: Sequence[str]) -> bool:
    """Whether one is of the Internet, or none is known: then it is not known that none is."""
    return not own or any(_is_public(ipaddress.ip_address(each)) for each in own if _is_address(each))


def _is_public(address: Address) -> bool:
    return not (address.is_unspecified or is_internal(address))


def _families(bound: Sequence[Address]) -> tuple[str, ...]:
    """Any source of the families that get there: a socket at ``::`` takes IPv4 as well, unless it was told not to."""
    both = any(address.version == 6 and address.is_unspecified for address in bound)
    v4 = both or any(address.version == 4 for address in bound)
    v6 = any(address.version == 6 for address in bound)
    return ("0.0.0.0/0",) * v4 + ("::/0",) * v6


def _read(text: object) -> tuple[int, Protocol, str] | None:
    """Port, protocol and local address of what listens at a management port, but for the host itself."""
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not (read := _TEXT.fullmatch(text)):
        return None
    protocol, port, local = read[1], int(read[2]), read[3]
    if port not in MANAGEMENT_PORTS or not _is_address(local) or ipaddress.ip_address(local).is_loopback:
        return None
    return port, Protocol(protocol.upper()), local


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
