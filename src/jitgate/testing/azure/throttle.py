"""Budgets of calls: token buckets for each subscription (reads 250 and 25 a second; writes and deletes 200 and 10),
and the network provider's 1,000 writes in five minutes.
"""

import math
from collections import deque
from dataclasses import dataclass

from jitgate.clock import Clock
from jitgate.testing.azure.messages import Refusal, throttled

_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
_NETWORK_WRITES, _NETWORK_SECONDS = 1000, 300.0


@dataclass
class _Bucket:
    size: float
    refill: float
    left: float
    at: float

    def take(self, now: float) -> float:
        """0, and one is taken; or how many seconds it will be until there is one."""
        self.left = min(self.size, self.left + (now - self.at) * self.refill)
        self.at = now
        if self.left < 1:
            return (1 - self.left) / self.refill
        self.left -= 1
        return 0.0


class Throttle:
    """The budgets of all subscriptions. `sizes`: by kind, how many at once and how many more each second; `refused`:
    how often it was too much."""

    def __init__(self, clock: Clock, sizes: dict[str, tuple[float, float]] | None = None) -> None:
        self._clock = clock
        self.sizes = sizes or {"reads": (250, 25), "writes": (200, 10), "deletes": (200, 10)}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._network: dict[str, deque[float]] = {}
        self.refused = 0

    def take(self, method: str, subscription: str, namespace: str) -> dict[str, str]:
        """Take one call from the budget; returns the headers that tell what is left. Raises Refusal."""
        try:
            return self._take(method, subscription, namespace)
        except Refusal:
            self.refused += 1
            raise

    def _take(self, method: str, subscription: str, namespace: str) -> dict[str, str]:
        kind, now = _KINDS.get(method, "writes"), self._clock.elapsed()
        size, refill = self.sizes[kind]
        bucket = self._buckets.setdefault((subscription.lower(), kind), _Bucket(size, refill, size, now))
        if wait := bucket.take(now):
            raise throttled(kind.removesuffix("s"), subscription, max(1, math.ceil(wait)))
        if namespace.lower() == "microsoft.network" and kind != "reads":
            self._take_of_network(subscription, now)
        return {f"x-ms-ratelimit-remaining-subscription-{kind}": str(int(bucket.left))}

    def _take_of_network(self, subscription: str, now: float) -> None:
        taken = self._network.setdefault(subscription.lower(), deque())
        while taken and taken[0] <= now - _NETWORK_SECONDS:
            taken.popleft()
        if len(taken) >= _NETWORK_WRITES:
            raise throttled("network write", subscription, max(1, math.ceil(taken[0] + _NETWORK_SECONDS - now)))
        taken.append(now)
