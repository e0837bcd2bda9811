"""How many writes Azure takes from us now, and whose turn it is when those are few.

It gives a subscription 200 writes and 10 more each second, and as many deletes; its network provider takes 1,000 of
both in five minutes (Microsoft Learn, "Understand how Azure Resource Manager throttles requests"). Its answers tell
what is left, of which others may have used some. So nothing is sent that would be refused: after a refusal everything
waits, a close as long as an open.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SIZE, EACH_SECOND = 200.0, 10.0
NETWORK_WRITES, NETWORK_SECONDS = 1000, 300.0
REFUSED_SECONDS = 5.0
"""How long to wait where a refusal does not say."""
KEPT = 5
"""So many writes are left for what shuts, which may be next."""
SHARE = 10
"""So many writes one may do, where others wait, before it is their turn."""
_KINDS = {"PUT": "writes", "DELETE": "deletes"}
_HEADER = "x-ms-ratelimit-remaining-subscription-"
_PATIENCE = 30.0
"""So long after it was to come again, who waits is taken for gone."""


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Whose turn is first: what shuts, by when it has to; then what opens, by since when it waits. Seconds, each by a
    clock of its own."""

    opens: bool
    by: float


@dataclass(slots=True)
class _Place:
    """In the queue. `share`: how many writes it is for; `until`: it counts no more after that."""

    turn: Turn
    share: int
    until: float


@dataclass(slots=True)
class _Bucket:
    """`waiting`: by who it is."""

    left: float = SIZE
    at: float = 0.0
    closed_until: float = 0.0
    waiting: dict[str, _Place] = field(default_factory=dict)

    def fill(self, now: float) -> None:
        self.left = min(SIZE, self.left + (now - self.at) * EACH_SECOND)
        self.at = now
        self.waiting = {who: place for who, place in self.waiting.items() if place.until > now}


class Pacer:
    """The budgets of a connector's subscriptions. `elapsed`: a clock that never steps, in seconds."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._network: dict[str, deque[float]] = {}

    def wait(self, method: str, path: str, who: str, shuts_by: float | None, more: int = 0) -> float:
        """0: write now; else the seconds until it may be `who`'s turn.

        `shuts_by`: when it must be done, if it shuts. `more`: how many writes `who` has to do besides.
        """
        now, subscription = self._elapsed(), _subscription(path)
        bucket = self._bucket(subscription, method, now)
        place = bucket.waiting.pop(who, None)
        if place is None or not place.turn.opens or shuts_by is not None:
            turn = Turn(True, now) if shuts_by is None else Turn(False, shuts_by)
            place = _Place(turn, min(SHARE, 1 + more), 0)
        ahead = sum(other.share for other in bucket.waiting.values() if other.turn < place.turn)
        ahead += KEPT if place.turn.opens else 0
        wait = max(
            bucket.closed_until - now,
            (1 + ahead - bucket.left) / EACH_SECOND,
            self._network_wait(subscription, ahead, now),
        )
        if wait <= 0:
            place.share -= 1
        if wait > 0 or (place.share and more):
            bucket.waiting[who] = place
            place.until = now + max(wait, 0) + _PATIENCE
        return max(wait, 0)

    def sent(self, method: str, path: str) -> None:
        """A call was begun."""
        if method in _KINDS:
            now, subscription = self._elapsed(), _subscription(path)
            self._bucket(subscription, method, now).left -= 1
            self._network.setdefault(subscription, deque()).append(now)

    def told(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """What an answer says is left, after what others have used of it."""
        if (kind := _KINDS.get(method)) is None:
            return
        left = next((value for name, value in headers.items() if name.lower() == _HEADER + kind), "")
        if left.isdigit():
            bucket = self._bucket(_subscription(path), method, self._elapsed())
            bucket.left = min(bucket.left, float(left))

    def refused(self, method: str, path: str, after: float) -> None:
        """It was too much. `after`: the seconds that Azure asked to wait, or 0."""
        if method in _KINDS:
            now = self._elapsed()
            self._bucket(_subscription(path), method, now).closed_until = now + (after or REFUSED_SECONDS)

    def _bucket(self, subscription: str, method: str, now: float) -> _Bucket:
        bucket = self._buckets.setdefault((subscription, _KINDS[method]), _Bucket(at=now))
        bucket.fill(now)
        return bucket

    def _network_wait(self, subscription: str, ahead: int, now: float) -> float:
        """Until the oldest of so many writes counts no more that there is room for one more, and for those ahead."""
        made = self._network.setdefault(subscription, deque())
        while made and made[0] <= now - NETWORK_SECONDS:
            made.popleft()
        over = len(made) + ahead + 1 - NETWORK_WRITES
        return made[min(over, len(made)) - 1] + NETWORK_SECONDS - now if over > 0 and made else 0


def _subscription(path: str) -> str:
    words = path.lower().split("/")
    return words[words.index("subscriptions") + 1] if "subscriptions" in words[:-1] else ""
