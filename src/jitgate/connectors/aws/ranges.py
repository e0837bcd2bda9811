"""Which ports a rule lets through, and what is left of it without some of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jitgate.core.desired import Protocol

ALL = (0, 65535)
ANY = "-1"
_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}

Range = tuple[int, int]
Part = tuple[str, int, int]
"""A protocol in Amazon's words, and its first and last port."""


def protocol_of(text: str) -> str:
    """Amazon's name of a protocol, also where it was given as a number."""
    return _NUMBERS.get(str(text).lower(), str(text).lower())


def covers(part: Part, protocol: Protocol, port: int) -> bool:
    """Whether a rule's protocol and ports hold a port."""
    name, first, last = part
    return name == ANY or (name == protocol.lower() and first <= port <= last)


def without(part: Part, holes: Iterable[tuple[str, int]], source: Mapping[str, Any]) -> Sequence[Part]:
    """What is left of a rule without some ports, given as ``("tcp", 22)``.

    A rule for all protocols becomes rules for TCP, UDP and ICMP: Amazon has no other way to say "all but".
    """
    taken = set(holes)
    if part[0] != ANY:
        return [(part[0], first, last) for first, last in _split(part[1:], (p for n, p in taken if n == part[0]))]
    left = [
        (name, first, last)
        for name in ("tcp", "udp")
        for first, last in _split(ALL, (p for n, p in taken if n == name))
    ]
    return [*left, *((name, -1, -1) for name in _icmp(source))]


def _icmp(source: Mapping[str, Any]) -> Sequence[str]:
    if "CidrIpv4" in source:
        return ("icmp",)
    return ("icmpv6",) if "CidrIpv6" in source else ("icmp", "icmpv6")


def _split(whole: tuple[int, int] | tuple[int, ...], holes: Iterable[int]) -> list[Range]:
    first, last = whole
    found: list[Range] = []
    for hole in sorted(hole for hole in set(holes) if first <= hole <= last):
        if first < hole:
            found.append((first, hole - 1))
        first = hole + 1
    if first <= last:
        found.append((first, last))
    return found


def describe(part: Part) -> str:
    """For people: ``tcp 22``, ``tcp 0-1023``, ``all traffic``."""
    name, first, last = part
    if name == ANY:
        return "all traffic"
    if first == -1:
        return name
    return f"{name} {first}" if first == last else f"{name} {first}-{last}"
