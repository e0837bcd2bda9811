"""How often somebody may try to sign in: a bucket for each address, and each principal once proven, in bounded memory.

A bucket holds BURST and fills at RATE a second. Each attempt takes one out, a failed one FAILURE more. The secrets here
hold too much chance to be guessed; the limit keeps strangers from wearing out the server and filling its record.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

from jitgate.core.errors import TooMany
from jitgate.core.prefixes import Prefix

BURST, RATE, FAILURE = 60.0, 1.0, 4.0
MOST = 10_000
_IPV6_SITE = 64


@dataclass(slots=True)
class Attempts:
    """Buckets by what they are kept for. Those that were not touched for longest are forgotten first.

    `burst`, `rate`  of each bucket
    `most`           how many are kept
    """

    burst: float = BURST
    rate: float = RATE
    most: int = MOST
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def check(self, now: float, *keys: str) -> None:
        """Take one out of each bucket, or raise TooMany if any is empty. `now`: seconds that never step."""
        waits = [self._wait(key, now) for key in keys]
        if any(waits):
            raise TooMany(max(waits))
        for key in keys:
            self._take(key, now, 1.0)

    def failed(self, now: float, *keys: str) -> None:
        """Take what a failed attempt costs besides."""
        for key in keys:
            self._take(key, now, FAILURE)

    def may(self, now: float, key: str) -> bool:
        """Take one out of a bucket; whether there was one."""
        if self._wait(key, now):
            return False
        self._take(key, now, 1.0)
        return True

    def _level(self, key: str, now: float) -> float:
        level, since = self._buckets.get(key, (self.burst, now))
        return min(self.burst, level + (now - since) * self.rate)

    def _wait(self, key: str, now: float) -> float:
        return max(0.0, (1.0 - self._level(key, now)) / self.rate)

    def _take(self, key: str, now: float, cost: float) -> None:
        # Never far below nothing: who tried too often may try again within moments of stopping.
        self._buckets[key] = (max(self._level(key, now) - cost, -self.burst), now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self.most:
            self._buckets.popitem(last=False)


def by_address(address: Prefix | None) -> str:
    """The bucket of an address. Of IPv6 that of its /64, all of which one host can call its own."""
    if address is None:
        return "address:unknown"
    network = ipaddress.ip_network(address, strict=False)
    if network.version == 6:
        network = network.supernet(new_prefix=_IPV6_SITE)
    return f"address:{network.network_address}"


def by_principal(text: str) -> str:
    """The bucket of somebody who has proven who they are: what strangers claim must not empty it."""
    return f"principal:{text[:100].lower()}"
