"""What one enforcer holds: every key that stands, until when, and what ended lately.

It is kept beside the kernel's table so that a change costs what it changes, never what stands.
"""

import heapq
import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from jitgate.connectors.hosts.table import Held, Purpose, Slot, slot_of
from jitgate.core.desired import AccessKey, PortKey
from jitgate.core.prefixes import Prefix, family, network

_SHORTEST = 0.001
"""Seconds. What would stand for less is shut: it could not be told from what never ends."""

Changes = Mapping[AccessKey, Held | None]
"""What becomes of keys: they stand until then, or not at all."""


class Mirror:
    """Not thread-safe: the enforcer holds a lock."""

    def __init__(self) -> None:
        self._held: dict[Purpose, dict[AccessKey, Held]] = {purpose: {} for purpose in Purpose}
        self._in_use: Counter[Slot] = Counter()
        self._ended: dict[AccessKey, Held] = {}
        self._due: list[tuple[float, Purpose, AccessKey]] = []

    def held(self, purpose: Purpose) -> Mapping[AccessKey, Held]:
        """All that stands for this purpose."""
        return self._held[purpose]

    def slots(self) -> set[Slot]:
        """The prefix lengths in use."""
        return set(self._in_use)

    def until(self, purpose: Purpose, key: AccessKey, end: datetime, wall: datetime, elapsed: float) -> Held | None:
        """How long a key may stand that is asked for until `end`; None if that is past.

        The time that is left is worked out once for each end, when it first arrives. A clock that was stepped
        in between cannot lengthen it, not even after the key has ended.
        """
        known = self._held[purpose].get(key) or (self._ended.get(key) if purpose is Purpose.OPEN else None)
        left = (end - wall).total_seconds()
        until = known if known and known.end == end else Held(end, elapsed + left)
        return until if min(until.deadline - elapsed, left) >= _SHORTEST else None

    def record(self, purpose: Purpose, changes: Changes) -> None:
        """Note what was changed in the kernel."""
        for key, held in changes.items():
            self._take_out(purpose, key)
            if held is not None:
                self._held[purpose][key] = held
                self._in_use[slot_of(purpose, key)] += 1
                heapq.heappush(self._due, (held.deadline, purpose, key))
        self._forget_renewed()

    def due(self, now: float) -> dict[Purpose, dict[AccessKey, Held]]:
        """What has reached its deadline. It stays held until that is recorded."""
        found: dict[Purpose, dict[AccessKey, Held]] = {purpose: {} for purpose in Purpose}
        while self._due and self._due[0][0] <= now:
            deadline, purpose, key = heapq.heappop(self._due)
            held = self._held[purpose].get(key)
            if held is not None and held.deadline == deadline:
                found[purpose][key] = held
        return found

    def put_back(self, purpose: Purpose, keys: Iterable[AccessKey]) -> None:
        """Let these be due again: what was to be done at their deadline has failed."""
        for key in keys:
            if held := self._held[purpose].get(key):
                heapq.heappush(self._due, (held.deadline, purpose, key))

    def next_deadline(self) -> float | None:
        """The earliest deadline there may be, on the elapsed clock."""
        return self._due[0][0] if self._due else None

    def forget_ended(self, wall: datetime) -> None:
        """Forget what ended, once no clock could make it longer."""
        self._ended = {key: held for key, held in self._ended.items() if held.end > wall}

    def covers(self, peer: Prefix, port: PortKey, changes: Changes) -> bool:
        """Whether a single address may reach a port, once `changes` are made."""
        return any(self._stands(key, changes) for key in self._keys_around(peer, port, changes))

    def _stands(self, key: AccessKey, changes: Changes) -> bool:
        return changes[key] is not None if key in changes else key in self._held[Purpose.OPEN]

    def _keys_around(self, peer: Prefix, port: PortKey, changes: Changes) -> Iterable[AccessKey]:
        slots = {slot for slot in self._in_use if slot.purpose is Purpose.OPEN}
        slots |= {slot_of(Purpose.OPEN, key) for key in changes}
        address = network(peer).network_address
        for slot in slots:
            if slot.family == family(peer):
                around = ipaddress.ip_network((address, slot.length), strict=False)
                yield AccessKey(port.machine, port.port, port.protocol, Prefix(str(around)))

    def _take_out(self, purpose: Purpose, key: AccessKey) -> None:
        held = self._held[purpose].pop(key, None)
        if held is None:
            return
        slot = slot_of(purpose, key)
        self._in_use[slot] -= 1
        if not self._in_use[slot]:
            del self._in_use[slot]
        if purpose is Purpose.OPEN:
            self._ended[key] = held

    def _forget_renewed(self) -> None:
        """Each renewal leaves its former deadline in the heap; keep that in proportion."""
        standing = sum(map(len, self._held.values()))
        if len(self._due) > 2 * standing + 1_000:
            self._due = [(held.deadline, p, key) for p, each in self._held.items() for key, held in each.items()]
            heapq.heapify(self._due)
