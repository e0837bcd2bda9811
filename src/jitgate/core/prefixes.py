"""Address prefixes as canonical text: ``"10.0.0.0/24"``, ``"2001:db8::1/128"``.

A prefix is kept as text because it is a key: in dictionaries, in the database, on the wire and in
firewall sets. Canonical means that two texts are equal exactly when the prefixes are: host bits are
cleared, a bare address carries its full length, and an IPv4-mapped IPv6 address is IPv4 (that is how
a dual-stack socket shows an IPv4 peer; RFC 4291, 2.5.5.2).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NewType

from jitgate.core.errors import Invalid

Prefix = NewType("Prefix", str)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY_IPV4 = Prefix("0.0.0.0/0")
ANY_IPV6 = Prefix("::/0")
ANYWHERE: tuple[Prefix, ...] = (ANY_IPV4, ANY_IPV6)

_MAPPED_IPV4 = ipaddress.IPv6Network("::ffff:0:0/96")
_LONGEST_TEXT = 64
_MOST_NAMED = 20
_EXPECTED = "an IP address, a CIDR prefix such as 203.0.113.0/24, or * for any source"


def parse(text: object, field: str) -> tuple[Prefix, ...]:
    """Read one source as people and clients write it.

    Returns one canonical prefix, or both families' "everything" for ``*``.
    Raises Invalid, naming `field`, for anything else.
    """
    if text == "*":
        return ANYWHERE
    return (canonical(text, field),)


def parse_all(texts: Iterable[object], field: str) -> tuple[Prefix, ...]:
    """Read several sources; the result is sorted, without repeats and without what another covers."""
    found = [prefix for text in texts for prefix in parse(text, field)]
    return collapse(found)


def canonical(text: object, field: str = "prefix") -> Prefix:
    """The one spelling of an address or CIDR prefix. Raises Invalid for what is neither."""
    parsed = _read(text) if isinstance(text, str) and len(text) <= _LONGEST_TEXT else None
    if parsed is None:
        raise Invalid(field, f"{_shown(text)} is not a source address", allowed=_EXPECTED)
    return _as_prefix(parsed)


def of_address(address: str) -> Prefix:
    """The prefix that holds just this address (as a socket reports it, zone index allowed). Raises Invalid."""
    bare = address.partition("%")[0]
    if "/" in bare:
        raise Invalid("address", f"{_shown(address)} is not one address", allowed="one IP address")
    return canonical(bare, "address")


def family(prefix: Prefix) -> int:
    """4 or 6."""
    return 6 if ":" in prefix else 4


def length(prefix: Prefix) -> int:
    """The number of leading bits that the prefix fixes: 0 to 32, or 0 to 128."""
    return int(prefix.rpartition("/")[2])


def is_wide(prefix: Prefix) -> bool:
    """Whether the prefix holds more than one address."""
    return length(prefix) < (128 if family(prefix) == 6 else 32)


def covers(wide: Prefix, narrow: Prefix) -> bool:
    """Whether every address of `narrow` is in `wide`. Prefixes of two families never cover each other."""
    if family(wide) != family(narrow):
        return False
    if wide in ANYWHERE:
        return True
    outer, inner = network(wide), network(narrow)
    return outer.prefixlen <= inner.prefixlen and inner.network_address in outer


def all_covered(narrow: Iterable[Prefix], by: Sequence[Prefix]) -> bool:
    """Whether each prefix lies wholly inside the union of the others."""
    union = collapse(by)
    return all(any(covers(wide, prefix) for wide in union) for prefix in narrow)


def first_outside(sources: Iterable[Prefix], allowed: Sequence[Prefix]) -> Prefix | None:
    """The first source that reaches beyond the union of what is allowed, or None."""
    for source in sources:
        if not any(covers(wide, source) for wide in allowed) and not _in_union(source, allowed):
            return source
    return None


def collapse(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """The smallest sorted list of prefixes that holds the same addresses."""
    unique = set(prefixes)
    if len(unique) == 1:
        return tuple(unique)
    v4 = [n for n in map(network, unique) if isinstance(n, ipaddress.IPv4Network)]
    v6 = [n for n in map(network, unique) if isinstance(n, ipaddress.IPv6Network)]
    merged: list[Network] = [*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)]
    return tuple(Prefix(str(n)) for n in merged)


def widest(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Those that lie in no other one of them, in order: as many addresses, and no two overlap."""
    kept: list[Network] = []
    # Of one family, and the wider one ahead of what begins at the same address.
    for each in sorted(map(network, set(prefixes)), key=lambda one: (one.version, one.network_address, one.prefixlen)):
        if not kept or kept[-1].version != each.version or each.network_address not in kept[-1]:
            kept.append(each)
    return tuple(map(_as_prefix, kept))


@lru_cache(maxsize=4096)
def network(prefix: Prefix) -> Network:
    """The prefix as an ipaddress network, for arithmetic."""
    return ipaddress.ip_network(prefix)


def is_loopback(prefix: Prefix) -> bool:
    """Whether the prefix lies inside the host's own loopback range."""
    return network(prefix).is_loopback


def describe(prefixes: Sequence[Prefix]) -> str:
    """For messages: ``any source`` or the list, its beginning if it is long."""
    if set(ANYWHERE) <= set(prefixes):
        return "any source"
    named = ", ".join(text(prefix) for prefix in prefixes[:_MOST_NAMED]) or "no source"
    more = len(prefixes) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def text(prefix: Prefix) -> str:
    """As people write it: a single address without its length."""
    address, _, bits = prefix.rpartition("/")
    return address if bits == ("128" if family(prefix) == 6 else "32") else prefix


def _read(text: str) -> Network | None:
    """A prefix as written, or None.

    No zone index, which means nothing on another machine, and no mask in place of a length: ``/0.0.0.255`` is read
    as a netmask by one program and as a wildcard by the next.
    """
    address, slash, bits = text.partition("/")
    if "%" in address or (slash and not (bits.isascii() and bits.isdigit())):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _in_union(source: Prefix, allowed: Sequence[Prefix]) -> bool:
    """Two halves allow what neither does alone."""
    return any(covers(wide, source) for wide in collapse(allowed))


def _as_prefix(parsed: Network) -> Prefix:
    if isinstance(parsed, ipaddress.IPv6Network) and parsed.subnet_of(_MAPPED_IPV4):
        low_bits = int(parsed.network_address) & 0xFFFF_FFFF
        return Prefix(str(ipaddress.IPv4Network((low_bits, parsed.prefixlen - 96))))
    return Prefix(str(parsed))


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_TEXT else shown[:_LONGEST_TEXT] + "…"
