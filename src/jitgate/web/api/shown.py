"""Grants, requests and machines as the native API shows them."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from jitgate.core import prefixes, resource_id
from jitgate.core.access import CloseReason, State
from jitgate.core.catalogue import Front, Standing
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.core.machine import OperatingSystem
from jitgate.service.views import GrantView, MachineView, RequestView
from jitgate.store.approvals import Verdict
from jitgate.store.catalogue import Holder
from jitgate.web.api.forms import Shown, texts
from jitgate.web.api.values import (
    AskedTime,
    Justification,
    Length,
    MachineId,
    MachineName,
    Note,
    OfProtocol,
    PortNumber,
    Requestor,
    ResourceGroup,
    Session,
    Sources,
    StartTime,
    WaitUntil,
)

_MOST_FACTS, _LONGEST_FACT = 500, 200


class Connection(Shown):
    """Where to connect to."""

    address: str = Field(description="The address to connect to, or the name.")
    port: int = Field(description="The port to connect to: the machine's own, or the mapped port that leads there.")


class ShownAttempt(Shown):
    """A source that was turned away at a port that is open for others. A hint: a source can be forged."""

    source: str = Field(description="The address that it came from.")
    time_utc: datetime = Field(description="When it was turned away last, in UTC.")


class ShownGrant(Shown):
    """One port of one machine out of a request, with its own state and end."""

    id: str = Field(description="The grant's id. Its first four characters do, while they are unique.")
    request: str = Field(description="The id of the request that it is out of.")
    machine: MachineName = Field(description="The machine's short name.")
    machine_id: MachineId
    port: PortNumber
    protocol: OfProtocol
    sources: Sources
    state: State = Field(
        description="Where it is in its life: `pending` waits for approval, `scheduled` for its start, "
        "`opening` and `closing` for the firewall."
    )
    reason: CloseReason | None = Field(description="Why it is closing or closed; null: it is neither.")
    detail: str = Field(description="Why it failed, or what is being waited for; empty: nothing is to say.")
    session: Session
    ends_sessions: bool = Field(description="Whether the firewall can cut an established session.")
    connection: Connection | None = Field(description="Where to connect to; null while that is not known.")
    requestor: Requestor
    justification: Justification
    duration: Length
    asked_time_utc: AskedTime
    start_time_utc: StartTime
    opened_time_utc: datetime | None = Field(
        description="When a report showed it open, in UTC; null: it has not opened."
    )
    end_time_utc: datetime | None = Field(
        description="When it ends, in UTC; null while a duration has not begun to run."
    )
    wait_until_utc: WaitUntil
    closed_time_utc: datetime | None = Field(
        description="When a report showed it shut, in UTC; null: it is not closed."
    )
    successor: str | None = Field(
        description="The id of the grant of a newer request that takes this one's place; null: none does."
    )
    moved_from: str | None = Field(
        description="The id of the grant that this one moves to another source; null: it moves none."
    )
    verified: bool = Field(description="False: its host has been silent, so whether it is open or shut is not known.")
    attempts: list[ShownAttempt] = Field(description="Sources that were turned away at this port in the last minutes.")
    networks: Mapping[str, str] = Field(
        description="By source the named network that it lies in. Sources that are in none are not in it."
    )


class ShownRequest(Shown):
    """A request and its grants, in the order in which they were asked for."""

    id: str = Field(description="The request's id. Its first four characters do, while they are unique.")
    requestor: Requestor
    justification: Justification
    asked_time_utc: AskedTime
    start_time_utc: StartTime
    approvals: int = Field(description="How many others have to agree.")
    grants: list[ShownGrant] = Field(description="One for each port and protocol that was asked for, in that order.")
    said: list["ShownSaid"] = Field(default=[], description="What others have said to it.")


class ShownSaid(Shown):
    """What somebody said to a request."""

    by: str = Field(description="The name of who said it, as it was then.")
    verdict: Verdict = Field(description="Whether they agreed.")
    time_utc: datetime = Field(description="When, in UTC.")
    note: Note


class ShownPort(Shown):
    """A protected port. `problem` is empty where it is really held shut, else why it is not."""

    number: PortNumber
    protocol: OfProtocol
    protected: bool = Field(description="Whether it is really held shut.")
    problem: str = Field(description="Why it is not held shut; empty where it is.")


class ShownExposure(Shown):
    """Who reaches a port without a grant. Where `effectiveDeny`, nobody does: it tells who would without jitgate."""

    port: PortNumber
    protocol: OfProtocol
    reach: Reach = Field(
        description="From where: `anyone` on the Internet, `specific` addresses of it, `internal` addresses only."
    )
    sources: list[str] = Field(description="Prefixes, and names of address sets that are not known (service tags).")
    rules: list[str] = Field(description="The rules that decide so.")
    effective_deny: bool = Field(description="jitgate's deny holds.")
    note: str = Field(description="What else a person should know; empty: nothing.")


class ShownHolder(Shown):
    """Whom an open port of a machine lets in."""

    person: str = Field(description="The name of who is let in.")
    port: PortNumber
    protocol: OfProtocol
    end_time_utc: datetime | None = Field(description="Until when, in UTC; null: its duration has not begun to run.")


class ShownMachine(Shown):
    """A machine, and how its ports are held."""

    id: MachineId
    uuid: str = Field(
        description="This incarnation's UUID. A machine that is made again under the same id gets another."
    )
    name: str = Field(description="Its short name.")
    os: OperatingSystem = Field(
        description="Its operating system, by which its default port is chosen: 3389 for `windows`, else 22."
    )
    provider: str = Field(
        description="The kind of place it runs in: `host`, `gateway`, `azure`, `aws`, or another connector's own."
    )
    connector: str = Field(description="The name of the connector that found it.")
    resource_group: ResourceGroup
    location: str = Field(description="The region that it runs in, as its cloud names it; `global` outside the clouds.")
    addresses: list[str] = Field(description="The addresses that it is known by.")
    tags: Mapping[str, str] = Field(description="Its tags, as its connector tells them.")
    supported: bool = Field(description="Whether it can have just-in-time access.")
    unsupported_reason: str = Field(description="Why it cannot; empty where it can.")
    policies: list[str] = Field(description="The ids of the policies that cover it.")
    ports: list[ShownPort] = Field(description="Its protected ports.")
    open_grants: int = Field(description="How many of its grants are open now.")
    standing: Standing = Field(description="Whether it has just-in-time access.")
    front: Front = Field(description="What holds its ports; where a firewall and a group of rules do, the firewall.")
    approved_requests: int = Field(description="How many were granted in the last seven days.")
    last_access_time_utc: datetime | None = Field(
        description="When a port of it last opened, in UTC; null: never, as far as is on record."
    )
    last_user: str = Field(description="The name of whom it last opened for; empty: of nobody.")
    holders: list[ShownHolder] = Field(description="Whom its open ports let in: the first ten.")
    outranked: list[str] = Field(description="Rules of others that bypass or block jitgate's.")
    listening: list[str] = Field(description="Protocol, port and local address of what listens, as its host tells.")
    published: list[str] = Field(description="Ports that lead elsewhere by destination NAT, as its host tells.")
    exposure: list[ShownExposure] = Field(description="Who reaches its ports without a grant, as far as is known.")
    error: str = Field(description="Why its firewall could not be looked at or changed last time; empty: it could.")
    verified_time_utc: datetime | None = Field(
        description="When its firewall was last known to stand so, in UTC; null: never."
    )
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
        moved_from=it.moved_from,
        verified=not view.unverified,
        attempts=[ShownAttempt(source=each.source, time_utc=each.at) for each in view.attempts],
        networks={prefixes.text(source): name for source, name in view.networks.items()},
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
        standing=view.standing,
        front=view.front,
        approved_requests=view.approved_requests,
        last_access_time_utc=view.accessed_at,
        last_user=view.accessed_by,
        holders=[_holder(each) for each in view.holders],
        outranked=list(view.outranked),
        listening=_told(view, "listening"),
        published=_told(view, "published"),
        exposure=[_exposure(one) for one in it.exposure],
        error=view.error,
        verified_time_utc=view.verified_at,
        verified=not view.unverified,
    )


def _exposure(one: Exposure) -> ShownExposure:
    return ShownExposure(
        port=one.port,
        protocol=one.protocol,
        reach=one.reach,
        sources=list(one.sources),
        rules=list(one.rules),
        effective_deny=one.effective_deny,
        note=one.note,
    )


def _holder(one: Holder) -> ShownHolder:
    return ShownHolder(person=one.person, port=one.port, protocol=Protocol(one.protocol), end_time_utc=one.end)


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
