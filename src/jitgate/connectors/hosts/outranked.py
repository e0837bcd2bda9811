"""Whether the host's own firewall keeps a port shut that jitgate would open.

Our table only drops, so it opens nothing that another table denies. Said only where it is certain: the first packet of
a connection from anywhere is followed through the input chains, and whatever is not understood may accept it.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum, auto
from typing import Any

from jitgate.connectors.hosts import foreign, nf_tables
from jitgate.connectors.hosts.foreign import FAMILIES, TRANSPORTS, Chains, Rule
from jitgate.connectors.hosts.nf_tables import Chain, Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.table import BOOT_TABLE, TABLE
from jitgate.core.desired import Protocol

_DROP = 0


class _Fit(IntEnum):
    """Whether the packet is one that a rule is about."""

    NEVER = 0
    PERHAPS = 1
    SURELY = 2


class _Fate(Enum):
    """What becomes of the packet. PASSES: it is accepted, or may be; it RETURNS to the chain that jumped here."""

    PASSES = auto()
    STOPS = auto()
    RETURNS = auto()
    GOES_ON = auto()


_VERDICTS: Mapping[str, _Fate] = {
    "accept": _Fate.PASSES,
    "drop": _Fate.STOPS,
    "reject": _Fate.STOPS,
    "return": _Fate.RETURNS,
    # What they do with the packet is not to be seen here.
    **dict.fromkeys(("queue", "vmap", "tproxy", "synproxy"), _Fate.PASSES),
}
_HARMLESS = frozenset({"counter", "log", "comment"})


def blocked(nft: Nft, reader: Reader, ports: Iterable[tuple[Protocol, int]]) -> list[str]:
    """A sentence for each port and foreign chain that surely drops it. Raises ConnectorError or OSError.

    `ports`: what reaches this host itself. A published port is forwarded, and sees no input chain.
    """
    ports = sorted(ports)
    found, known = [], dict[tuple[int, str], Chains]()
    for chain in filter(_is_foreign_input, reader.chains()):
        place = chain.family, chain.table
        if place not in known:
            known[place] = foreign.chains(nft, reader, *place)
        where = f"table {FAMILIES[chain.family]} {chain.table}, chain {chain.name}"
        found += [
            f"blocked by host firewall: {where} drops {protocol.lower()}/{port}, and no rule of it accepts it"
            for protocol, port in ports
            if _Packet(protocol, port, known[place]).is_stopped(chain)
        ]
    return found


def _is_foreign_input(chain: Chain) -> bool:
    ours = chain.family == nf_tables.INET and chain.table in (TABLE, BOOT_TABLE)
    return chain.hook == nf_tables.HOOK_INPUT and chain.kind == "filter" and chain.family in FAMILIES and not ours


class _Packet:
    """The first packet of a connection to a port of this host, on its way through one table."""

    def __init__(self, protocol: Protocol, port: int, chains: Chains) -> None:
        self._protocol, self._port, self._chains = protocol.lower(), port, chains
        self._fates: dict[str, _Fate] = {}

    def is_stopped(self, chain: Chain) -> bool:
        fate = self._in(chain.name)
        return fate is _Fate.STOPS or (fate is _Fate.GOES_ON and chain.policy == _DROP)

    def _in(self, chain: str) -> _Fate:
        """PASSES, STOPS, or GOES_ON if it may come to the end of the chain."""
        if chain not in self._fates:
            self._fates[chain] = self._follow(self._chains.get(chain, ()))
        return self._fates[chain]

    def _follow(self, rules: Iterable[Rule]) -> _Fate:
        may_leave = False
        for rule in rules:
            fit, fate = self._judge(rule)
            if fit is _Fit.NEVER or fate is _Fate.GOES_ON:
                continue
            if fate is _Fate.PASSES:
                return fate
            if fit is _Fit.SURELY:
                return _Fate.GOES_ON if may_leave or fate is _Fate.RETURNS else fate
            may_leave = may_leave or fate is _Fate.RETURNS
        return _Fate.GOES_ON

    def _judge(self, rule: Rule) -> tuple[_Fit, _Fate]:
        fit = _Fit.SURELY
        for statement in rule:
            kind, said = next(iter(statement.items()))
            if kind == "match":
                fit = min(fit, self._fit(said))
            elif fate := self._fate(kind, said):
                return fit, fate
            elif kind not in _HARMLESS:
                fit = min(fit, _Fit.PERHAPS)
        return fit, _Fate.GOES_ON

    def _fate(self, kind: str, said: Any) -> _Fate | None:
        """What a statement does with the packet; None if it lets the rule go on."""
        if kind == "jump":
            return self._in(said["target"])
        if kind == "goto":
            fate = self._in(said["target"])
            return _Fate.RETURNS if fate is _Fate.GOES_ON else fate
        if kind == "xt":
            is_match = isinstance(said, dict) and said.get("type") == "match"
            return None if is_match else _Fate.PASSES
        return _VERDICTS.get(kind)

    def _fit(self, match: Mapping[str, Any]) -> _Fit:
        left, right, operator = match.get("left"), match.get("right"), match.get("op")
        if not isinstance(left, dict) or operator not in ("==", "in", "!="):
            return _Fit.PERHAPS
        if (transport := left.get("payload", {}).get("protocol")) in TRANSPORTS and transport != self._protocol:
            return _Fit.NEVER
        holds = self._holds(left, right)
        if holds is None:
            return _Fit.PERHAPS
        return _Fit.SURELY if holds is (operator != "!=") else _Fit.NEVER

    def _holds(self, left: Mapping[str, Any], right: Any) -> bool | None:
        """Whether one value of the packet is among those that are asked for; None: it cannot be told."""
        payload, meta, tracked = (left.get(each, {}) for each in ("payload", "meta", "ct"))
        if payload.get("field") == "dport":
            return _among(right, self._port)
        if meta.get("key") == "l4proto" or payload.get("field") in ("protocol", "nexthdr"):
            return _among(right, self._protocol)
        if tracked.get("key") == "state":
            return _among(right, "new")
        comes_from_outside = meta.get("key") in ("iif", "iifname") and right == "lo"
        goes_to_this_host = tracked.get("key") == "status" and right == "dnat"
        return False if comes_from_outside or goes_to_this_host else None


def _among(right: Any, value: str | int) -> bool | None:
    """Whether a value is in a literal, list, range or set; None for what is not known, such as a named set."""
    if isinstance(right, dict):
        if "range" in right and isinstance(value, int):
            low, high = right["range"]
            return bool(low <= value <= high)
        return _among(right["set"], value) if "set" in right else None
    if isinstance(right, list):
        each = [_among(one, value) for one in right]
        return True if True in each else None if None in each else False
    if type(right) is not type(value) or (isinstance(right, str) and right.startswith("@")):
        return None
    return bool(right == value)
