"""Grants, requests and machines as the native API shows them."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from jitgate.core import resource_id
from jitgate.core.access import CloseReason, State
from jitgate.core.desired import PortKey, Protocol, SessionEnd
from jitgate.core.machine import OperatingSystem
from jitgate.service.views import GrantView, MachineView, RequestView
from jitgate.store.approvals import Verdict
from jitgate.web.api.forms import Shown, texts

_MOST_FACTS, _LONGEST_FACT = 500, 200


class Connection(Shown):
    """Where to connect to."""

    address: str
    port: int


class ShownAttempt(Shown):
    """A source that was turned away at a port that is open for others. A hint: a source can be forged."""

    source: str
    time_utc: datetime


class ShownGrant(Shown):
    """One port of one machine out of a request, with its own state and end."""

    id: str
    request: str
    machine: str = Field(description="The machine's short name.")
    machine_id: str
    port: int
    protocol: Protocol
    sources: list[str]
    state: State
    reason: CloseReason | None = Field(description="Why it is closing or closed.")
    detail: str = Field(description="Why it failed, or what is being waited for.")
    session: SessionEnd = Field(description="What becomes of an established session when the grant expires.")
    ends_sessions: bool = Field(description="Whether the firewall can cut an established session.")
    connection: Connection | None
    requestor: str
    justification: str
    duration: str | None
    asked_time_utc: datetime
    start_time_utc: datetime | None
    opened_time_utc: datetime | None
    end_time_utc: datetime | None = Field(description="Null while a duration has not begun to run.")
    wait_until_utc: datetime | None = Field(description="Until when it waits for approval.")
    closed_time_utc: datetime | None
    successor: str | None = Field(description="The grant of a newer request that takes this one's place.")
    verified: bool = Field(description="False: its host has been silent, so whether it is open or shut is not known.")
    attempts: list[ShownAttempt] = Field(description="Sources that were turned away at this port in the last minutes.")


class ShownRequest(Shown):
    """A request and its grants, in the order in which they were asked for."""

    id: str
    requestor: str
    justification: str
    asked_time_utc: datetime
    start_time_utc: datetime | None
    approvals: int = Field(description="How many others have to agree.")
    grants: list[ShownGrant]
    said: list["ShownSaid"] = Field(default=[], description="What others have said to it.")


class ShownSaid(Shown):
    """What somebody said to a request."""

    by: str
    verdict: Verdict
    time_utc: datetime
    note: str


class ShownPort(Shown):
    """A protected port. `problem` is empty where it is really held shut, else why it is not."""

    number: int
    protocol: Protocol
    protected: bool
    problem: str


class ShownMachine(Shown):
    """A machine, and how its ports are held."""

    id: str
    uuid: str
    name: str
    os: OperatingSystem
    provider: str
    connector: str
    resource_group: str
    location: str
    addresses: list[str]
    tags: Mapping[str, str]
    supported: bool
    unsupported_reason: str
    policies: list[str]
    ports: list[ShownPort]
    open_grants: int
    outranked: list[str] = Field(description="Rules of others that bypass or block jitgate's.")
    listening: list[str] = Field(description="Protocol, port and local address of what listens, as its host tells.")
    published: list[str] = Field(description="Ports that lead elsewhere by destination NAT, as its host tells.")
    error: str
    verified_time_utc: datetime | None = Field(description="When its firewall was last known to stand so.")
    verified: bool = Field(description="False: its host has been silent, so how its ports stand now is not known.")


def grant(view: GrantView) -> ShownGrant:
    """A grant as it is shown."""
    it = view.grant
    return ShownGrant(
        id=it.uid,
        request=view.request,
        machine=view.machine_name,
        machine_id=view.machine_id,
        port=it.port,
        protocol=it.protocol,
        sources=texts(it.sources),
        state=it.state,
        reason=it.reason,
        detail=view.detail,
        session=it.session,
        ends_sessions=view.ends_sessions,
        connection=_connection(view),
        requestor=view.requestor,
        justification=view.justification,
        duration=None if it.duration is None else str(it.duration),
        asked_time_utc=view.asked_at,
        start_time_utc=it.start,
        opened_time_utc=it.opened_at,
        end_time_utc=it.end,
        wait_until_utc=it.wait_until,
        closed_time_utc=it.closed_at,
        successor=it.successor,
        verified=not view.unverified,
        attempts=[ShownAttempt(source=each.source, time_utc=each.at) for each in view.attempts],
    )


def request(view: RequestView) -> ShownRequest:
    """A request as it is shown."""
    return ShownRequest(
        id=view.uid,
        requestor=view.requestor,
        justification=view.justification,
        asked_time_utc=view.asked_at,
        start_time_utc=view.start,
        approvals=view.approvals,
        grants=[grant(each) for each in view.grants],
        said=[ShownSaid(by=one.name, verdict=one.verdict, time_utc=one.at, note=one.note) for one in view.said],
    )


def machine(view: MachineView) -> ShownMachine:
    """A machine as it is shown."""
    it = view.machine
    return ShownMachine(
        id=it.id,
        uuid=it.uuid,
        name=it.name,
        os=it.os,
        provider=it.provider,
        connector=it.connector,
        resource_group=resource_id.parse_machine_id(it.id, "id").resource_group,
        location=it.location,
        addresses=list(it.addresses),
        tags=it.tags,
        supported=not it.unsupported,
        unsupported_reason=it.unsupported,
        policies=list(view.policies),
        ports=[_port(key, view.protected[key]) for key in sorted(view.protected)],
        open_grants=view.open_grants,
        outranked=list(view.outranked),
        listening=_told(view, "listening"),
        published=_told(view, "published"),
        error=view.error,
        verified_time_utc=view.verified_at,
        verified=not view.unverified,
    )


def _told(view: MachineView, fact: str) -> list[str]:
    """A fact that is a list. A host is believed no further than that these are some short texts."""
    said = view.machine.facts.get(fact)
    return [str(each)[:_LONGEST_FACT] for each in said[:_MOST_FACTS]] if isinstance(said, (list, tuple)) else []


def is_settled(view: GrantView) -> bool:
    """Whether no firewall is still to do something for a grant: what it asks for is known to stand."""
    it = view.grant
    if it.state in (State.OPENING, State.CLOSING):
        return False
    return it.state is not State.OPEN or not (it.changed or it.successor)


def is_request_settled(view: RequestView) -> bool:
    """The same for all grants of a request."""
    return all(map(is_settled, view.grants))


def _connection(view: GrantView) -> Connection | None:
    if not view.connection:
        return None
    return Connection(address=view.connection, port=view.mapped_port or view.grant.port)


def _port(key: PortKey, problem: str) -> ShownPort:
    return ShownPort(number=key.port, protocol=key.protocol, protected=not problem, problem=problem)
