"""What is around the machines and changes seldom: a network manager's security admin rules, and what service tags mean.

Both are for telling who reaches a port, and neither is needed to shut one; so where they may not be read, they are
not known, and what stands in their place is told as wide as it can be.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgate.clock import Clock
from jitgate.connectors.azure.arm import Arm, ArmError
from jitgate.connectors.azure.listing import NETWORK, Json, Listing
from jitgate.core.exposure.addresses import is_prefix
from jitgate.core.resource_id import key

ADMIN_SECONDS, TAGS_SECONDS = 600.0, 86400.0
"""How old the one and the other may be. A call for each network; and one for all tags, of some megabytes."""
MOST_PAGES = 100
_ALWAYS_KNOWN = {"*", "any", "internet", "virtualnetwork", "azureloadbalancer"}
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Around:
    """`admin_rules`  what is in force in a network, by its key, as Azure tells it
    `tags`            prefixes of the service tags that rules name, by the tag in small letters"""

    admin_rules: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Surroundings:
    """Looked at now and then."""

    def __init__(self, arm: Arm, clock: Clock) -> None:
        self._arm = arm
        self._clock = clock
        self._admin: Mapping[str, Sequence[Json]] = {}
        self._tags: dict[str, Sequence[str]] = {}
        self._admin_at = self._tags_at = _NEVER

    async def of(self, listing: Listing) -> Around:
        """What is around what was listed."""
        now = self._clock.elapsed()
        networks = [each["id"] for each in listing.networks]
        if self._admin_at < now - ADMIN_SECONDS or {key(each) for each in networks} - self._admin.keys():
            self._admin_at = now
            found = await asyncio.gather(*(self._admin_rules(each) for each in networks))
            self._admin = dict(zip(map(key, networks), found, strict=True))
        named = {tag for rules in self._admin.values() for tag in _tags(rules)} | set(_tags(_rules(listing)))
        if self._tags_at < now - TAGS_SECONDS or named - self._tags.keys():
            self._tags_at = now
            self._tags = await self._prefixes(listing, named)
        return Around(self._admin, {tag: found for tag, found in self._tags.items() if found})

    async def _admin_rules(self, network: str) -> Sequence[Json]:
        path = f"{network}/listNetworkManagerEffectiveSecurityAdminRules"
        found: list[Json] = []
        body: dict[str, str] = {}
        try:
            for _ in range(MOST_PAGES):
                page = await self._arm.ask(path, NETWORK, body)
                found += page.get("value") or ()
                body = {"skipToken": page.get("skipToken") or ""}
                if not body["skipToken"]:
                    break
        except ArmError:
            return self._admin.get(key(network), ())
        return found

    async def _prefixes(self, listing: Listing, named: set[str]) -> dict[str, Sequence[str]]:
        """Of tags that rules name; a tag that Azure does not know has none."""
        found: dict[str, Sequence[str]] = {tag: self._tags.get(tag, ()) for tag in named}
        at = next(((each["id"], each.get("location", "")) for each in listing.groups), None)
        if not named or at is None:
            return found
        subscription = "/".join(at[0].split("/")[:3])
        path = f"{subscription}/providers/Microsoft.Network/locations/{at[1]}/serviceTags"
        try:
            told = await self._arm.get(path, NETWORK)
        except ArmError:
            return found
        for each in told.get("values") or ():
            if (tag := key(each.get("name", ""))) in named:
                found[tag] = tuple((each.get("properties") or {}).get("addressPrefixes") or ())
        return found


def _rules(listing: Listing) -> Iterator[Json]:
    for group in listing.groups:
        yield from group["properties"].get("securityRules") or ()


def _tags(rules: Sequence[Json] | Iterator[Json]) -> Iterator[str]:
    """The service tags that rules name as where packets come from."""
    for rule in rules:
        told: Mapping[str, Any] = rule.get("properties") or {}
        texts = [told.get("sourceAddressPrefix") or "", *(told.get("sourceAddressPrefixes") or ())]
        texts += [each.get("addressPrefix") or "" for each in told.get("sources") or ()]
        yield from (tag for tag in map(key, texts) if tag and tag not in _ALWAYS_KNOWN and not is_prefix(tag))
