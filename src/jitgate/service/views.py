"""What use cases answer with: values that the faces turn into their own words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from jitgate.core.access import Grant
from jitgate.core.catalogue import Front, Standing
from jitgate.core.desired import PortKey
from jitgate.core.duration import Duration
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy
from jitgate.core.prefixes import Prefix
from jitgate.store.approvals import Said
from jitgate.store.attempts import Attempt
from jitgate.store.catalogue import Holder

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant, with what the faces show beside it.

    `machine_id`    as it was asked for
    `machine_name`  for people
    `source_texts`  as they were asked for; None: the source was left out
    `connection`    where to connect: an address, or "" while it is not known
    `mapped_port`   the port to connect to, where it is another than the machine's own
    `ends_sessions` whether this firewall cuts established sessions at the end
    `detail`        why it failed, or what is being waited for
    `unverified`    the host has been silent: whether the port is open or shut is not known
    `attempts`      sources that were turned away at this port lately, which the grant does not let in
    `networks`      by source the named network that it lies in; those in none are left out
    """

    grant: Grant
    request: str
    machine_id: str
    machine_name: str
    requestor: str
    justification: str
    asked_at: datetime
    source_texts: str | tuple[str, ...] | None = None
    connection: str = ""
    mapped_port: int | None = None
    ends_sessions: bool = False
    detail: str = ""
    unverified: bool = False
    attempts: tuple[Attempt, ...] = ()
    networks: Mapping[Prefix, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request and its grants, in the order in which they were asked for. `said`: what others have said to it."""

    uid: str
    requestor: str
    justification: str
    asked_at: datetime
    start: datetime | None
    approvals: int
    grants: tuple[GrantView, ...]
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingView:
    """A request that waits for approval, as one of its approvers sees it.

    `missing`     what it lacks, for people
    `wait_until`  when it has waited too long
    `is_mine`     the reader may decide it now
    `refused`     why it would not be granted any more; "" if it would
    """

    request: RequestView
    missing: str
    wait_until: datetime | None
    is_mine: bool
    refused: str = ""


@dataclass(frozen=True, slots=True)
class ConsideredView:
    """One request, with what matters to whoever decides it.

    `waiting`  None: it waits no more
    `longest`  by grant the longest that policies and guardrails would allow now; empty where they would not allow it
    `earlier`  what the same person asked for last, the newest first, of what the reader may read
    """

    request: RequestView
    waiting: WaitingView | None
    longest: Mapping[str, Duration] = field(default_factory=dict)
    earlier: tuple[RequestView, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy with its live and lately ended requests, newest last.

    `settled`: every machine in it is protected as the policy says. `mapped_addresses`: by the key of a machine that is
    reached by mapped ports, where to connect to.
    """

    policy: Policy
    requests: tuple[RequestView, ...]
    settled: bool
    mapped_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MachineView:
    """A machine, and how its ports are held.

    `protected`  per protected port "" or why it is not protected yet
    `policies`   the ids of the policies that cover it
    `outranked`  rules of others that bypass or block ours
    `verified_at` when its firewall was last known to stand so; None: never
    `unverified`  the host has been silent: how its ports stand now is not known
    `standing`    configured, not configured or unsupported
    `front`       what holds its ports
    `approved_requests`  of the last seven days
    `accessed_at`, `accessed_by`  when and for whom (a name) a port of it last opened
    `holders`     whom its open ports let in, the first few
    """

    machine: Machine
    policies: tuple[str, ...] = ()
    protected: Mapping[PortKey, str] = field(default_factory=dict)
    open_grants: int = 0
    outranked: Sequence[str] = ()
    error: str = ""
    verified_at: datetime | None = None
    unverified: bool = False
    standing: Standing = Standing.NOT_CONFIGURED
    front: Front = Front.UNKNOWN
    approved_requests: int = 0
    accessed_at: datetime | None = None
    accessed_by: str = ""
    holders: Sequence[Holder] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of a list. `after` is what to ask for next; None: this was the last."""

    items: tuple[Item, ...]
    after: str | None = None
