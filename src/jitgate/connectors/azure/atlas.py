"""What is known of the subscriptions, and as of when. Many who ask at once are answered by one listing."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jitgate.clock import Clock
from jitgate.connectors.azure import graph
from jitgate.connectors.azure.arm import Arm, ArmError
from jitgate.connectors.azure.listing import LISTS, NETWORK, List, Listing
from jitgate.connectors.azure.rules import Nsg, Rule, read_nsg
from jitgate.connectors.azure.surroundings import Surroundings
from jitgate.connectors.azure.topology import Topology
from jitgate.connectors.azure.topology import read as read_topology
from jitgate.core.resource_id import key

NEVER = float("-inf")
CONFIRMED_SECONDS = 900.0
"""How long it counts at the most that nothing has changed by Resource Graph, which may be told of a change late."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A group as it was seen. `order` rises with every look and every write."""

    nsg: Nsg
    order: int


class Atlas:
    """The subscriptions of one connector."""

    def __init__(self, arm: Arm, subscriptions: Sequence[str], clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._arm = arm
        self._subscriptions = subscriptions
        self._surroundings = Surroundings(arm, clock)
        self._topology = read_topology(Listing())
        self._listed_at = self._confirmed_at = NEVER
        self._groups_at = NEVER
        self._groups: dict[str, Seen] = {}
        self._doubted: set[str] = set()
        self._lock = asyncio.Lock()

    @property
    def topology(self) -> Topology:
        """What is known now."""
        return self._topology

    async def list_all(self, not_older: float) -> Topology:
        """Everything, not older than so many seconds when this is called. Raises ArmError."""
        not_before = self._clock.elapsed() - not_older
        async with self._lock:
            if self._listed_at < not_before or not not_older:
                began, order = self._clock.elapsed(), next(self._order)
                listing = await self._list()
                around = await self._surroundings.of(listing)
                self._topology = replace(read_topology(listing), admin_rules=around.admin_rules, tags=around.tags)
                self._listed_at = self._groups_at = began
                self._take_in(self._topology.nsgs, order)
            return self._topology

    async def confirm(self, not_older: float) -> Topology:
        """Everything but the groups' rules, not older than so many seconds when this is called, or confirmed since by
        Resource Graph; listed where that tells otherwise, or nothing. Raises ArmError."""
        not_before = self._clock.elapsed() - not_older
        async with self._lock:
            if max(self._listed_at, self._confirmed_at) >= not_before:
                return self._topology
            began = self._clock.elapsed()
            if self._listed_at >= began - CONFIRMED_SECONDS and await self._is_confirmed():
                self._confirmed_at = began
                return self._topology
        return await self.list_all(not_older)

    async def _is_confirmed(self) -> bool:
        try:
            return await graph.confirms(self._arm, self._subscriptions, self._topology)
        except ArmError:  # It may not be asked, or not now: the lists are there.
            return False

    async def list_groups(self, not_older: float) -> None:
        """The groups with their rules, not older than so many seconds when this is called. Raises ArmError."""
        not_before = self._clock.elapsed() - not_older
        async with self._lock:
            if self._groups_at < not_before or not not_older:
                began, order = self._clock.elapsed(), next(self._order)
                found = [body for part in await self._each("groups") for body in part]
                self._groups_at = began
                self._take_in({nsg.key: nsg for nsg in map(read_nsg, found)}, order)

    async def look_at(self, group: str) -> None:
        """One group. One that is not there any more is forgotten. Raises ArmError."""
        order = next(self._order)
        known = self._groups.get(group)
        try:
            body = await self._arm.get(known.nsg.id if known else group, NETWORK)
        except ArmError as error:
            if error.status != 404:
                raise
            self._groups.pop(group, None)
            return
        self._groups[group] = Seen(read_nsg(body), order)
        self._doubted.discard(group)

    def doubt(self, group: str) -> None:
        """A write to a group was begun, and it is not known what came of it."""
        self._doubted.add(group)

    def is_doubted(self, group: str) -> bool:
        """Whether a group has to be looked at before it is known again."""
        return group in self._doubted or group not in self._groups

    def group(self, group: str) -> Nsg | None:
        """A group as it was seen last."""
        seen = self._groups.get(group)
        return seen.nsg if seen else None

    def groups(self) -> Sequence[Nsg]:
        """All groups, as they were seen last."""
        return [seen.nsg for seen in self._groups.values()]

    def note(self, group: str, name: str, rule: Rule | None) -> None:
        """A rule was written; None: it was removed."""
        seen = self._groups.get(group)
        if seen is None:
            return
        # All rules of a group share an etag, which is another one now.
        rules = {known: replace(each, etag="") for known, each in seen.nsg.rules.items() if known != key(name)}
        if rule is not None:
            rules[key(name)] = replace(rule, etag="")
        self._groups[group] = Seen(replace(seen.nsg, rules=rules), next(self._order))
        self._doubted.discard(group)

    def _take_in(self, found: Mapping[str, Nsg], order: int) -> None:
        """Keep what was listed, but for what was written or looked at since."""
        newer = {group: seen for group, seen in self._groups.items() if seen.order > order}
        self._groups = {group: Seen(nsg, order) for group, nsg in found.items()} | newer
        self._doubted &= newer.keys()

    async def _list(self) -> Listing:
        names = list(LISTS)
        found = await asyncio.gather(*(self._each(name) for name in names))
        lists: dict[str, Any] = {
            name: [body for part in parts for body in part] for name, parts in zip(names, found, strict=True)
        }
        return Listing(**lists)

    async def _each(self, name: str) -> list[list[Mapping[str, Any]]]:
        """One list of every subscription."""
        chosen = LISTS[name]
        return await asyncio.gather(*(self._all(f"subscriptions/{each}", chosen) for each in self._subscriptions))

    async def _all(self, subscription: str, chosen: List) -> list[Mapping[str, Any]]:
        try:
            return [item async for item in self._arm.list(f"{subscription}/{chosen.path}", chosen.version)]
        except ArmError as error:
            if chosen.is_optional and error.status in (400, 403, 404, 409):
                return []
            raise
