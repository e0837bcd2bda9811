"""What a firewall must be able to do for jitgate: three methods.

A connector knows machines and firewalls, and nothing of policies, requests or people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from jitgate.core.desired import AccessKey, Desired, PortKey
from jitgate.core.machine import Machine

Memory = Mapping[str, Any]
"""What a connector wants to be told again next time for a scope: JSON, kept by the store, opaque to it."""


class ConnectorError(Exception):
    """A firewall did not do what it was asked.

    `retry`: whether the same call may succeed later. A close is retried for ever all the same.
    """

    def __init__(self, message: str, *, retry: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.retry = retry


class GenerationBehind(ConnectorError):
    """The enforcer has already seen a later generation: the database was restored, or another replica leads.

    `current`: the generation that the enforcer holds.
    """

    def __init__(self, current: int) -> None:
        super().__init__(f"the enforcer already holds generation {current}; it refuses an older one", retry=True)
        self.current = current


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a plan, for people: ``verb`` is protect, release, open, shut or cut."""

    verb: str
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` will do. It can be shown, stored and carried out later, by another process.

    `originals` holds what the plan would alter and jitgate did not make.
    """

    desired: Desired
    steps: Sequence[Step]
    originals: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        return self.desired.scope


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this firewall can promise. `ends_sessions`: it cuts established sessions at the deadline.
    `own_deadline`: it shuts by itself with every jitgate process dead."""

    ends_sessions: bool
    own_deadline: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a machine that was opened: an address, and the port if another than the machine's own."""

    address: str
    mapped_ports: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the keeper of a firewall has signed of its report: evidence that does not rest on trusting the server.

    `statement` is JSON, word for word what was signed; `purpose`, `key` and `signature` are as in
    `jitgate.trust.signatures`.
    """

    statement: str
    purpose: str
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class Report:
    """What stands in the firewall, read back.

    `standing`   keys that are open, with the end (UTC) that the firewall will act on
    `shut`       keys that were asked about and are not open
    `protected`  ports that are shut but for `standing`; the value is "" or why the port is *not* protected
    `refused`    keys that this firewall cannot open, and why
    `repaired`   what a hand or another program had changed, and is right again
    `outranked`  rules of others that let a protected port be reached, or keep an open one shut
    `complete`   the report speaks for the whole scope: a key that is not in `standing` is shut
    `proof`      the same, signed, where the keeper has a key of its own
    """

    scope: str
    generation: int
    standing: Mapping[AccessKey, datetime]
    shut: frozenset[AccessKey]
    protected: Mapping[PortKey, str]
    capabilities: Capabilities
    refused: Mapping[AccessKey, str] = field(default_factory=dict)
    repaired: Sequence[str] = ()
    outranked: Sequence[str] = ()
    connections: Mapping[str, Connection] = field(default_factory=dict)
    complete: bool = False
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It stands as the report says."""

    report: Report
    memory: Memory = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pending:
    """Under way; ask again at `until` (UTC), or when an acknowledgement wakes the scope."""

    until: datetime
    memory: Memory = field(default_factory=dict)


Outcome = Done | Pending


class Connector(Protocol):
    """One cloud account or host fleet."""

    name: str

    async def discover(self) -> Sequence[Machine]:
        """The machines as the cloud or host tells them. Raises ConnectorError."""
        ...

    def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand. Changes nothing."""
        ...

    async def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan. Idempotent, safe to repeat after any crash; touches only what is ours.

        Raises ConnectorError.
        """
        ...
