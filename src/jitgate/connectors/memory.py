"""A firewall that exists in memory only: for trying jitgate out, and for tests that need no real one.

It makes the promises that a real firewall makes. What it opens ends by itself, at a deadline on the clock
that never steps; an old generation is refused; established sessions end or go on as they were told to.
It also fails, answers late and refuses when it is told to.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jitgate.clock import Clock
from jitgate.connectors.base import (
    Capabilities,
    ConnectorError,
    Done,
    GenerationBehind,
    Memory,
    Outcome,
    Pending,
    Plan,
    Report,
)
from jitgate.connectors.steps import steps
from jitgate.core.alteration import Alteration
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, SessionEnd
from jitgate.core.machine import Machine
from jitgate.core.prefixes import Prefix, covers, of_address


@dataclass(frozen=True, slots=True)
class Opening:
    """An open key: its end (UTC) as it was told, and the same on the clock that never steps."""

    end: datetime
    deadline: float


@dataclass(slots=True)
class Session:
    """An established connection. Ask the firewall whether it still carries data."""

    target: PortKey
    source: Prefix
    cut: bool = False


@dataclass(slots=True)
class Firewall:
    """What stands in one scope."""

    generation: int = 0
    protected: dict[PortKey, Protection] = field(default_factory=dict)
    openings: dict[AccessKey, Opening] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A rule that others made: it lets a source reach a range of ports behind all firewalls that share it."""

    name: str
    first: int
    last: int
    source: Prefix
    scopes: Sequence[str]

    def covers(self, port: int) -> bool:
        return self.first <= port <= self.last

    def without(self, port: PortKey) -> Alteration:
        """What has to be done to it, so that it leaves a port alone."""
        what = f"rule {self.name}, {self.first}-{self.last} from {self.source}: without {port}"
        return Alteration(f"{self.name}|{port}", what, self.encode(), (str(port),), tuple(self.scopes))

    def encode(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "ports": [self.first, self.last], "source": self.source, "scopes": list(self.scopes)}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call of `apply`. `after`: it is carried out first, and only the answer is lost."""

    error: ConnectorError | None = None
    delay: timedelta | None = None
    after: bool = False


class MemoryConnector:
    """Machines and firewalls in memory."""

    capabilities = Capabilities(ends_sessions=True, own_deadline=True)
    whole_ports = False

    def __init__(self, clock: Clock, machines: Iterable[Machine] = (), name: str = "memory") -> None:
        self.name = name
        self.machines = list(machines)
        self.applied: list[Desired] = []
        self._clock = clock
        self._firewalls: dict[str, Firewall] = {}
        self._faults: deque[Fault] = deque()
        self._refusals: dict[AccessKey, str] = {}
        self._foreign: dict[str, Foreign] = {}
        self._altered: set[str] = set()

    async def discover(self) -> Sequence[Machine]:
        """The machines it was given."""
        return tuple(self.machines)

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand."""
        del memory  # Nothing needs to be told again.
        return Plan(desired, steps(desired), self._in_the_way(desired) if desired.complete else ())

    async def apply(self, plan: Plan) -> Outcome:
        """Make it stand. Raises ConnectorError where a fault was ordered, GenerationBehind for an old plan."""
        fault = self._faults.popleft() if self._faults else Fault()
        if fault.error is not None and not fault.after:
            raise fault.error
        if fault.delay is not None:
            return Pending(self._clock.wall() + fault.delay)
        report = self._carry_out(plan)
        if fault.error is not None:
            raise fault.error
        return Done(report)

    # What a test orders.

    def fail_next(self, calls: int = 1, message: str = "the firewall does not answer", *, after: bool = False) -> None:
        """Let the next calls of `apply` fail: before anything is done, or `after` all is done."""
        self._faults.extend(Fault(error=ConnectorError(message), after=after) for _ in range(calls))

    def heal(self) -> None:
        """Let no call fail or be late any more."""
        self._faults.clear()

    def delay_next(self, by: timedelta, calls: int = 1) -> None:
        """Let the next calls of `apply` answer "not yet, ask again", with nothing done."""
        self._faults.extend(Fault(delay=by) for _ in range(calls))

    def refuse(self, key: AccessKey, reason: str) -> None:
        """Never open this key; an empty reason lifts it."""
        self._refusals[key] = reason
        if not reason:
            del self._refusals[key]

    def add_foreign(self, name: str, first: int, last: int, source: Prefix, *scopes: str) -> None:
        """Somebody else makes a rule, or makes it again, that counts for several firewalls."""
        self._foreign[name] = Foreign(name, first, last, source, scopes)
        self._altered -= {key for key in self._altered if key.partition("|")[0] == name}

    def remove_foreign(self, name: str) -> None:
        """Somebody else takes their rule away."""
        del self._foreign[name]
        self._altered -= {key for key in self._altered if key.partition("|")[0] == name}

    def flush(self, scope: str) -> None:
        """Take everything away, as a stranger's hand would. The next complete `apply` repairs it and says so."""
        firewall = self._firewall(scope)
        firewall.damage.append("all rules had been removed by another program")
        firewall.protected.clear()
        firewall.openings.clear()

    # What a packet meets.

    def standing(self, scope: str) -> Mapping[AccessKey, datetime]:
        """The keys that are open now."""
        now = self._clock.elapsed()
        return {key: o.end for key, o in self._firewall(scope).openings.items() if o.deadline > now}

    def reaches(self, scope: str, target: PortKey, source: str) -> bool:
        """Whether a new connection from an address gets through."""
        if target not in self._firewall(scope).protected:
            return True
        address = of_address(source)
        if any(covers(rule.source, address) for rule in self.foreign(scope, target)):
            return True
        return any(key.target == target and covers(key.prefix, address) for key in self.standing(scope))

    def foreign(self, scope: str, target: PortKey) -> list[Foreign]:
        """The rules of others that let a port be reached now."""
        return [
            rule
            for rule in self._foreign.values()
            if scope in rule.scopes and rule.covers(target.port) and f"{rule.name}|{target}" not in self._altered
        ]

    def connect(self, scope: str, target: PortKey, source: str) -> Session | None:
        """A new connection, or None where it does not get through."""
        if not self.reaches(scope, target, source):
            return None
        session = Session(target, of_address(source))
        self._firewall(scope).sessions.append(session)
        return session

    def carries(self, scope: str, session: Session) -> bool:
        """Whether an established connection still carries data."""
        protection = self._firewall(scope).protected.get(session.target)
        if session.cut or protection is None or protection.session is SessionEnd.KEEP:
            return not session.cut
        return self.reaches(scope, session.target, session.source.partition("/")[0])

    # How it is made to stand.

    def _firewall(self, scope: str) -> Firewall:
        return self._firewalls.setdefault(scope, Firewall())

    def _in_the_way(self, desired: Desired) -> list[Alteration]:
        """What others made that lets a protected port be reached, or would if it were not altered."""
        rules = [rule for rule in self._foreign.values() if desired.scope in rule.scopes]
        return [rule.without(port) for rule in rules for port in desired.protected if rule.covers(port.port)]

    def _carry_out(self, plan: Plan) -> Report:
        desired = plan.desired
        firewall = self._firewall(desired.scope)
        if desired.generation < firewall.generation:
            raise GenerationBehind(firewall.generation)
        firewall.generation = desired.generation
        self.applied.append(desired)
        _protect(firewall, desired)
        self._open_and_shut(firewall, desired)
        self._cut(firewall, desired)
        self._altered |= {each.key for each in plan.alterations}
        self._altered -= {each.key for each in plan.restorations}
        return self._report(firewall, plan)

    def _open_and_shut(self, firewall: Firewall, desired: Desired) -> None:
        now = self._clock.elapsed()
        for key, opening in list(firewall.openings.items()):
            unlisted = desired.complete and key not in desired.access
            if unlisted or opening.deadline <= now:
                del firewall.openings[key]
        for key, end in desired.access.items():
            if end is None or key in self._refusals:
                firewall.openings.pop(key, None)
            else:
                self._open(firewall, key, end, max(desired.at, self._clock.wall()))

    def _open(self, firewall: Firewall, key: AccessKey, end: datetime, now: datetime) -> None:
        standing = firewall.openings.get(key)
        if standing is not None and standing.end == end:
            return  # The same end: a stepped wall clock must not move its deadline.
        left = (end - now).total_seconds()
        if left <= 0:
            firewall.openings.pop(key, None)
            return
        firewall.openings[key] = Opening(end, self._clock.elapsed() + left)

    def _cut(self, firewall: Firewall, desired: Desired) -> None:
        now = self._clock.wall()
        lost = [key for key, until in desired.cut.items() if until > now]
        for session in firewall.sessions:
            named = any(key.target == session.target and covers(key.prefix, session.source) for key in lost)
            address = session.source.partition("/")[0]
            if named and not self.reaches(desired.scope, session.target, address):
                session.cut = True
        firewall.sessions = [session for session in firewall.sessions if not session.cut]

    def _report(self, firewall: Firewall, plan: Plan) -> Report:
        desired = plan.desired
        standing = self.standing(desired.scope)
        asked = standing if desired.complete else {key: standing[key] for key in desired.access if key in standing}
        ports = firewall.protected if desired.complete else desired.protected
        repaired: Sequence[str] = ()
        if desired.complete:
            repaired, firewall.damage = firewall.damage, []
        return Report(
            scope=desired.scope,
            generation=firewall.generation,
            standing=dict(asked),
            shut=frozenset(key for key in desired.access if key not in standing),
            protected={port: self._problem(desired.scope, port) for port in ports},
            capabilities=self.capabilities,
            refused={key: why for key, why in self._refusals.items() if desired.access.get(key) is not None},
            repaired=repaired,
            altered=frozenset(each.key for each in plan.alterations),
            restored=frozenset(each.key for each in plan.restorations),
            complete=desired.complete,
        )

    def _problem(self, scope: str, port: PortKey) -> str:
        names = [rule.name for rule in self.foreign(scope, port)]
        return f"rules of others let it be reached: {', '.join(names)}" if names else ""


def _protect(firewall: Firewall, desired: Desired) -> None:
    """Replace the protection of the machines that are spoken for; a complete value speaks for all."""
    kept = {
        port: protection
        for port, protection in firewall.protected.items()
        if not desired.complete and port.machine not in desired.machines
    }
    firewall.protected = {**kept, **desired.protected}
