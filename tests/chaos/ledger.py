"""What was asked and answered, what was seen at the ports, and whether the two agree.

All times are this process's own, which nothing steps: a port may be open from when somebody began to ask for it until
what was asked for has passed since the answer came. Whatever servers, clocks and records say besides, longer is wrong.
"""

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.chaos.story import Ask

LATE = {"web-1": 0.1, "db-1": 0.1, "win-1": 0.25, "vm-1": 8.0}
"""Seconds after its deadline at which a port must be shut: a kernel's timer, a busy loop, and for a cloud, which
shuts nothing by itself, a lease, a sweep and a retry, from when nothing is broken any more."""
LATE_WHERE_SLOW = {**LATE, "vm-1": 60.0}
"""The same on a machine that does much else besides: kernels and the gateway look at the time before they let anybody
in, however late that is; a sweep is done when its turn comes."""
_ON_THE_WAY = 1.0
"""What nobody has answered may still be done so many seconds after whoever was asked has died."""


@dataclass(slots=True)
class Wish:
    """An ask, and from when until when the port may be open for it. `uid`, `request`: once the server has told."""

    ask: Ask
    text: str
    begin: float = math.inf
    bound: float = -math.inf
    uid: str = ""
    request: str = ""

    def covers(self, sighting: "Sighting") -> bool:
        return (self.ask.machine, self.ask.port, self.ask.source) == (sighting.machine, sighting.port, sighting.source)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A port was open for a source: at some moment between `at`, when it knocked, and `by`, when it was answered."""

    machine: str
    port: int
    source: str
    at: float
    by: float


@dataclass(slots=True)
class Ledger:
    """Of one story. Any thread may add to it. `late`: as `LATE`."""

    late: Mapping[str, float] = field(default_factory=lambda: LATE)
    began: float = field(default_factory=time.monotonic)
    wishes: dict[int, Wish] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)
    knocks: int = 0
    operations: list[str] = field(default_factory=list)
    timeline: list[tuple[float, str]] = field(default_factory=list)
    _bare: dict[tuple[str, int], float] = field(default_factory=dict)
    _troubles: list[tuple[float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str) -> None:
        """One more line of the timeline."""
        self.timeline.append((time.monotonic() - self.began, what))

    def saw(self, seen: Iterable[Sighting], knocks: int) -> None:
        with self._lock:
            self.sightings.extend(seen)
            self.knocks += knocks

    # --- promises -------------------------------------------------------------------------------------

    def granted(self, wish: Wish, begin: float, seconds: float, *, answered: bool) -> None:
        """It may be open from `begin`, when somebody began to ask, for so many seconds from now."""
        wish.begin = min(wish.begin, begin)
        wish.bound = max(wish.bound, time.monotonic() + seconds + (0 if answered else _ON_THE_WAY))

    def ended(self, wish: Wish) -> None:
        """It is over now, as the server says."""
        wish.bound = min(wish.bound, time.monotonic())

    def bare(self, machine: str, port: int, since: float) -> None:
        """A port is not protected since then: whoever reaches it may."""
        self._bare.setdefault((machine, port), since)

    def trouble(self, begun: float) -> None:
        """Something was broken from then until now, or nobody served."""
        self._troubles.append((begun, time.monotonic()))

    # --- judgement ------------------------------------------------------------------------------------

    def too_late(self) -> list[tuple[Sighting, float]]:
        """Ports that were found open for somebody who may not reach them (any more), and how late that is."""
        return [(seen, late) for seen in self.sightings if (late := self.lateness(seen)) > self.late[seen.machine]]

    def worst(self, machines: Iterable[str]) -> float:
        """The greatest lateness at which a port was found open, in seconds; 0: none was, ever."""
        chosen = set(machines)
        return max((self.lateness(seen) for seen in self.sightings if seen.machine in chosen), default=0.0)

    def lateness(self, seen: Sighting) -> float:
        """Seconds after the last moment at which it might be open; 0: it may. inf: it never might."""
        if seen.by >= self._bare.get((seen.machine, seen.port), math.inf):
            return 0.0
        bounds = [wish.bound for wish in self.wishes.values() if wish.covers(seen) and wish.begin <= seen.by]
        bound = max(bounds, default=-math.inf)
        if seen.machine == "vm-1":
            bound = self._last_trouble(bound, seen.at)
        return max(0.0, seen.at - bound)

    def _last_trouble(self, bound: float, at: float) -> float:
        if math.isinf(bound):
            return bound
        return max([bound, *(min(end, at) for begin, end in self._troubles if begin <= at)])

    def told(self) -> str:
        """The timeline, for people."""
        return "\n".join(f"{at:8.2f}  {what}" for at, what in self.timeline)
