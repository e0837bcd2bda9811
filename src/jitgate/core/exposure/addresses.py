"""Sets of addresses, IPv4 and IPv6, and of names that stand for addresses nobody here knows.

Ranges are kept sorted, apart and as long as they can be, so that one can be found among many by halving. A name
(a service tag that was never looked up) is neither inside nor outside of any range: it is kept beside them, and goes
only with its own name, or with everything.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

Range = tuple[int, int]
Ranges = tuple[Range, ...]

_LAST4, _LAST6 = (1 << 32) - 1, (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Names:
    """Some names, or (`all_but`) all there are but these."""

    listed: frozenset[str] = frozenset()
    all_but: bool = False

    def __bool__(self) -> bool:
        return self.all_but or bool(self.listed)

    def __and__(self, other: "Names") -> "Names":
        if not (self and other):
            return _NO_NAME
        if self.all_but and other.all_but:
            return Names(self.listed | other.listed, all_but=True)
        if self.all_but:
            return Names(other.listed - self.listed)
        return Names(self.listed - other.listed if other.all_but else self.listed & other.listed)

    def __or__(self, other: "Names") -> "Names":
        if not (self and other):
            return self or other
        return ~(~self & ~other)

    def __sub__(self, other: "Names") -> "Names":
        return self & ~other if self and other else self

    def __invert__(self) -> "Names":
        return Names(self.listed, not self.all_but)


_NO_NAME = Names()


@dataclass(frozen=True, slots=True)
class Addresses:
    """`v4`, `v6`: from and to, both inside. `names`: which names are in it."""

    v4: Ranges = ()
    v6: Ranges = ()
    names: Names = _NO_NAME

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6 or self.names)

    def __or__(self, other: "Addresses") -> "Addresses":
        names = self.names | other.names
        return Addresses(_merge((*self.v4, *other.v4)), _merge((*self.v6, *other.v6)), names)

    def __and__(self, other: "Addresses") -> "Addresses":
        if other is EVERYWHERE:
            return self
        if self is EVERYWHERE:
            return other
        return Addresses(_common(self.v4, other.v4), _common(self.v6, other.v6), self.names & other.names)

    def __sub__(self, other: "Addresses") -> "Addresses":
        if other is EVERYWHERE:
            return NOWHERE
        return Addresses(_less(self.v4, other.v4), _less(self.v6, other.v6), self.names - other.names)

    def holds(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether an address is in one of the ranges."""
        ranges, number = (self.v4 if address.version == 4 else self.v6), int(address)
        return any(low <= number <= high for low, high in ranges)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many IPv4 and IPv6 addresses."""
        return _size(self.v4), _size(self.v6)

    def texts(self, most: int) -> tuple[str, ...]:
        """Prefixes, then names, cut short with how many more there are."""
        found = [text for ranges, kind in self._kinds() for text in _prefixes(ranges, kind, most + 1)]
        found += [] if self.names.all_but else sorted(self.names.listed)
        return tuple(found) if len(found) <= most else (*found[:most], "and more")

    def _kinds(self) -> Sequence[tuple[Ranges, int]]:
        return ((self.v4, 4), (self.v6, 6))


def of_prefixes(prefixes: Iterable[str]) -> Addresses:
    """The union of prefixes and addresses. Raises ValueError for a text that is neither."""
    v4: list[Range] = []
    v6: list[Range] = []
    for text in prefixes:
        version, found = _range(text)
        (v4 if version == 4 else v6).append(found)
    return Addresses(_merge(v4), _merge(v6))


def of_range(first: str, last: str) -> Addresses:
    """From one address to another, both inside. Raises ValueError."""
    low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    if low.version != high.version or int(low) > int(high):
        raise ValueError(f"{first}-{last} is not a range of addresses")
    found = ((int(low), int(high)),)
    return Addresses(v4=found) if low.version == 4 else Addresses(v6=found)


def union(sets: Iterable[Addresses]) -> Addresses:
    """What any of them holds."""
    listed = list(sets)
    names = reduce(Names.__or__, (each.names for each in listed), _NO_NAME)
    v4 = _merge(found for each in listed for found in each.v4)
    return Addresses(v4, _merge(found for each in listed for found in each.v6), names)


def of_name(name: str) -> Addresses:
    """What a name stands for, which is not known."""
    return Addresses(names=Names(frozenset({name})))


def is_prefix(text: str) -> bool:
    """Whether `of_prefixes` takes it."""
    try:
        _range(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65_536)
def _range(text: str) -> tuple[int, Range]:
    network = ipaddress.ip_network(text, strict=False)
    return network.version, (int(network.network_address), int(network.broadcast_address))


def _merge(ranges: Iterable[Range]) -> Ranges:
    ordered = sorted(ranges)
    if len(ordered) < 2:
        return tuple(ordered)
    merged = [ordered[0]]
    for low, high in ordered[1:]:
        if low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def _common(one: Ranges, two: Ranges) -> Ranges:
    """What both hold: each range of the shorter one is looked up in the longer one."""
    short, long = (one, two) if len(one) <= len(two) else (two, one)
    found: list[Range] = []
    for low, high in short:
        index = _first_reaching(long, low)
        while index < len(long) and long[index][0] <= high:
            found.append((max(low, long[index][0]), min(high, long[index][1])))
            index += 1
    return tuple(found)


def _less(one: Ranges, two: Ranges) -> Ranges:
    """What only the first one holds: the others are cut out, one after the other."""
    for low, high in two:
        first = _first_reaching(one, low)
        after = bisect_right(one, (high, _LAST6))
        if first >= after:
            continue
        left, right = (one[first][0], low - 1), (high + 1, one[after - 1][1])
        rest = tuple(each for each in (left, right) if each[0] <= each[1])
        one = one[:first] + rest + one[after:]
    return one


def _first_reaching(ranges: Ranges, low: int) -> int:
    """The index of the first range that does not end before an address."""
    index = bisect_right(ranges, (low, _LAST6))
    return index - 1 if index and ranges[index - 1][1] >= low else index


def _size(ranges: Ranges) -> int:
    return sum(high - low + 1 for low, high in ranges)


def _prefixes(ranges: Ranges, version: int, most: int) -> list[str]:
    """The fewest prefixes that hold the same addresses, up to a number."""
    make: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]
    make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    found: list[str] = []
    for low, high in ranges:
        for each in ipaddress.summarize_address_range(make(low), make(high)):
            found.append(str(each))
            if len(found) >= most:
                return found
    return found


NOWHERE = Addresses()
EVERYWHERE = Addresses(((0, _LAST4),), ((0, _LAST6),), ~_NO_NAME)
EVERY_IPV4, EVERY_IPV6 = Addresses(v4=((0, _LAST4),)), Addresses(v6=((0, _LAST6),))
EVERY_NAME = Addresses(names=~_NO_NAME)
