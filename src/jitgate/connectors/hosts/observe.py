"""Reading back what stands in the kernel, and telling how it differs from what should."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address

from jitgate.connectors.hosts import nf_tables
from jitgate.connectors.hosts.changes import Difference
from jitgate.connectors.hosts.mirror import Mirror
from jitgate.connectors.hosts.nf_tables import Chain, Element, Reader, SetShape
from jitgate.connectors.hosts.table import KEEP, PORTS, TABLE, Held, Ports, Purpose, Slot
from jitgate.core.desired import AccessKey, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, network

_PROTOCOLS = {socket.IPPROTO_TCP: Protocol.TCP, socket.IPPROTO_UDP: Protocol.UDP}
_ADDRESS_LENGTH = {4: 4, 6: 16}
_LATE, _EARLY = 0.25, 3.0
"""Seconds by which a kernel timeout may be off before it is put right. Early is harmless, and long lists are given
a little less time than they have."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Structure:
    """All of the table but the elements of its sets, as the kernel keeps it."""

    sets: Mapping[str, SetShape]
    chains: tuple[Chain, ...]
    rules: tuple[tuple[str, bytes], ...]
    ports: Ports

    @property
    def machine(self) -> str:
        """The machine that the table was made for."""
        return next((chain.comment for chain in self.chains if chain.comment), "")


@dataclass(slots=True)
class Elements:
    """The elements of the timed sets.

    `wrong`       keys that stand without an end, or with one that cannot be read
    `unreadable`  names of sets with elements that are no keys at all
    """

    held: dict[Purpose, dict[AccessKey, Held]] = field(default_factory=lambda: {purpose: {} for purpose in Purpose})
    wrong: dict[Purpose, set[AccessKey]] = field(default_factory=lambda: {purpose: set() for purpose in Purpose})
    unreadable: set[str] = field(default_factory=set)


def read_structure(reader: Reader) -> Structure:
    """The table's structure. Empty if there is no table."""
    sets = reader.sets(TABLE)
    chains = [each for each in reader.chains() if each.family == nf_tables.INET and each.table == TABLE]
    return Structure(sets, tuple(chains), tuple(reader.rules(TABLE)), read_ports(reader, TABLE))


def read_elements(reader: Reader, slots: Iterable[Slot], machine: str, elapsed: float) -> Elements:
    """The elements of these sets, taken for the machine's. `elapsed` is now, on the elapsed clock."""
    found = Elements()
    for slot in slots:
        for each in reader.elements(TABLE, slot.name):
            key = _key(each.key, slot, machine)
            held = _held(each, elapsed)
            if key is None:
                found.unreadable.add(slot.name)
            elif held is None:
                found.wrong[slot.purpose].add(key)
            else:
                found.held[slot.purpose][key] = held
    return found


def slots_in(sets: Mapping[str, SetShape]) -> set[Slot]:
    """Those sets that are ours by name and have the timeout flag; without it nothing in them would ever end."""
    every = {slot.name: slot for slot in _EVERY_SLOT}
    return {every[name] for name, shape in sets.items() if name in every and shape.flags & nf_tables.SET_TIMEOUT}


def drift(found: Elements, mirror: Mirror, elapsed: float) -> tuple[Difference, list[str]]:
    """What to change so that the kernel holds what the mirror does, and sentences that say what was otherwise."""
    changes: dict[Purpose, dict[AccessKey, Held | None]] = {}
    told: list[str] = []
    for purpose in Purpose:
        should, stands, wrong = mirror.held(purpose), found.held[purpose], found.wrong[purpose]
        moved, foreign = _moved_and_foreign(stands, should)
        missing: set[AccessKey] = set()
        if len(stands) - len(foreign) < len(should):
            missing = {key for key, held in should.items() if key not in stands and held.deadline > elapsed + _LATE}
        changes[purpose] = {key: should.get(key) for key in missing | moved | foreign | wrong}
        told += _tell(purpose, "had been removed", missing - wrong)
        told += _tell(purpose, "would have ended at another time", moved)
        told += _tell(purpose, "stood without an end", wrong)
        told += _tell(purpose, "had been added by another hand", foreign)
    return Difference(changes[Purpose.OPEN], changes[Purpose.CUT]), told


def _moved_and_foreign(
    stands: Mapping[AccessKey, Held], should: Mapping[AccessKey, Held]
) -> tuple[set[AccessKey], set[AccessKey]]:
    moved, foreign = set(), set()
    for key, held in stands.items():
        expected = should.get(key)
        if expected is None:
            foreign.add(key)
        elif _off(held, expected):
            moved.add(key)
    return moved, foreign


_EVERY_SLOT = [
    Slot(purpose, family, length)
    for purpose in Purpose
    for family, longest in ((4, 32), (6, 128))
    for length in range(longest + 1)
]


@lru_cache(maxsize=1024)
def port_of(packed: bytes) -> tuple[Protocol | None, int]:
    """Protocol and port in the last eight bytes of a key, each padded to four; None for a protocol that is not ours."""
    return _PROTOCOLS.get(packed[0]), int.from_bytes(packed[4:6], "big")


def read_ports(reader: Reader, table: str) -> Ports:
    """The ports that one of our tables protects; none if there is no such table."""
    kept = {each.key for each in reader.elements(table, KEEP)}
    found: dict[tuple[Protocol, int], SessionEnd] = {}
    for each in reader.elements(table, PORTS):
        protocol, port = port_of(each.key)
        if protocol is not None:
            found[protocol, port] = SessionEnd.KEEP if each.key in kept else SessionEnd.END
    return found


def _key(packed: bytes, slot: Slot, machine: str) -> AccessKey | None:
    """An element's key: address, protocol and port, each padded to four bytes. None if it is none of ours."""
    size = _ADDRESS_LENGTH[slot.family]
    protocol, port = port_of(packed[size:])
    address = socket.inet_ntoa(packed[:4]) if slot.family == 4 else str(IPv6Address(packed[:16]))
    prefix = Prefix(f"{address}/{slot.length}")
    if protocol is None or (slot.length < size * 8 and not _is_canonical(prefix)):
        return None
    return AccessKey(machine, port, protocol, prefix)


def _is_canonical(prefix: Prefix) -> bool:
    try:
        network(prefix)
    except ValueError:
        return False
    return True


def _held(element: Element, elapsed: float) -> Held | None:
    if element.expires_ms is None:
        return None
    try:
        end = datetime.fromisoformat(element.comment)
    except ValueError:
        return None
    return Held(end, elapsed + element.expires_ms / 1000) if end.tzinfo is UTC else None


def _off(stands: Held, should: Held) -> bool:
    late = stands.deadline - should.deadline
    return stands.end != should.end or late > _LATE or late < -_EARLY


def _tell(purpose: Purpose, what: str, keys: Iterable[AccessKey]) -> list[str]:
    ordered = sorted(keys)
    told = [f"{purpose} {key} {what}" for key in ordered[:_MOST_NAMED]]
    if len(ordered) > _MOST_NAMED:
        told.append(f"{len(ordered) - _MOST_NAMED} more such elements {what}")
    return told
