"""What a firewall must be able to do for jitgate: three methods.

A connector knows machines and firewalls, and nothing of policies, requests or people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from jitgate.core.alteration import Alteration
from jitgate.core.desired import AccessKey, Desired, PortKey
from jitgate.core.machine import Machine

Memory = Mapping[str, Any]
"""What a connector wants to be told again next time for a scope: JSON, kept by the store, opaque to it."""


class ConnectorError(Exception):
    """A firewall did not do what it was asked.

    `retry`: whether the same call may succeed later. A close is retried for ever all the same.
    `report`: what stands all the same, where only a part has failed.
    `memory`: what the connector wants to be told again; None: what it was told.
    """

    def __init__(
        self, message: str, *, retry: bool = True, report: "Report | None" = None, memory: "Memory | None" = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry = retry
        self.report = report
        self.memory = memory


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

    A connector plans every alteration that the desired state needs, those that stand already too. Before `apply` the
    reconciler leaves only those that are agreed to, which are then on record with their originals, and adds the others:

    `alterations`   what of others' is changed
    `waiting`       what would have to be, and nobody has agreed to yet: `apply` leaves it alone
    `restorations`  what nothing needs any more: `apply` puts the originals back
    `memory`        what it was worked out from, where `apply` needs it as well
    """

    desired: Desired
    steps: Sequence[Step]
    alterations: Sequence[Alteration] = ()
    waiting: Sequence[Alteration] = ()
    restorations: Sequence[Alteration] = ()
    memory: Memory = field(default_factory=dict)

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
    `is_full`    what is refused is so for want of room: the grants that are open there fill it
    `repaired`   what a hand or another program had changed, and is right again
    `outranked`  rules of others that let a protected port be reached, or keep an open one shut
    `altered`    keys of alterations that stand, of those that the plan held
    `restored`   keys of restorations that are done: the original stands, or what it stood in is gone
    `again_at`   everything is to be compared again by then (UTC): a close takes so long that it begins ahead of its end
    `complete`   the report speaks for the whole scope: a key that is not in `standing` is shut
    `under_way`  what takes a while yet, and how long, for people
    `proof`      the same, signed, where the keeper has a key of its own
    """

    scope: str
    generation: int
    standing: Mapping[AccessKey, datetime]
    shut: frozenset[AccessKey]
    protected: Mapping[PortKey, str]
    capabilities: Capabilities
    refused: Mapping[AccessKey, str] = field(default_factory=dict)
    is_full: bool = False
    repaired: Sequence[str] = ()
    outranked: Sequence[str] = ()
    connections: Mapping[str, Connection] = field(default_factory=dict)
    altered: frozenset[str] = frozenset()
    restored: frozenset[str] = frozenset()
    again_at: datetime | None = None
    complete: bool = False
    under_way: str = ""
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It stands as the report says."""

    report: Report
    memory: Memory = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pending:
    """Under way; ask again at `until` (UTC), or when an acknowledgement wakes the scope.

    `report`  what stands already, where only a part takes longer
    """

    until: datetime
    memory: Memory = field(default_factory=dict)
    report: Report | None = None


Outcome = Done | Pending


class Connector(Protocol):
    """One cloud account or host fleet.

    `whole_ports`  it keeps all sources of a port in one rule, so that it must be told all of a port when a part changes
    """

    name: str
    whole_ports: bool

    async def discover(self) -> Sequence[Machine]:
        """The machines as the cloud or host tells them. Raises ConnectorError."""
        ...

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """What it takes to make `desired` stand. May look at the firewall, and changes nothing.

        Raises ConnectorError.
        """
        ...

    async def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan. Idempotent, safe to repeat after any crash; touches only what is ours.

        Raises ConnectorError.
        """
        ...


class CloudConnector(Connector, Protocol):
    """One cloud account, which an administrator has added."""

    async def missing_permissions(self) -> Sequence[str]:
        """Each permission that the connector needs and does not have. Raises ConnectorError."""
        ...

    async def close(self) -> None:
        """Let go of connections. Nothing is asked of it afterwards."""
        ...
