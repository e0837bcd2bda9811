"""Rules that other firewalls made, in the words of libnftables-json(5).

iptables-nft, and with it ufw and Docker, leaves extensions in its rules that JSON shows by name only. Those that matter
are read from the kernel (<linux/netfilter/xt_conntrack.h>, <linux/netfilter/nf_nat.h>) and said in the same words.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import nf_tables
from jitgate.connectors.hosts.nf_tables import Extension, Reader
from jitgate.connectors.hosts.nft import Nft

FAMILIES: Mapping[int, str] = {nf_tables.INET: "inet", 2: "ip", 10: "ip6"}

Statement = Mapping[str, Any]
Rule = Sequence[Statement]
Chains = Mapping[str, Sequence[Rule]]

TRANSPORTS = frozenset({"tcp", "udp", "icmp", "icmpv6", "igmp", "sctp", "dccp", "udplite", "esp", "ah", "comp"})
"""What a rule names as the protocol of a header behind that of IP: it is about that protocol only."""

_A_NAME = re.compile(r"[A-Za-z_][\w./\\-]{0,255}", re.ASCII).fullmatch
_CONNTRACK_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 256}
_BY_STATE_ALONE = (1, 0)
_GOING_ON = frozenset({"LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TCPMSS", "CHECKSUM", "TRACE", "CT", "SET", "AUDIT"})
_HAS_ADDRESS, _HAS_PORT = 1, 2


def chains(nft: Nft, reader: Reader, family: int, table: str) -> Chains:
    """The rules of each chain of a table. A map of verdicts or targets is told as a rule for each of its keys.

    Raises ConnectorError, or OSError where the kernel cannot be read.
    """
    if not _A_NAME(table):
        raise ConnectorError(f"table {table!r} has a name that cannot be listed")
    extensions = reader.extensions(family, table)
    found: dict[str, list[Rule]] = defaultdict(list)
    for listed in nft.list_json(f"list table {FAMILIES[family]} {table}"):
        if rule := listed.get("rule"):
            statements = _in_words(rule.get("expr", []), extensions.get(rule["handle"], []))
            found[rule["chain"]] += _spread(statements)
    return found


def _in_words(statements: Rule, extensions: Sequence[Extension]) -> Rule:
    if len(extensions) != sum("xt" in each for each in statements):
        return statements
    left = iter(extensions)
    return [_translated(next(left)) if "xt" in each else each for each in statements]


def _translated(extension: Extension) -> Statement:
    """What is not known by name stays an extension of its kind."""
    kind, name, revision, info = extension
    unknown: Statement = {"xt": {"type": kind, "name": name}}
    if kind == "match":
        return (_state(info) if name == "conntrack" and revision >= 2 else None) or unknown
    if name in _GOING_ON:
        return {"log": None}
    if name in ("DNAT", "REDIRECT"):
        return {name.lower(): _target(info)}
    return {"reject": None} if name == "REJECT" else unknown


def _state(info: bytes) -> Statement | None:
    """A comparison of the connection's state, if nothing else is compared."""
    *compared, states = struct.unpack_from("=HHH", info, 146)
    if tuple(compared) != _BY_STATE_ALONE or states & ~sum(_CONNTRACK_STATES.values()):
        return None
    named = [name for name, bit in _CONNTRACK_STATES.items() if states & bit]
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": named}}


def _target(info: bytes) -> Statement:
    """Where to: an nf_nat_range, or before it knew IPv6 the one in an nf_nat_ipv4_multi_range_compat."""
    flags_at, address_at, port_at = (4, 8, 16) if len(info) <= 24 else (0, 4, 36)
    (flags,) = struct.unpack_from("=I", info, flags_at)
    packed = info[address_at : address_at + (4 if port_at == 16 else 16)]
    low, high = struct.unpack_from(">HH", info, port_at)
    target: dict[str, Any] = {}
    if flags & _HAS_ADDRESS:
        target["addr"] = str(ip_address(packed if any(packed[4:]) else packed[:4]))
    if flags & _HAS_PORT:
        target["port"] = low if low == high else {"range": [low, high]}
    return target


def _spread(statements: Rule) -> Iterator[Rule]:
    """The same as rules without maps, where their keys and values are known."""
    for place, statement in enumerate(statements):
        if pairs := _pairs(statement):
            before = statements[:place]
            for key, value, effect in pairs:
                yield [*before, {"match": {"op": "==", "left": key, "right": value}}, effect]
            return
    yield statements


def _pairs(statement: Statement) -> list[tuple[Any, Any, Statement]]:
    """Of a statement with a map in it: what is looked up, each key, and what then happens."""
    if "vmap" in statement:
        found = statement["vmap"]
        return [(found["key"], key, verdict) for key, verdict in _listed(found) if isinstance(verdict, dict)]
    translation = statement.get("dnat") or {}
    address = translation.get("addr")
    if not (isinstance(address, dict) and "map" in address):
        return []
    found = address["map"]
    return [(found["key"], key, {"dnat": {**translation, **_mapped(to)}}) for key, to in _listed(found)]


def _listed(found: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The pairs of a map that has no name. The elements of one with a name are not listed."""
    data = found.get("data")
    return [(key, value) for key, value in data["set"]] if isinstance(data, dict) and "set" in data else []


def _mapped(to: Any) -> Statement:
    if isinstance(to, dict) and "concat" in to:
        address, port = to["concat"]
        return {"addr": address, "port": port}
    return {"addr": to}
