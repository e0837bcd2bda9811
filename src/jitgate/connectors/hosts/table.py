"""The ``inet jitgate`` table as nft commands (nft(8)).

The table only ever drops: it can take away what the host's own firewall allows, never allow what that denies, so it
lives beside ufw, firewalld and docker. It is made of

``ports``, ``keep``        the protected ports, and those of them whose sessions outlive a grant
``always4``, ``always6``   prefixes that are let in whatever happens
``open4_24`` and so on     one hash set for each prefix length in use, looked up with that length's mask: a wide and a
                           narrow prefix stand side by side, each element with a kernel timeout and its end as comment
                           (interval sets refuse overlaps, and get slow)
``cut4_24`` and so on      the same, for sources whose established sessions must go
``refused4``, ``refused6`` who was turned away in the last ten minutes, for "an attempt came from …"
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from jitgate.core.desired import AccessKey, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, collapse, family

TABLE, BOOT_TABLE = "jitgate", "jitgate_boot"

PORTS, KEEP = "ports", "keep"
REFUSED: Mapping[int, str] = {4: "refused4", 6: "refused6"}
ALWAYS: Mapping[int, str] = {4: "always4", 6: "always6"}
REFUSED_FOR_SECONDS = 600

FULL_LENGTH: Mapping[int, int] = {4: 32, 6: 128}
_IP: Mapping[int, str] = {4: "ip", 6: "ip6"}
_ADDRESS: Mapping[int, str] = {4: "ipv4_addr", 6: "ipv6_addr"}
_AN_ADDRESS = re.compile(r"[0-9a-f.:]{2,39}").fullmatch
_SYN = "tcp flags & (fin | syn | rst | ack) == syn"

OWN_LABEL = 57
"""The conntrack label bit that marks connections which the host itself began from a protected port."""

BASE_CHAINS: Mapping[str, str] = {
    "inbound": "type filter hook prerouting priority -150",
    "redirected": "type filter hook input priority -150",
    "outbound": "type filter hook postrouting priority 300",
}
"""Inbound comes after connection tracking (-200) and before destination NAT (-100): a published port still has the
number that the client used. Outbound comes after source NAT (100), for the same reason."""

PLAIN_CHAINS = ("guard_in", "guard_out", "refuse")


class Purpose(StrEnum):
    """What the elements of a set are for."""

    OPEN = "open"
    CUT = "cut"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The set that holds one prefix length of one family."""

    purpose: Purpose
    family: int
    length: int

    @property
    def name(self) -> str:
        return f"{self.purpose}{self.family}_{self.length}"


class Held(NamedTuple):
    """Until when an element stands: `end` (UTC) as it was asked for, `deadline` the same on the elapsed clock."""

    end: datetime
    deadline: float


Ports = Mapping[tuple[Protocol, int], SessionEnd]


def slot_of(purpose: Purpose, key: AccessKey) -> Slot:
    """The set that a key belongs in."""
    return _slot(purpose, ":" in key.prefix, key.prefix.rpartition("/")[2])


@cache
def _slot(purpose: Purpose, is_ipv6: bool, bits: str) -> Slot:
    return Slot(purpose, 6 if is_ipv6 else 4, int(bits))


def make_sets(slots: Iterable[Slot], always: Sequence[Prefix]) -> list[str]:
    """Make what sets there are not, leaving those alone that there are."""
    commands = [_set(name, "inet_proto . inet_service") for name in (PORTS, KEEP)]
    for each in (4, 6):
        commands.append(_set(ALWAYS[each], _ADDRESS[each], "flags interval;"))
        commands.append(
            _set(
                REFUSED[each],
                _element_type(each),
                f"flags dynamic,timeout; timeout {REFUSED_FOR_SECONDS}s; size 4096;",
            )
        )
        commands.append(f"flush set inet {TABLE} {ALWAYS[each]}")
        if prefixes := [prefix for prefix in collapse(always) if family(prefix) == each]:
            commands.append(_add(ALWAYS[each], prefixes))
    return commands + [_set(slot.name, _element_type(slot.family), "flags timeout;") for slot in sorted(slots)]


def make_chains(slots: Iterable[Slot], machine: str) -> list[str]:
    """Make the chains there are not, and write every rule anew: packets see the old rules, then the new ones."""
    commands = [f"add chain inet {TABLE} {name}" for name in PLAIN_CHAINS]
    commands += [
        f'add chain inet {TABLE} {name} {{ {hook}; policy accept; comment "{machine}"; }}'
        for name, hook in BASE_CHAINS.items()
    ]
    commands += [f"flush chain inet {TABLE} {name}" for name in (*BASE_CHAINS, *PLAIN_CHAINS)]
    ordered = sorted(slots, reverse=True)
    rules = {
        "inbound": [
            *_only_ports("dport"),
            "iif lo accept",
            "fib daddr type != { local, broadcast, multicast, anycast } accept",
            "goto guard_in",
        ],
        "redirected": [*_only_ports("dport"), "iif lo accept", "ct status & dnat != dnat accept", "goto guard_in"],
        "outbound": [*_only_ports("sport"), "oif lo accept", "fib saddr type != local accept", "goto guard_out"],
        "guard_in": _guard_in(ordered),
        "guard_out": _guard_out(ordered),
        "refuse": _refuse(),
    }
    return commands + [f"add rule inet {TABLE} {chain} {rule}" for chain, each in rules.items() for rule in each]


def set_ports(ports: Ports) -> list[str]:
    """Make exactly these the protected ports."""
    commands = [f"flush set inet {TABLE} {PORTS}", f"flush set inet {TABLE} {KEEP}"]
    kept = [port for port, session in ports.items() if session is SessionEnd.KEEP]
    for name, listed in ((PORTS, list(ports)), (KEEP, kept)):
        if listed:
            commands.append(_add(name, [port_element(*port) for port in sorted(listed)]))
    return commands


def fill(purpose: Purpose, held: Mapping[AccessKey, Held], elapsed: float) -> list[str]:
    """Let these keys, which do not stand, stand until their deadlines. `elapsed`: when the kernel will have read this.

    What ends within the next millisecond is left out: an element without a timeout would never end.
    """
    by_slot: dict[Slot, list[str]] = defaultdict(list)
    for key, until in held.items():
        left = int((until.deadline - elapsed) * 1000)
        if left >= 1:
            timed = f'{element(key)} timeout {_duration(left)} comment "{until.end.isoformat()}"'
            by_slot[slot_of(purpose, key)].append(timed)
    return [_add(slot.name, elements) for slot, elements in by_slot.items()]


def drop(purpose: Purpose, keys: Iterable[AccessKey]) -> list[str]:
    """Let these keys not stand, whether or not they do."""
    by_slot: dict[Slot, list[str]] = defaultdict(list)
    for key in keys:
        by_slot[slot_of(purpose, key)].append(element(key))
    commands = []
    for slot, elements in by_slot.items():
        # Deleting what is not there would fail the transaction. Within one, no packet sees what was added.
        commands += [_add(slot.name, elements), f"delete element inet {TABLE} {slot.name} {_list(elements)}"]
    return commands


def empty(sets: Iterable[str], chains: Iterable[str]) -> list[str]:
    """Take everything out of the table, but not the table, whose owner flag cannot be given back to it."""
    chains = list(chains)
    return [
        *(f"flush chain inet {TABLE} {name}" for name in chains),
        *(f"delete chain inet {TABLE} {name}" for name in chains),
        *(f"delete set inet {TABLE} {name}" for name in sets),
    ]


def remove(table: str) -> list[str]:
    """Remove a table, whether or not there is one."""
    return [f"add table inet {table}", f"delete table inet {table}"]


def element(key: AccessKey) -> str:
    """A key as an element. Raises ValueError if its prefix has anything in it that an address has not."""
    address = key.prefix.partition("/")[0]
    # Parsing the address would cost more than all the rest; it was, when the prefix was made.
    if not _AN_ADDRESS(address):
        raise ValueError(f"{address[:64]!r} is not an address")
    return f"{address} . {port_element(key.protocol, key.port)}"


def port_element(protocol: Protocol, port: int) -> str:
    return f"{protocol.lower()} . {port:d}"


def _duration(milliseconds: int) -> str:
    """As nft reads it: no part may have more than eight digits."""
    seconds, rest = divmod(milliseconds, 1000)
    days, seconds = divmod(seconds, 86_400)
    return f"{days}d{seconds}s{rest}ms"


def _set(name: str, kind: str, more: str = "") -> str:
    return f"add set inet {TABLE} {name} {{ type {kind}; {more} }}"


def _element_type(each: int) -> str:
    return f"{_ADDRESS[each]} . inet_proto . inet_service"


def _add(name: str, elements: Sequence[str]) -> str:
    return f"add element inet {TABLE} {name} {_list(elements)}"


def _list(elements: Sequence[str]) -> str:
    return "{ " + ", ".join(elements) + " }"


def _only_ports(side: str) -> list[str]:
    return ["meta l4proto != { tcp, udp } accept", f"meta l4proto . th {side} != @{PORTS} accept"]


def _guard_in(slots: Sequence[Slot]) -> list[str]:
    return [
        "tcp flags & rst == rst accept",
        *_always("saddr"),
        *_look_up(slots, Purpose.OPEN, "saddr", "dport", "accept"),
        *_look_up(slots, Purpose.CUT, "saddr", "dport", "goto refuse"),
        f"meta l4proto . th dport @{KEEP} ct state established,related accept",
        f"ct direction reply ct label {OWN_LABEL} accept",
        "goto refuse",
    ]


def _guard_out(slots: Sequence[Slot]) -> list[str]:
    """The way back is checked as well, packet by packet: no connection-tracking entry lets a session go on."""
    return [
        "tcp flags & rst == rst accept",
        *_always("daddr"),
        *_look_up(slots, Purpose.OPEN, "daddr", "sport", "accept"),
        *_look_up(slots, Purpose.CUT, "daddr", "sport", "drop"),
        f"meta l4proto . th sport @{KEEP} accept",
        # A server never sends a bare SYN, so this is a connection that the host begins. Its direction alone proves
        # nothing: after `conntrack -D` the next packet of a server makes an entry in the same direction.
        f"{_SYN} ct state new ct label set {OWN_LABEL} accept",
        f"ct direction original ct label {OWN_LABEL} accept",
        "drop",
    ]


def _refuse() -> list[str]:
    noted = {4: "ip saddr", 6: "ip6 saddr"}
    return [
        "meta l4proto tcp tcp flags & (fin | syn | rst | ack) != syn drop",
        # A flood must not cost more than a drop; what is noted is a hint, so it may be incomplete.
        "limit rate over 50/second burst 100 packets drop",
        *(f"update @{REFUSED[each]} {{ {noted[each]} . meta l4proto . th dport }}" for each in (4, 6)),
        "drop",
    ]


def _always(side: str) -> list[str]:
    return [f"{_IP[each]} {side} @{ALWAYS[each]} accept" for each in (4, 6)]


def _look_up(slots: Sequence[Slot], purpose: Purpose, address: str, port: str, verdict: str) -> list[str]:
    return [
        f"{_IP[slot.family]} {address}{_mask(slot)} . meta l4proto . th {port} @{slot.name} {verdict}"
        for slot in slots
        if slot.purpose is purpose
    ]


def _mask(slot: Slot) -> str:
    if slot.length == FULL_LENGTH[slot.family]:
        return ""
    whole = IPv4Network if slot.family == 4 else IPv6Network
    return f" & {whole((0, slot.length)).netmask}"
