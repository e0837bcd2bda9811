"""Asking for access: what is asked, what is granted, and the life of a grant.

::

    new ──> pending ──> scheduled ──> opening ──> open ──> closing ──> closed
     │         │            │  ▲          │                   ▲           ▲
     │         │            │  │          └───────────────────┘           │
     │         └────────────┴──┼──────────────────────────────────────────┘
     └─────────────────────────┘
       (a new grant starts as pending, scheduled or opening)

The legal moves are the table `TRANSITIONS`; the database holds the same table and refuses the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitgate.core.desired import AccessKey, Protocol, SessionEnd
from jitgate.core.duration import Duration
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import Prefix, all_covered
from jitgate.core.resource_id import MachineId

LONGEST_JUSTIFICATION = 1000
MOST_SOURCES = 64
MOST_GRANTS = 500


class State(StrEnum):
    """Where a grant is in its life. `new` is before its first moment and is never stored as its state."""

    NEW = "new"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"

    @property
    def is_live(self) -> bool:
        """Whether the grant asks for its port to be open now."""
        return self in (State.OPENING, State.OPEN)

    @property
    def is_over(self) -> bool:
        """Whether the port is shut, or being shut, for this grant."""
        return self in (State.CLOSING, State.CLOSED)


class CloseReason(StrEnum):
    """Why a grant is closing or closed."""

    EXPIRED = "expired"
    USER_REQUESTED = "userRequested"
    REVOKED = "revoked"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    APPROVAL_TIMED_OUT = "approvalTimedOut"
    SUPERSEDED = "superseded"
    POLICY_REMOVED = "policyRemoved"
    MACHINE_REMOVED = "machineRemoved"
    FAILED = "failed"

    @property
    def cuts_sessions(self) -> bool:
        """Whether established sessions end with the grant even where they are kept at expiry."""
        return self not in (CloseReason.EXPIRED, CloseReason.SUPERSEDED)


TRANSITIONS: frozenset[tuple[State, State]] = frozenset(
    {
        (State.NEW, State.PENDING),
        (State.NEW, State.SCHEDULED),
        (State.NEW, State.OPENING),
        (State.PENDING, State.SCHEDULED),
        (State.PENDING, State.OPENING),
        (State.PENDING, State.CLOSED),
        (State.SCHEDULED, State.OPENING),
        (State.SCHEDULED, State.CLOSED),
        (State.OPENING, State.OPEN),
        (State.OPENING, State.CLOSING),
        (State.OPEN, State.CLOSING),
        (State.CLOSING, State.CLOSED),
    }
)


@dataclass(frozen=True, slots=True)
class Span:
    """How long access shall last: until an absolute `end` (UTC), or a `duration` counted from opening.

    Exactly one is set.
    """

    end: datetime | None = None
    duration: Duration | None = None

    def end_from(self, opening: datetime) -> datetime:
        """When access ends if it opens at a given moment."""
        if self.duration is not None:
            return opening + self.duration.length
        assert self.end is not None
        return self.end


@dataclass(frozen=True, slots=True)
class PortAsk:
    """One port that is asked for.

    `protocol`      None: whatever the policy has for this number
    `source_texts`  as written, for the echo; a list came as ``allowedSourceAddressPrefixes``
    `span`          None: as long as the policy allows
    `field`         where in the input it stood, for messages
    """

    number: int
    sources: tuple[Prefix, ...]
    span: Span | None
    protocol: Protocol | None = None
    source_texts: str | tuple[str, ...] | None = None
    field: str = "ports[0]"


@dataclass(frozen=True, slots=True)
class MachineAsk:
    """The ports that are asked for on one machine."""

    id: MachineId
    ports: tuple[PortAsk, ...]
    field: str = "virtualMachines[0]"


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody asks for. All of it is granted, or nothing is.

    `caller`  the address that the call came from, as a prefix; None where it cannot be told
    `start`   when access shall begin (UTC); None: now
    `moved_from`  the grant (by uid) whose place this takes, for another source
    `break_glass`  open at once, without approval and outside of windows: for emergencies, and reviewed afterwards
    """

    machines: tuple[MachineAsk, ...]
    justification: str = ""
    caller: Prefix | None = None
    start: datetime | None = None
    break_glass: bool = False
    moved_from: str | None = None

    def ports(self) -> Iterator[tuple[MachineAsk, PortAsk]]:
        """Every port that is asked for, with the machine that it is on."""
        for machine in self.machines:
            for port in machine.ports:
                yield machine, port


@dataclass(frozen=True, slots=True)
class Terms:
    """One port that a decision would open: a grant before it exists. `remark`: how it is less than was asked for."""

    machine: str
    scope: str
    policy: str
    port: int
    protocol: Protocol
    sources: tuple[Prefix, ...]
    session: SessionEnd
    span: Span
    ask: PortAsk
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One port of one machine out of a request, with its own state and end.

    `asked_at`  when it was asked for
    `since`     when it came into its state
    `end`       None while a duration has not begun to run
    `changed`   what is asked for is not yet known to stand
    `revision`  rises with every change; who writes back must have seen the latest
    `successor` the grant of a newer request that takes this one's place
    `moved_from` the grant that this one moves to another source; it takes that one's place
    """

    uid: str
    request: str
    principal: str
    machine: str
    scope: str
    port: int
    protocol: Protocol
    sources: tuple[Prefix, ...]
    session: SessionEnd
    state: State
    asked_at: datetime
    since: datetime
    end: datetime | None
    duration: Duration | None = None
    start: datetime | None = None
    reason: CloseReason | None = None
    wait_until: datetime | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    successor: str | None = None
    changed: bool = False
    revision: int = 0
    moved_from: str | None = None

    def keys(self) -> Iterator[AccessKey]:
        """The keys that this grant asks for while it is live."""
        for protocol in self.protocol.each:
            for prefix in self.sources:
                yield AccessKey(self.machine, self.port, protocol, prefix)

    @property
    def span(self) -> Span:
        """What was asked for: the duration if there was one, else the absolute end."""
        return Span(duration=self.duration) if self.duration else Span(end=self.end)


def supersedes(new: Grant, old: Grant) -> bool:
    """Whether a grant that opens takes the place of an older one.

    Older is what was asked for earlier, whichever opens first. What is itself to be replaced takes nobody's place: two
    that were agreed to in the other order would shut each other.

    Only for the same principal, machine and port, when it asks for at least the same protocols and sources; the end
    does not matter. An older grant that waits for its own start, agreed to or not, is left alone.
    """
    waits_for_approval = old.state is State.PENDING and old.start is None
    return (
        new.uid != old.uid
        and new.successor is None
        and old.asked_at <= new.asked_at
        and (new.principal, new.machine, new.port) == (old.principal, old.machine, old.port)
        and (old.state.is_live or waits_for_approval)
        and set(old.protocol.each) <= set(new.protocol.each)
        and all_covered(old.sources, new.sources)
    )


def check_ask(ask: Ask) -> Ask:
    """Refuse what no policy could allow: nothing asked, too much, or one port twice. Raises Invalid."""
    if not ask.machines:
        raise Invalid("virtualMachines", "no machine is asked for", allowed="at least one")
    if len(ask.justification) > LONGEST_JUSTIFICATION:
        raise Invalid(
            "justification",
            f"the justification has {len(ask.justification)} characters",
            allowed=f"at most {LONGEST_JUSTIFICATION}",
        )
    if sum(len(machine.ports) for machine in ask.machines) > MOST_GRANTS:
        raise Invalid("virtualMachines", "too many ports in one request", allowed=f"at most {MOST_GRANTS}")
    _check_machines(ask.machines)
    for machine in ask.machines:
        _check_ports(machine)
    return ask


def _check_machines(machines: Sequence[MachineAsk]) -> None:
    seen: dict[str, MachineAsk] = {}
    for machine in machines:
        earlier = seen.setdefault(machine.id.key, machine)
        if earlier is not machine:
            raise Invalid(
                f"{machine.field}.id", f"the same machine is asked for in {earlier.field}", allowed="each machine once"
            )


def _check_ports(machine: MachineAsk) -> None:
    if not machine.ports:
        raise Invalid(f"{machine.field}.ports", "no port is asked for", allowed="at least one")
    seen: dict[tuple[int, Protocol], PortAsk] = {}
    for port in machine.ports:
        _check_sources(port)
        for protocol in (port.protocol or Protocol.ANY).each:
            earlier = seen.setdefault((port.number, protocol), port)
            if earlier is not port:
                raise Invalid(
                    f"{port.field}.number",
                    f"the same port is asked for in {earlier.field}",
                    allowed="each port and protocol once; * stands for TCP and UDP",
                )


def _check_sources(port: PortAsk) -> None:
    if 0 < len(port.sources) <= MOST_SOURCES:
        return
    name = "allowedSourceAddressPrefix" + ("" if isinstance(port.source_texts, str) else "es")
    raise Invalid(f"{port.field}.{name}", f"{len(port.sources)} sources are asked for", allowed=f"1 to {MOST_SOURCES}")
