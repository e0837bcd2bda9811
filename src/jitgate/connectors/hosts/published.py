"""Ports of this host that lead elsewhere: containers' published ports, and every other destination NAT.

Read from the rules themselves, whoever wrote them: Docker and Podman through iptables-nft or nftables, firewalld, or a
person. What a proxy process serves instead is told among what listens.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice
from typing import Any

from jitgate.connectors.hosts import facts, foreign, nf_tables
from jitgate.connectors.hosts.foreign import FAMILIES, TRANSPORTS, Chains, Statement
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.core.desired import Protocol

Address = IPv4Address | IPv6Address
Ports = tuple[int, int]

MOST = 200
"""How many are told at most."""
_MOST_RULES = 50_000
_ANY: Ports = (1, 65_535)


@dataclass(frozen=True, slots=True, order=True)
class Published:
    """`ports`: the first and the last. `some`: not all of them, but the rule does not tell which. `address`: of this
    host, if it is not each; `target`: where the packets go."""

    protocol: Protocol
    ports: Ports
    some: bool
    address: str
    target: str

    def __str__(self) -> str:
        first, last = self.ports
        named = "some ports" if self.some else str(first) if first == last else f"{first}-{last}"
        where = f" on {self.address}" if self.address else ""
        return f"{self.protocol.lower()}/{named}{where} to {self.target}"

    def covers(self, protocol: Protocol, port: int) -> bool:
        """Whether a packet to this port from elsewhere may be sent on."""
        if self.address and ip_network(self.address, strict=False).is_loopback:
            return False
        return protocol is self.protocol and self.ports[0] <= port <= self.ports[1]


def find(nft: Nft, reader: Reader, own: Collection[str]) -> list[Published]:
    """What is published on these addresses of the host, in order. Raises ConnectorError or OSError."""
    addresses = [ip_address(each) for each in own] + [IPv4Address("127.0.0.1"), IPv6Address("::1")]
    found: set[Published] = set()
    for chain in reader.chains():
        if chain.hook == nf_tables.HOOK_PREROUTING and chain.kind == "nat" and chain.family in FAMILIES:
            chains = foreign.chains(nft, reader, chain.family, chain.table)
            found.update(islice(_Walk(chains, addresses).through(chain.name, []), MOST))
    return sorted(found)[:MOST]


class Lookout:
    """What is published at the moment. The rules are read again only after one has changed. Not thread-safe."""

    def __init__(self, namespace: str | None, reader: Reader) -> None:
        self._namespace, self._reader = namespace, reader
        self._seen: tuple[int, frozenset[str]] | None = None
        self._found: list[Published] = []

    def now(self) -> list[Published]:
        """See `find`."""
        own = frozenset(address for address, _ in facts.addresses(self._namespace))
        # Asked for before the rules are read: a change in between is seen the next time.
        seen = self._reader.generation(), own
        if seen != self._seen:
            # A context of its own: listing leaves libnftables a cache that makes the next change slow.
            with closing(Nft(self._namespace)) as nft:
                self._found = find(nft, self._reader, own)
            self._seen = seen
        return self._found


class _Walk:
    """From the chain where packets arrive, to every rule that sends them elsewhere."""

    def __init__(self, chains: Chains, own: Sequence[Address]) -> None:
        self._chains, self._own = chains, own
        self._rules_left = _MOST_RULES

    def through(self, chain: str, before: Sequence[Statement]) -> Iterator[Published]:
        """`before`: what a packet has matched on its way here."""
        for rule in self._chains.get(chain, ()):
            self._rules_left -= 1
            if self._rules_left < 0:
                return
            matched = [*before, *(each["match"] for each in rule if "match" in each)]
            if self._leads_here(matched):
                for statement in rule:
                    yield from self._what_it_does(statement, matched)

    def _what_it_does(self, statement: Statement, matched: Sequence[Statement]) -> Iterator[Published]:
        kind, said = next(iter(statement.items()))
        if kind in ("jump", "goto"):
            yield from self.through(said["target"], matched)
        elif kind in ("dnat", "redirect"):
            yield from _published(matched, said or {})

    def _leads_here(self, matched: Sequence[Statement]) -> bool:
        """False where the rules are about other addresses than this host's, such as those of a cluster's services."""
        asked = [each["right"] for each in matched if _field(each) == "daddr" and each.get("op") == "=="]
        return all(self._is_own(right) for right in asked)

    def _is_own(self, right: Any) -> bool:
        text = _address(right)
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            return True
        return any(address in network for address in self._own)


def _published(matched: Sequence[Statement], target: Statement) -> Iterator[Published]:
    to = target.get("addr")
    if isinstance(to, dict) and "map" in to:
        # It has a name, so what it maps is not listed; but what is looked up tells the protocol.
        matched = [*matched, {"left": to["map"]["key"], "right": to["map"]["data"]}]
    asked = [each for each in matched if _field(each) == "dport"]
    exact = [found for each in asked if each.get("op") == "==" and (found := _ranges(each["right"]))]
    some = bool(asked and not exact)
    addressed = [each for each in matched if _field(each) == "daddr" and each.get("op") == "=="]
    address = next((_address(each["right"]) for each in addressed), "")
    for protocol in _protocols(matched):
        for ports in exact[-1] if exact else [_ANY]:
            yield Published(protocol, ports, some, address, _text(target))


def _protocols(matched: Sequence[Statement]) -> list[Protocol]:
    """Those that every comparison allows."""
    found = [protocol.lower() for protocol in Protocol if protocol in (Protocol.TCP, Protocol.UDP)]
    for each in matched:
        left = each.get("left")
        payload, meta = (left.get(kind, {}) for kind in ("payload", "meta")) if isinstance(left, dict) else ({}, {})
        if payload.get("protocol") in TRANSPORTS:
            found = [name for name in found if name == payload["protocol"]]
        elif meta.get("key") == "l4proto" or payload.get("field") in ("protocol", "nexthdr"):
            found = [name for name in found if name in str(each["right"])]
    return [Protocol(name.upper()) for name in found]


def _field(match: Statement) -> str:
    left = match.get("left")
    return str(left.get("payload", {}).get("field", "")) if isinstance(left, dict) else ""


def _ranges(right: Any) -> list[Ports]:
    """Port numbers as ranges; none for what is not known."""
    if isinstance(right, int):
        return [(right, right)]
    if isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        return [(first, last)]
    if isinstance(right, dict) and "set" in right:
        return [each for one in right["set"] for each in _ranges(one)]
    return []


def _address(right: Any) -> str:
    if isinstance(right, dict) and "prefix" in right:
        return f"{right['prefix']['addr']}/{right['prefix']['len']}"
    return right if isinstance(right, str) else ""


def _text(target: Mapping[str, Any]) -> str:
    """As people write it: ``10.0.0.1:22``, ``[fd00::1]:22``, ``port 22`` of the host itself."""
    address, port = target.get("addr"), target.get("port")
    ends = port["range"] if isinstance(port, dict) and "range" in port else [port]
    number = "-".join(map(str, ends)) if port else ""
    if address is None:
        return f"port {number}" if number else "this host"
    if isinstance(address, dict) and "map" in address:
        return f"what map {str(address['map'].get('data', '')).lstrip('@')} says"
    named = "-".join(map(str, address["range"])) if isinstance(address, dict) and "range" in address else str(address)
    if not number:
        return named
    return f"[{named}]:{number}" if ":" in named else f"{named}:{number}"
