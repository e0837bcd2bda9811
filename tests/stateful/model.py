"""What jitgate promises, worked out a second time and far more simply: no code of the product is used here.

A source is the set of the *spots* that it holds: addresses that packets come from, and, where a prefix is wider than
these, a spot that stands for the rest. Then containment is `<=`, and "a live grant lets it in" is `in`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

ADDRESSES = ("10.71.1.2", "10.71.1.3", "10.71.2.2", "fd71:1::2", "fd71:1::3", "fd71:2::2")
_A, _B, _C, _D, _E, _F = ADDRESSES
SOURCES: Mapping[str, frozenset[str]] = {
    _A: frozenset({_A}),
    _B: frozenset({_B}),
    "10.71.1.2/31": frozenset({_A, _B}),
    "10.71.1.0/24": frozenset({_A, _B, "rest of 10.71.1"}),
    _C: frozenset({_C}),
    "10.71.0.0/16": frozenset({_A, _B, _C, "rest of 10.71.1", "rest of 10.71"}),
    _D: frozenset({_D}),
    "fd71:1::/64": frozenset({_D, _E, "rest of fd71:1"}),
    _F: frozenset({_F}),
    "*": frozenset({*ADDRESSES, "rest of 10.71.1", "rest of 10.71", "rest of 4", "rest of fd71:1", "rest of 6"}),
}
BOTH = frozenset({"TCP", "UDP"})
TCP = frozenset({"TCP"})
APPROVAL_WAIT = timedelta(hours=24)
OPENING_MAY_TAKE = timedelta(minutes=15)
LONGEST_BREAK_GLASS = timedelta(hours=1)

PENDING, SCHEDULED, OPENING, OPEN, OVER = "pending", "scheduled", "opening", "open", "over"


@dataclass(frozen=True)
class Rule:
    """One protected port of a policy."""

    port: int
    protocols: frozenset[str]
    source: str
    longest: timedelta


@dataclass(frozen=True)
class Rail:
    """The one guardrail there may be. It covers every machine."""

    longest: timedelta | None = None
    approvals: int = 0
    observes: bool = False

    def is_looser_than(self, other: "Rail") -> bool:
        return (
            self.approvals < other.approvals
            or (other.longest is not None and (self.longest is None or self.longest > other.longest))
            or (self.observes and not other.observes)
        )


@dataclass
class Promise:
    """A grant. `asked`: its place in the order of asking; `holds_until`: when its firewall must have shut it, at the
    latest, on the clock that never steps; `held_end`: the end that this was worked out for. A firewall works it out
    once for each end, so that a clock that is stepped changes nothing."""

    uid: str
    asked: int
    owner: str
    machine: str
    port: int
    protocols: frozenset[str]
    spots: frozenset[str]
    state: str
    end: datetime | None
    length: timedelta | None
    start: datetime | None
    wait_until: datetime | None
    asked_at: datetime
    since: datetime
    successor: "Promise | None" = None
    holds_until: float = 0.0
    held_end: datetime | None = None
    request: str = ""
    agreed: set[str] = field(default_factory=set)
    breaks_glass: bool = False
    moves: "Promise | None" = None

    @property
    def is_live(self) -> bool:
        return self.state in (OPENING, OPEN)

    @property
    def end_from_start(self) -> datetime:
        """When it ends; a length counts from the start, however late somebody looked."""
        assert self.start is not None
        end = self.start + self.length if self.length is not None else self.end
        assert end is not None
        return end


@dataclass(frozen=True)
class Wish:
    """What somebody asks for: one port of one machine."""

    owner: str
    machine: str
    port: int
    protocols: frozenset[str] | None
    spots: frozenset[str]
    end: datetime | None = None
    length: timedelta | None = None
    start: datetime | None = None
    breaks_glass: bool = False


@dataclass
class Model:
    """All promises, and what decides them. Machines are known by name; `incarnations` says which one stands."""

    now: datetime
    elapsed: float = 0.0
    incarnations: dict[str, str] = field(default_factory=dict)
    policies: dict[str, dict[str, tuple[Rule, ...]]] = field(default_factory=dict)
    rail: Rail | None = None
    proposed: Rail | None = None
    promises: list[Promise] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)
    """Names of people and machines, and "everything"."""

    # --- what is so ---------------------------------------------------------------------------------

    def protected(self, machine: str) -> set[tuple[int, str]]:
        """The ports of a machine that must be shut but for promises."""
        if self.rail is not None and self.rail.observes:
            return set()
        return self.covered(machine)

    def covered(self, machine: str) -> set[tuple[int, str]]:
        """The ports of a machine that some policy names."""
        rules = [rule for policy in self.policies.values() for rule in policy.get(machine, ())]
        return {(rule.port, protocol) for rule in rules for protocol in rule.protocols}

    def lets_in(self, machine: str, port: int, protocol: str) -> set[str]:
        """The addresses that a packet gets through from, once everything has settled."""
        if (port, protocol) not in self.protected(machine):
            return set(ADDRESSES)
        live = [p for p in self._of(machine, port, protocol) if p.is_live and p.end is not None and p.end > self.now]
        return {address for address in ADDRESSES if any(address in promise.spots for promise in live)}

    def may_still_let_in(self, machine: str, port: int, protocol: str, elapsed: float) -> set[str]:
        """The addresses that a packet may get through from, settled or not: those with time left on any firewall."""
        held = [p for p in self._of(machine, port, protocol) if p.holds_until > elapsed]
        return {address for address in ADDRESSES if any(address in promise.spots for promise in held)}

    def listed(self) -> dict[str, str]:
        """The promises that are not over, by uid, with their states."""
        return {promise.uid: promise.state for promise in self.promises if promise.state != OVER}

    def _of(self, machine: str, port: int, protocol: str) -> list[Promise]:
        incarnation = self.incarnations.get(machine)
        return [p for p in self.promises if p.machine == incarnation and p.port == port and protocol in p.protocols]

    # --- what people do -----------------------------------------------------------------------------

    def decide(self, wish: Wish) -> list[Promise] | None:
        """What asking gives, without uids; None: it is refused."""
        if wish.machine not in self.incarnations or self.is_frozen(wish.owner, wish.machine):
            return None
        for name in sorted(self.policies):
            rules = [
                rule
                for rule in self.policies[name].get(wish.machine, ())
                if rule.port == wish.port and (wish.protocols is None or wish.protocols <= rule.protocols)
            ]
            if rules and all(self._allows(rule, wish) for rule in rules):
                return [self._promise(rule, wish) for rule in rules]
        return None

    def take(self, promises: Iterable[Promise]) -> None:
        """These were granted, and each begins."""
        for promise in promises:
            self.promises.append(promise)
            if promise.state == OPENING:
                self._begin(promise)

    def is_frozen(self, owner: str, machine: str) -> bool:
        return bool(self.frozen & {owner, machine, "everything"})

    def freeze(self, what: str) -> None:
        """Everything that it concerns is over."""
        self.frozen.add(what)
        names = {incarnation: name for name, incarnation in self.incarnations.items()}
        for promise in self.promises:
            if promise.state != OVER and self.is_frozen(promise.owner, names.get(promise.machine, "")):
                self.close(promise)

    def would_bare(self, name: str, given: Mapping[str, tuple[Rule, ...]]) -> bool:
        """Whether a policy that is written so, or is no more, would leave out a port of a machine that is frozen."""
        old = self.policies.get(name, {})
        frozen = [machine for machine in old if self.frozen & {machine, "everything"}]
        return any(_held(old[machine]) - _held(given.get(machine, ())) for machine in frozen)

    def approve(self, promises: Iterable[Promise], by: str) -> bool:
        """Somebody agrees to what waits. False: they cannot, or it would not be granted any more."""
        waiting = [promise for promise in promises if promise.state == PENDING]
        if not waiting or any(self._waited_too_long(promise) for promise in waiting):
            return False
        if any(p.owner == by or by in p.agreed or not self.would_grant(p) for p in waiting) or by in self.frozen:
            return False
        for promise in waiting:
            promise.agreed.add(by)
        if all(self._has_agreed(promise) for promise in waiting):
            for promise in waiting:
                self._agreed(promise)
        return True

    def would_grant(self, promise: Promise, end: datetime | None = None) -> bool:
        """Whether what was asked for would be granted now, leaving approvals aside."""
        if promise.state == PENDING and promise.moves is not None and not promise.moves.is_live:
            return False
        names = {incarnation: name for name, incarnation in self.incarnations.items()}
        start = promise.start if promise.start is not None and promise.start > self.now else None
        length = promise.length if end is None else None
        wish = Wish(
            promise.owner,
            names.get(promise.machine, ""),
            promise.port,
            promise.protocols,
            promise.spots,
            end if end is not None else promise.end if length is None else None,
            length,
            start,
        )
        return self.decide(wish) is not None

    def close(self, promise: Promise) -> None:
        """Somebody closes it, or something does. Whoever waited for it waits for its own successor."""
        never_stood = promise.state != OPEN
        promise.state = OVER
        for older in self.promises:
            if never_stood and older.successor is promise:
                older.successor = promise.successor

    def set_end(self, promise: Promise, end: datetime) -> None:
        """Extended or shortened."""
        promise.end, promise.length = end, None
        if promise.is_live:
            promise.holds_until = max(promise.holds_until, self._deadline(end))

    def moved(self, promise: Promise, spots: frozenset[str]) -> Promise:
        """The promise that takes this one's place for another source."""
        new = replace(promise, spots=spots, state=OPENING, successor=None, length=None, start=None, wait_until=None)
        new.asked_at = new.since = self.now
        assert new.end is not None
        new.holds_until, new.held_end = self._deadline(new.end), new.end
        return new

    def policies_changed(self) -> None:
        """Whatever no policy covers any more is over."""
        names = {incarnation: name for name, incarnation in self.incarnations.items()}
        for promise in self.promises:
            name = names.get(promise.machine)
            wanted = {(promise.port, protocol) for protocol in promise.protocols}
            if promise.state != OVER and (name is None or not wanted <= self.covered(name)):
                self.close(promise)

    # --- what time and firewalls do -----------------------------------------------------------------

    def let_time_move(self) -> None:
        """What is due is done, in its order: waits and ends run out, scheduled starts begin."""
        due = [(at, promise) for promise in self.promises if (at := _due(promise)) is not None and at <= self.now]
        starts = []
        for _, promise in sorted(due, key=lambda one: (one[0], one[1].asked)):
            if promise.state == SCHEDULED and self._may_start(promise):
                starts.append(promise)
            else:
                self.close(promise)
        for promise in starts:
            promise.end, promise.state, promise.since = promise.end_from_start, OPENING, self.now
            self._begin(promise)

    def give_up(self) -> None:
        """A firewall has failed: what has been opening for too long is over."""
        for promise in self.promises:
            if promise.state == OPENING and self.now - promise.since > OPENING_MAY_TAKE:
                self.close(promise)

    def stand(self) -> None:
        """Every firewall holds what it must: what was opening is open, and what it replaces is over."""
        for promise in self.promises:
            if promise.state == OPENING:
                promise.state = OPEN
        while replaced := [p for p in self.promises if p.state != OVER and p.successor and p.successor.state == OPEN]:
            for promise in replaced:
                self.close(promise)
        for promise in self.promises:
            if not promise.is_live or promise.end is None:
                promise.holds_until = 0.0
            elif promise.end != promise.held_end:
                promise.holds_until, promise.held_end = self._deadline(promise.end), promise.end

    # --- parts of these -----------------------------------------------------------------------------

    def _waited_too_long(self, promise: Promise) -> bool:
        return any(at is not None and at <= self.now for at in (promise.wait_until, promise.end))

    def _may_start(self, promise: Promise) -> bool:
        """A scheduled start is decided again, approvals included."""
        end = promise.end_from_start
        return end > self.now and self.would_grant(promise, end) and self._has_agreed(promise)

    def _has_agreed(self, promise: Promise) -> bool:
        needed = self.rail.approvals if self.rail is not None else 0
        return len(promise.agreed - self.frozen) >= needed

    def _agreed(self, promise: Promise) -> None:
        if promise.start is not None and promise.start > self.now:
            promise.state, promise.since = SCHEDULED, self.now
            return
        if promise.length is not None:
            promise.end = self.now + promise.length
        promise.state, promise.since = OPENING, self.now
        self._begin(promise)

    def _allows(self, rule: Rule, wish: Wish) -> bool:
        begins = wish.start or self.now
        if begins < self.now:
            return False
        length = self._length(rule, wish)
        end = wish.end if length is None else begins + length
        assert end is not None
        return wish.spots <= SOURCES[rule.source] and begins < end <= begins + self._longest(rule, wish)

    def _promise(self, rule: Rule, wish: Wish) -> Promise:
        length = self._length(rule, wish)
        waits = self.rail is not None and self.rail.approvals > 0 and not wish.breaks_glass
        state = PENDING if waits else SCHEDULED if wish.start is not None else OPENING
        end = wish.end if length is None else self.now + length if state == OPENING else None
        return Promise(
            uid="",
            asked=len(self.promises),
            owner=wish.owner,
            machine=self.incarnations[wish.machine],
            port=wish.port,
            protocols=wish.protocols or rule.protocols,
            spots=wish.spots,
            state=state,
            end=end,
            length=length,
            start=wish.start,
            wait_until=self.now + APPROVAL_WAIT if waits else None,
            asked_at=self.now,
            since=self.now,
        )

    def _length(self, rule: Rule, wish: Wish) -> timedelta | None:
        if wish.end is not None:
            return None
        return wish.length or self._longest(rule, wish)

    def _longest(self, rule: Rule, wish: Wish) -> timedelta:
        limits = [rule.longest, self.rail.longest if self.rail else None]
        return min(limit for limit in [*limits, LONGEST_BREAK_GLASS if wish.breaks_glass else None] if limit)

    def _begin(self, new: Promise) -> None:
        """It begins to open, and takes the place of what it covers of the same owner's."""
        assert new.end is not None
        new.holds_until, new.held_end = self._deadline(new.end), new.end
        for old in self.promises:
            if (
                old is not new
                and new.successor is None
                and old.asked_at <= new.asked_at
                and (old.owner, old.machine, old.port) == (new.owner, new.machine, new.port)
                and (old.is_live or (old.state == PENDING and old.start is None))
                and old.successor is None
                and old.protocols <= new.protocols
                and old.spots <= new.spots
            ):
                old.successor = new
        if new.moves is not None and new.moves.is_live and new.moves.successor is None:
            new.moves.successor = new

    def _deadline(self, end: datetime) -> float:
        return self.elapsed + max(0.0, (end - self.now).total_seconds())


def _due(promise: Promise) -> datetime | None:
    moments = {
        PENDING: (promise.wait_until, promise.end),
        SCHEDULED: (promise.start, promise.end),
        OPENING: (promise.end,),
        OPEN: (promise.end,),
        OVER: (),
    }
    return min((moment for moment in moments[promise.state] if moment is not None), default=None)


def _held(rules: Iterable[Rule]) -> set[tuple[int, str]]:
    return {(rule.port, protocol) for rule in rules for protocol in rule.protocols}
