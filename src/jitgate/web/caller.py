"""The address that a call comes from: the peer, or what a chain of trusted proxies says of it.

A forwarding header is read from a trusted peer only, and from right to left: each proxy adds the address that
it saw at the right end, so the first one from the right that is not a trusted proxy is the caller. Everything
to the left of it was written by the caller and says nothing.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from starlette.types import Scope

from jitgate.core.prefixes import Network, Prefix, of_address

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_HOPS = 32

# RFC 7239, section 4: forwarded-pair = token "=" value; value = token / quoted-string.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'\s*(?P<name>{_WORD})=(?:(?P<token>{_WORD})|"(?P<quoted>(?:[^"\\]|\\.)*)")\s*')
# An address with an optional port: 192.0.2.1, 192.0.2.1:443, 2001:db8::1, [2001:db8::1], [2001:db8::1]:443.
_NODE = re.compile(r"\[(?P<bracketed>[^\[\]]+)\](?::\w+)?|(?P<v4>[0-9.]+)(?::\w+)?|(?P<v6>[0-9a-fA-F:.]+)")


class Unreadable(Exception):
    """A forwarding header that says nothing which could be relied on."""


def caller_address(scope: Scope, trusted: Sequence[Network]) -> Prefix | None:
    """Where a call comes from, as a prefix of full length; None where that cannot be told.

    A trusted proxy that says nothing is the caller itself. One that says `unknown`, hides the address, or
    whose two headers contradict each other, leaves it untold: never a guess.
    """
    peer = _peer(scope)
    if peer is None:
        return None
    if not trusted or not _is_trusted(peer, trusted):
        return _prefix(peer)
    try:
        told = {_walk(chain, trusted) for chain in _chains(scope)}
    except Unreadable:
        return None
    if not told:
        return _prefix(peer)
    # A proxy writes one of the two headers and may pass on the other as the caller wrote it.
    return _prefix(told.pop()) if len(told) == 1 else None


def _peer(scope: Scope) -> Address | None:
    client = scope.get("client")
    return _parse(client[0]) if client else None


@lru_cache(maxsize=1024)
def _parse(text: str) -> Address | None:
    """An address as a socket reports it: without its zone, and IPv4 where it is mapped into IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=1024)
def _prefix(address: Address) -> Prefix:
    return of_address(str(address))


def _is_trusted(address: Address, trusted: Iterable[Network]) -> bool:
    return any(address in network for network in trusted)


def _chains(scope: Scope) -> Iterator[list[str]]:
    """Per forwarding header that is there, the addresses in it, left to right."""
    forwarded = _header(scope, b"forwarded")
    if forwarded is not None:
        yield [_for(element) for element in _elements(forwarded)]
    x_forwarded_for = _header(scope, b"x-forwarded-for")
    if x_forwarded_for is not None:
        yield x_forwarded_for.split(",")


def _header(scope: Scope, name: bytes) -> str | None:
    """A header as one text: several lines of it are one list (RFC 9110, 5.3)."""
    lines = [value for key, value in scope["headers"] if key == name]
    return b",".join(lines).decode("latin-1") if lines else None


def _walk(chain: Sequence[str], trusted: Sequence[Network]) -> Address:
    """From right to left through trusted proxies, to the first address that is none of them."""
    if len(chain) > MOST_HOPS:
        raise Unreadable
    for node in reversed(chain):
        address = _node(node)
        if not _is_trusted(address, trusted):
            return address
    return _node(chain[0])


def _node(text: str) -> Address:
    found = _NODE.fullmatch(text.strip())
    address = _parse(found["bracketed"] or found["v4"] or found["v6"]) if found else None
    if address is None:
        raise Unreadable
    return address


def _for(element: dict[str, str]) -> str:
    return element.get("for", "")


def _elements(header: str) -> Iterator[dict[str, str]]:
    """The elements of a Forwarded header; raises Unreadable where its grammar is broken."""
    element: dict[str, str] = {}
    position = 0
    while True:
        found = _PAIR.match(header, position)
        if found is None or found["name"].lower() in element:
            raise Unreadable
        quoted = found["quoted"]
        element[found["name"].lower()] = found["token"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = found.end()
        separator = header[position : position + 1]
        if separator not in ("", ",", ";"):
            raise Unreadable
        if separator != ";":
            yield element
            element = {}
        if not separator:
            return
        position += 1
