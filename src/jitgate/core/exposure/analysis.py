"""Who reaches the ports of a machine, worked out from the layers in front of it and the ways that lead to it.

The same for every kind of firewall: a connector says which layers and ways there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jitgate.core.desired import Protocol
from jitgate.core.exposure import INTERNAL, Exposure, Reach
from jitgate.core.exposure.addresses import (
    EVERY_IPV4,
    EVERY_IPV6,
    EVERY_NAME,
    NOWHERE,
    Addresses,
    of_prefixes,
)
from jitgate.core.exposure.layers import Layer, Passed, Rule, Verdict, passed

MOST_TEXTS = 20
PRIVATE = of_prefixes(map(str, INTERNAL))
INSIDE = PRIVATE | EVERY_NAME
"""Where packets come from without any way from the Internet. Names too: it is not known that they do not."""

_MUCH4, _MUCH6 = 1 << 30, 1 << 124
"""So many addresses are a quarter of IPv4, and half of what is given out of IPv6: no restriction worth the name."""

_GRANTS = frozenset({Verdict.ALLOW, Verdict.ALWAYS})
_OURS = frozenset(Verdict)


@dataclass(frozen=True, slots=True)
class Way:
    """How packets of the Internet come to an address: a public address, a load balancer, a firewall's port.

    `name`        for people; "" for the public address of the machine itself
    `sources`     from where it takes them
    `arriving`    None: as they are; else what the layers behind see as their source
    `ports`       by the machine's port and protocol; None: each
    """

    name: str
    sources: Addresses
    arriving: Addresses | None = None
    ports: frozenset[tuple[int, Protocol]] | None = None

    def leads_to(self, protocol: Protocol, port: int) -> bool:
        return self.ports is None or (port, protocol) in self.ports

    def let_in(self, through: Addresses) -> Addresses:
        """Who gets in by this way, of what the layers behind it let through."""
        if self.arriving is None:
            return self.sources & through
        return self.sources if self.arriving & through else NOWHERE


@dataclass(frozen=True, slots=True)
class Place:
    """One address of a machine, what is in front of it, and what leads to it.

    `inside`: from where packets come without a way, the networks that it is joined with.
    """

    address: str
    layers: Sequence[Layer]
    ways: Sequence[Way] = ()
    inside: Addresses = INSIDE

    def passed(self, port: int, protocol: Protocol, left_out: frozenset[Verdict] = frozenset()) -> Passed:
        """What gets through to a port. Of jitgate's own rules those with a verdict in `left_out` do not count."""
        return passed(self.layers, of_prefixes([self.address]), protocol, port, left_out)


def exposures(places: Iterable[Place], ports: Iterable[tuple[int, Protocol]]) -> tuple[Exposure, ...]:
    """Who reaches these ports of a machine at any of its addresses, without what was granted."""
    listed = list(places)
    found = (_exposure(listed, port, protocol) for port, protocol in ports)
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True)
class _Reached:
    """`inside` and `outside`: from where, without a way and by one."""

    inside: Addresses
    outside: Addresses
    rules: tuple[Rule, ...]
    ways: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.inside or self.outside)


def _exposure(places: Sequence[Place], port: int, protocol: Protocol) -> Exposure | None:
    now = _reached(places, port, protocol, _GRANTS)
    if now:
        return _told(now, port, protocol, is_held=False)
    if not any(rule.ours for place in places for layer in place.layers for rule in layer.about(protocol, port)):
        return None
    without_us = _reached(places, port, protocol, _OURS)
    return _told(without_us, port, protocol, is_held=True) if without_us else None


def _reached(places: Sequence[Place], port: int, protocol: Protocol, left_out: frozenset[Verdict]) -> _Reached:
    inside, outside = NOWHERE, NOWHERE
    rules: dict[str, Rule] = {}
    names: dict[str, None] = {}
    for place in places:
        through = place.passed(port, protocol, left_out)
        within = through.sources & place.inside
        ways = list(_let_in(place, through, protocol, port))
        if within or ways:
            rules |= {rule.id: rule for rule in through.rules}
        inside |= within
        for name, found in ways:
            outside |= found
            if name:
                names[name] = None
    return _Reached(inside, outside, tuple(rules.values()), tuple(names))


def _let_in(place: Place, through: Passed, protocol: Protocol, port: int) -> Iterator[tuple[str, Addresses]]:
    for way in place.ways:
        if way.leads_to(protocol, port) and (found := way.let_in(through.sources)):
            yield way.name, found


def _told(reached: _Reached, port: int, protocol: Protocol, *, is_held: bool) -> Exposure:
    outside = reached.outside - PRIVATE
    conditions = [f"{rule.id} only {rule.condition}" for rule in reached.rules if rule.condition]
    ways = [f"by way of {name}" for name in reached.ways]
    return Exposure(
        port=port,
        protocol=protocol,
        reach=_reach(outside),
        sources=_sources(reached, outside),
        rules=tuple(rule.id for rule in reached.rules),
        effective_deny=is_held,
        note="; ".join([*ways, *conditions]),
    )


def _reach(outside: Addresses) -> Reach:
    if not outside:
        return Reach.INTERNAL
    v4, v6 = outside.sizes
    return Reach.ANYONE if v4 >= _MUCH4 or v6 >= _MUCH6 else Reach.SPECIFIC


def _sources(reached: _Reached, outside: Addresses) -> tuple[str, ...]:
    """What is so much that it makes no difference is told as everything."""
    v4, v6 = outside.sizes
    told = reached.inside | reached.outside
    told |= (EVERY_IPV4 if v4 >= _MUCH4 else NOWHERE) | (EVERY_IPV6 if v6 >= _MUCH6 else NOWHERE)
    return told.texts(MOST_TEXTS)
