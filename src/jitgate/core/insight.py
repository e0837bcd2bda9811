"""What the use of an installation tells: figures of a day, spreads of times, and policies wider than their use."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from jitgate.core import prefixes
from jitgate.core.duration import describe
from jitgate.core.policy import PortRule
from jitgate.core.prefixes import Prefix

_STEPS = 4
"""Buckets of a spread to each doubling: what is read out is at most 19 % more than what went in."""
_MUCH_TIME, _MUCH_MORE = timedelta(minutes=30), 2
_MUCH_WIDER = 8
"""Bits: sources that reach 256 times as far as any that were used."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How some lengths of time lie, to a millisecond at best: how many are in each bucket, by its number."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @staticmethod
    def of(lengths: Iterable[timedelta]) -> "Spread":
        """The spread of some lengths; what is negative counts as nothing."""
        counts: dict[int, int] = {}
        for length in lengths:
            number = math.ceil(_STEPS * math.log2(1 + max(0.0, length.total_seconds() * 1000)))
            counts[number] = counts.get(number, 0) + 1
        return Spread(counts)

    def __add__(self, other: "Spread") -> "Spread":
        numbers = self.counts.keys() | other.counts.keys()
        return Spread({number: self.counts.get(number, 0) + other.counts.get(number, 0) for number in numbers})

    @property
    def total(self) -> int:
        """How many lengths went in."""
        return sum(self.counts.values())

    def percentile(self, share: float) -> timedelta | None:
        """What that share of the lengths, 0 to 1, does not exceed: never too little. None: there are none."""
        wanted, seen = share * self.total, 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= wanted:
                return timedelta(milliseconds=2 ** (number / _STEPS) - 1)
        return None


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of one grant. `ready`: when nothing but the firewall was to be waited for; None: never."""

    request: str
    policy: str
    port: int
    sources: Sequence[Prefix]
    asked_for: timedelta | None
    needed_approval: bool
    ready: datetime | None
    opened: datetime | None
    ended: datetime | None
    closed: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What was asked for on one day, in UTC, and what became of it by now.

    `requests`  how many; `needed_approval`, `denied`: of these
    `grants`    how many ports these were; `opened`: of these
    `opening`   from when only the firewall was to be waited for, until the port was open
    `closing`   from the end of a port's time until it was proven shut
    `is_final`  nothing of it changes any more
    """

    day: date
    requests: int = 0
    needed_approval: int = 0
    denied: int = 0
    grants: int = 0
    opened: int = 0
    opening: Spread = field(default_factory=Spread)
    closing: Spread = field(default_factory=Spread)
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """How a port of a policy was used. `widest`: by family of addresses the shortest prefix, in bits."""

    policy: str
    port: int
    count: int
    longest: timedelta
    widest: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Excess:
    """Something that a policy allows, far wider than it was used. `kind`: time, sources or port."""

    port: int
    kind: str
    allowed: str
    used: str


def figures(day: date, traces: Sequence[Trace], *, is_over: bool) -> DayFigures:
    """The figures of a day. `is_over`: nothing can be asked for on it any more."""
    asked = {trace.request: trace for trace in traces}
    return DayFigures(
        day=day,
        requests=len(asked),
        needed_approval=sum(trace.needed_approval for trace in asked.values()),
        denied=len({trace.request for trace in traces if trace.reason == "denied"}),
        grants=len(traces),
        opened=sum(trace.opened is not None for trace in traces),
        opening=Spread.of(t.opened - t.ready for t in traces if t.opened and t.ready),
        closing=Spread.of(t.closed - t.ended for t in traces if t.closed and t.ended and t.reason == "expired"),
        is_final=is_over and all(trace.closed is not None for trace in traces),
    )


def uses(traces: Iterable[Trace]) -> list[Use]:
    """How each port of each policy was used."""
    gathered: dict[tuple[str, int], list[Trace]] = {}
    for trace in traces:
        gathered.setdefault((trace.policy, trace.port), []).append(trace)
    return [_use(policy, port, found) for (policy, port), found in gathered.items()]


def excesses(rules: Iterable[PortRule], used: Mapping[int, Use], *, is_old: bool) -> Iterator[Excess]:
    """What some rules allow far beyond their use, by port. `is_old`: they stood all the while that was looked at."""
    for rule in rules:
        use = used.get(rule.number)
        if use is None:
            if is_old:
                yield Excess(rule.number, "port", "may be asked for", "was never asked for")
            continue
        allowed = rule.max_duration.length
        if allowed >= _MUCH_MORE * use.longest and allowed - use.longest >= _MUCH_TIME:
            yield Excess(rule.number, "time", describe(allowed), f"{describe(use.longest)} at most")
        if _reaches_far_beyond(rule.sources, use.widest):
            yield Excess(rule.number, "sources", prefixes.describe(rule.sources), _reach(use.widest))


def _use(policy: str, port: int, traces: Sequence[Trace]) -> Use:
    widest: dict[int, int] = {}
    for prefix in (prefix for trace in traces for prefix in trace.sources):
        family, length = prefixes.family(prefix), prefixes.length(prefix)
        widest[family] = min(length, widest.get(family, length))
    longest = max((trace.asked_for for trace in traces if trace.asked_for), default=timedelta(0))
    return Use(policy, port, len(traces), longest, widest)


def _reaches_far_beyond(sources: Iterable[Prefix], widest: Mapping[int, int]) -> bool:
    return any(
        prefixes.length(source) + _MUCH_WIDER <= widest[prefixes.family(source)]
        for source in sources
        if prefixes.family(source) in widest
    )


def _reach(widest: Mapping[int, int]) -> str:
    single = {4: 32, 6: 128}
    if all(single[family] == length for family, length in widest.items()):
        return "single addresses"
    return " and ".join(f"IPv{family} /{length}" for family, length in sorted(widest.items())) + " at most"
