"""Whether the host's own firewall keeps a port shut that jitgate would open.

Our table only drops, so it opens nothing that another table denies. Said only where it is certain: where no rule of a
denying table can accept the port, whatever else the rule asks. (libnftables-json(5) for the shapes read here.)
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import nf_tables
from jitgate.connectors.hosts.nf_tables import Chain, Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.table import BOOT_TABLE, TABLE
from jitgate.core.desired import Protocol

_FAMILIES = {nf_tables.INET: "inet", 2: "ip", 10: "ip6"}
_DROP = 0

Rule = Mapping[str, Any]


def blocked(nft: Nft, reader: Reader, ports: Iterable[tuple[Protocol, int]]) -> list[str]:
    """A sentence for each port and foreign chain that surely drops it. Raises ConnectorError."""
    found = []
    for chain in reader.chains():
        if _denies(chain):
            rules = _rules(nft, chain)
            where = f"table {_FAMILIES[chain.family]} {chain.table}, chain {chain.name}"
            found += [
                f"blocked by host firewall: {where} drops {protocol.lower()}/{port}, and no rule of it accepts it"
                for protocol, port in sorted(ports)
                if not any(_may_accept(rule, protocol, port) for rule in rules)
            ]
    return found


def _denies(chain: Chain) -> bool:
    ours = chain.family == nf_tables.INET and chain.table in (TABLE, BOOT_TABLE)
    at_input = chain.hook == nf_tables.HOOK_INPUT and chain.policy == _DROP
    return at_input and chain.family in _FAMILIES and not ours


def _rules(nft: Nft, chain: Chain) -> list[Rule]:
    """All rules of the chain's table: it may jump to any of them."""
    try:
        listed = nft.list_json(f"list table {_FAMILIES[chain.family]} {chain.table}")
    except UnicodeEncodeError:
        raise ConnectorError(f"table {chain.table!r} has a name that cannot be listed") from None
    return [each["rule"] for each in listed if "rule" in each]


def _may_accept(rule: Rule, protocol: Protocol, port: int) -> bool:
    statements: list[Mapping[str, Any]] = rule.get("expr", [])
    verdicts = any(key in each for each in statements for key in ("accept", "vmap", "xt", "queue"))
    return verdicts and all(_may_match(each["match"], protocol, port) for each in statements if "match" in each)


def _may_match(match: Mapping[str, Any], protocol: Protocol, port: int) -> bool:
    """Whether a packet to this port can satisfy one comparison. Whatever is not understood may match."""
    left, right, equals = match.get("left"), match.get("right"), match.get("op") in ("==", "in")
    if not equals or not isinstance(left, dict):
        return True
    payload, meta = left.get("payload", {}), left.get("meta", {})
    if payload.get("field") == "dport":
        return _in(right, port) and payload.get("protocol") in (protocol.lower(), "th")
    if meta.get("key") == "l4proto" or payload.get("field") in ("protocol", "nexthdr"):
        return _in(right, protocol.lower())
    if meta.get("key") in ("iif", "iifname"):
        return bool(right != "lo")
    if left.get("ct", {}).get("key") == "state":
        return _in(right, "new")
    return True


def _in(right: Any, value: str | int) -> bool:
    """Whether a value is in a literal, list, range or set. A named set may hold anything."""
    if isinstance(right, dict):
        if "range" in right:
            low, high = right["range"]
            return not isinstance(value, int) or low <= value <= high
        return _in(right.get("set", value), value)
    if isinstance(right, list):
        return any(_in(each, value) for each in right)
    if isinstance(right, str) and right.startswith("@"):
        return True
    return bool(right == value)
