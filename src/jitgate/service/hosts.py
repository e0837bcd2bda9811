"""Hosts elsewhere: inviting them, their joining, and what they tell of themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.core import resource_id, roles
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.machine import FLEET, SILENT_AFTER, Joins, Machine, OperatingSystem
from jitgate.core.places import check_place
from jitgate.core.prefixes import Prefix
from jitgate.identity import joining
from jitgate.identity.credentials import NotKnown
from jitgate.identity.joining import Invitation
from jitgate.service import machines as machine_cases
from jitgate.service import selections
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.refusals import refuse
from jitgate.store import attempts, exposures, hosts, machines, presence, scopes
from jitgate.store.attempts import Attempt
from jitgate.store.database import Tx
from jitgate.store.hosts import Host, Membership
from jitgate.trust.tokens import Token

LONGEST_TOKEN = timedelta(days=30)
MOST_USES = 10_000
_MOST_WAITING = 5
_MOST_HEARD = 500
"""Hosts whose polls one transaction keeps: that of ten thousand would hold up everybody for half a second."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a host says when it joins. `public_key`: whose private half it has proven to hold; `address`: where the call
    came from; `place`: of a gateway, where people connect to."""

    name: str
    public_key: str
    addresses: tuple[str, ...]
    address: Prefix | None
    kind: Joins = Joins.HOST
    place: str = ""


@dataclass(frozen=True, slots=True)
class JoinTokenMade:
    """A new join token: its text is shown this once."""

    token: Token
    resource_group: str
    uses: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HostView:
    """A host that has joined or wants to. `machine`: None while it waits, and of a gateway, which is none. `addresses`:
    where people connect to; `reported`: addresses that it told and nobody has confirmed; `refused`: machines that a
    gateway told, and why they are not taken in."""

    host: Host
    machine: Machine | None
    silent: bool
    addresses: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


# --- for administrators -------------------------------------------------------------------------------


async def make_join_token(
    service: Service, asker: Asker, *, lifetime: timedelta, uses: int = 1, resource_group: str | None = None
) -> JoinTokenMade:
    """A token by which so many hosts may join a resource group. Raises Forbidden, Invalid."""
    group = resource_id.check_resource_group(resource_group or service.settings.resource_group, "resourceGroup")
    if not timedelta(minutes=1) <= lifetime <= LONGEST_TOKEN:
        raise Invalid("lifetime", f"{lifetime} is not a time that a join token may last", allowed="1 minute to 30 days")
    if not 1 <= uses <= MOST_USES:
        raise Invalid("uses", f"{uses} hosts cannot join by one token", allowed=f"1 to {MOST_USES}")
    place = _group(service, group)

    def work(tx: Tx) -> JoinTokenMade:
        require(asker, roles.JOIN_HOST, place)
        made = joining.make(tx, asker.principal, group, uses, lifetime)
        facts = {"token": made.id, "uses": uses, "lifetimeSeconds": int(lifetime.total_seconds())}
        audit.record(tx, [event(asker, Operation.HOST_TOKEN, Outcome.SUCCEEDED, place, facts)])
        return JoinTokenMade(made, group, uses, tx.now + lifetime)

    return await attempt(service, asker, Operation.HOST_TOKEN, place, work)


async def list_hosts(service: Service, asker: Asker) -> tuple[HostView, ...]:
    """The hosts that the asker may read: members, and who waits."""

    def work(tx: Tx) -> tuple[HostView, ...]:
        found = [each for each in hosts.list_all(tx) if asker.principal.may(roles.READ_HOST, _id(service, each))]
        return _views(tx, found)

    return await service.store.read(work)


async def host_of(service: Service, asker: Asker, machine: Machine) -> HostView | None:
    """The host that a machine is; None: it is none, or one that the asker may not read."""
    if machine.connector != FLEET or not asker.principal.may(roles.READ_HOST, machine.id):
        return None
    joined = await member(service, machine.uuid)
    return None if joined is None else (await service.store.read(lambda tx: _views(tx, [joined])))[0]


async def approve_host(service: Service, asker: Asker, name: str) -> HostView:
    """Let the one host that waits under a name take it. A former one of that name is removed, with its grants.

    Raises Forbidden, NotFound, Invalid where several wait and the name is not a UUID.
    """

    def work(tx: Tx) -> HostView:
        chosen = _named(tx, service, asker, name, lambda each: each.state is Membership.WAITING)
        _remove(tx, [each for each in hosts.of_scope(tx, chosen.scope) if each.uuid != chosen.uuid])
        hosts.join(tx, chosen.uuid)
        joined = replace(chosen, state=Membership.JOINED, joined_at=tx.now, heard_at=tx.now)
        _take_up(tx, service, joined)
        facts = {"uuid": chosen.uuid, "key": chosen.public_key}
        audit.record(tx, [event(asker, Operation.HOST_APPROVE, Outcome.SUCCEEDED, _id(service, chosen), facts)])
        return _views(tx, [joined])[0]

    return await attempt(service, asker, Operation.HOST_APPROVE, _resource(name), work)


async def remove_host(service: Service, asker: Asker, name: str) -> HostView:
    """Have a host be a member, or wait to be, no more. Its grants are closed; what it protects stays shut there.

    Raises Forbidden, NotFound, Invalid.
    """

    def work(tx: Tx) -> HostView:
        chosen = _named(tx, service, asker, name, lambda _: True)
        view = _views(tx, [chosen])[0]
        _remove(tx, [chosen])
        facts = {"uuid": chosen.uuid, "state": str(chosen.state)}
        audit.record(tx, [event(asker, Operation.HOST_REMOVE, Outcome.SUCCEEDED, _id(service, chosen), facts)])
        return view

    return await attempt(service, asker, Operation.HOST_REMOVE, _resource(name), work)


async def confirm_addresses(service: Service, asker: Asker, name: str) -> HostView:
    """Have people be told the addresses that a host has reported. Raises Forbidden, NotFound, Invalid, Conflict."""

    def work(tx: Tx) -> HostView:
        chosen = _named(tx, service, asker, name, lambda each: each.state is Membership.JOINED)
        [view] = _views(tx, [chosen])
        if not view.reported:
            raise Conflict(
                f"{chosen.name} has reported no other addresses than the known ones. `jitgate host ls` shows them."
            )
        if view.machine is not None:
            machines.put(tx, [replace(view.machine, addresses=view.reported)])
            exposures.work_out(tx, chosen.scope)
        else:
            chosen = replace(chosen, address=view.reported[0])
            hosts.put_address(tx, chosen.uuid, chosen.address)
        facts = {"addresses": list(view.reported), "were": list(view.addresses)}
        audit.record(tx, [event(asker, Operation.HOST_CONFIRM, Outcome.SUCCEEDED, _id(service, chosen), facts)])
        scopes.sweep_soon(tx, [chosen.scope])
        return _views(tx, [chosen])[0]

    return await attempt(service, asker, Operation.HOST_CONFIRM, _resource(name), work)


# --- for hosts ----------------------------------------------------------------------------------------


async def join(service: Service, token: str, claim: Claim, correlation: str = "") -> Host:
    """Let a host join by a token: at once under a free name, else it waits for an administrator.

    Safe to repeat with the same token and key, also when the token is used up.

    Raises NotKnown, Invalid, Conflict.
    """
    resource_id.check_name(claim.name, "name")
    if claim.kind is Joins.GATEWAY:
        check_place(claim.place, "place")
    try:
        # A stranger must not have the one who writes wait for it.
        await service.store.read(lambda tx: hosts.by_key(tx, claim.public_key) or joining.prove(tx, token))
        return await service.store.write(lambda tx: _join(tx, service, token, claim))
    except NotKnown as error:
        await refuse(service, error, claim.address, correlation)
        raise


async def member(service: Service, uuid: str) -> Host | None:
    """The member of that UUID, as of now; None for one that waits, or was removed."""
    found = await service.store.glance(lambda tx: hosts.get(tx, uuid))
    return found if found is not None and found.state is Membership.JOINED else None


async def talks_elsewhere(service: Service, scope: str, replica: str) -> bool:
    """Whether the agent of a member talks to another replica than this one, and that one lives."""

    def work(tx: Tx) -> bool:
        state = scopes.get(tx, scope)
        return state is not None and state.home not in (None, replica) and presence.lives(tx, state.home or "")

    return await service.store.read(work)


async def report_facts(service: Service, scope: str, facts: Mapping[str, Any], unsupported: str) -> None:
    """Take in what a member tells about itself. New addresses are kept beside those that were confirmed."""

    def work(tx: Tx) -> None:
        host = hosts.joined(tx, scope)
        known = machines.present(tx, [host.uuid]) if host else {}
        if host is None or host.uuid not in known:
            return  # A gateway speaks of machines behind it, and is none.
        hosts.put_facts(tx, host.uuid, facts)
        machine = known[host.uuid]
        told = tuple(facts.get("addresses", ()))
        # The first that it tells are taken; where people are sent later is not for a host alone to say.
        addresses = machine.addresses or told
        changed = replace(machine, addresses=addresses, facts=facts, unsupported=unsupported)
        if changed != machine:
            machines.put(tx, [changed])
            exposures.work_out(tx, scope)
        if changed.unsupported != machine.unsupported:
            scopes.sweep_soon(tx, [scope])
            selections.take_in(tx, [changed])
        if set(told) != set(addresses) and told != tuple(host.facts.get("addresses", ())):
            properties = {"known": list(addresses), "reported": list(told)}
            audit.record(tx, [by_host(Operation.HOST_ADDRESSES, host, machine.id, properties)])

    await service.store.write(work)


async def report_attempts(service: Service, scope: str, seen: Callable[[str], list[Attempt]]) -> None:
    """Take in who was turned away lately. `seen`: the attempts, for the UUID of the scope's machine."""

    def work(tx: Tx) -> None:
        for machine in machines.in_scope(tx, scope):
            attempts.replace(tx, machine.uuid, seen(machine.uuid))

    await service.store.write(work)


async def keep_heard(service: Service, heard: Mapping[str, timedelta]) -> None:
    """Keep which members polled, and how long ago; put on record who has fallen silent, and who is heard again."""
    listed = list(heard.items())
    for first in range(0, len(listed), _MOST_HEARD):
        some = dict(listed[first : first + _MOST_HEARD])
        await service.store.write(partial(_hear, service, some))
    await service.store.write(partial(_fall_silent, service))


# --- below ----------------------------------------------------------------------------------------------


def _hear(service: Service, heard: Mapping[str, timedelta], tx: Tx) -> None:
    again = hosts.heard(tx, {uuid: tx.now - ago for uuid, ago in heard.items()})
    audit.record(tx, [by_host(Operation.HOST_HEARD, each, _id(service, each), {}) for each in again])
    scopes.sweep_soon(tx, {each.scope for each in again})


def _fall_silent(service: Service, tx: Tx) -> None:
    silent = hosts.fall_silent(tx, tx.now - SILENT_AFTER)
    events = [
        Event(Operation.HOST_SILENT, Outcome.FAILED, _id(service, each), properties={"lastHeard": _text(each)})
        for each in silent
    ]
    audit.record(tx, events)


def _join(tx: Tx, service: Service, token: str, claim: Claim) -> Host:
    again = hosts.by_key(tx, claim.public_key)
    if again is not None:
        return _again(again, token)
    invitation = joining.prove(tx, token)
    group = invitation.allowed.resource_group
    if not invitation.maker.may(roles.JOIN_HOST, _group(service, group)):
        raise invitation.counts_no_more("who made the join token may not let hosts join any more")
    host = _claimed(tx, group, claim, invitation)
    if not hosts.use_token(tx, host.token):
        raise invitation.counts_no_more("the join token is used up")
    hosts.add(tx, host)
    if host.state is Membership.JOINED:
        _take_up(tx, service, host)
    audit.record(tx, [_joined(service, host, invitation, claim)])
    return host


def _again(known: Host, token: str) -> Host:
    """The answer to a claim that was made before. Who repeats it holds the host's key, so the token's id will do."""
    if known.state is Membership.REMOVED or joining.id_of(token) != known.token:
        raise NotKnown("the host was removed, or had joined by another token")
    return known


def _claimed(tx: Tx, group: str, claim: Claim, invitation: Invitation) -> Host:
    """The host as it joins: a member if its name is free."""
    scope = f"{FLEET}/{group}/{claim.name}"
    others = hosts.of_scope(tx, scope)
    if sum(each.state is Membership.WAITING for each in others) >= _MOST_WAITING:
        raise Conflict(f"Too many hosts wait under the name {claim.name}. An administrator has to decide first.")
    is_free = all(each.state is not Membership.JOINED for each in others)
    return Host(
        uuid=str(uuid4()),
        name=claim.name,
        resource_group=group,
        scope=scope,
        public_key=claim.public_key,
        state=Membership.JOINED if is_free else Membership.WAITING,
        token=invitation.allowed.credential,
        asked_at=tx.now,
        asked_from=claim.address,
        joined_at=tx.now if is_free else None,
        heard_at=tx.now if is_free else None,
        facts={"addresses": [claim.place] if claim.kind is Joins.GATEWAY else list(claim.addresses)},
        kind=claim.kind,
        address=claim.place,
    )


def _take_up(tx: Tx, service: Service, host: Host) -> None:
    """Make the member's machine, unless it is a gateway. Raises Conflict where another connector has one of that id."""
    scopes.make_known(tx, host.scope, FLEET)
    scopes.sweep_soon(tx, [host.scope])
    if host.kind is Joins.GATEWAY:
        return
    machine_id = _id(service, host)
    for other in machines.by_keys(tx, [resource_id.key(machine_id)]).values():
        raise Conflict(f"{machine_id} is a machine of the connector {other.connector!r}. Join by another name.")
    machine = Machine(
        uuid=host.uuid,
        id=machine_id,
        name=host.name,
        os=OperatingSystem.LINUX,
        connector=FLEET,
        provider="host",
        scope=host.scope,
        addresses=tuple(host.facts.get("addresses", ())),
        facts=host.facts,
    )
    machines.put(tx, [machine])
    audit.record(tx, [machine_cases.is_found(machine)])
    selections.take_in(tx, [machine])


def _remove(tx: Tx, gone: list[Host]) -> None:
    hosts.remove(tx, [each.uuid for each in gone])
    members = [each for each in gone if each.state is Membership.JOINED]
    machine_cases.remove(tx, [machine for each in members for machine in machines.in_scope(tx, each.scope)])


def _named(tx: Tx, service: Service, asker: Asker, name: str, fits: Callable[[Host], bool]) -> Host:
    """The host that a name or UUID stands for. Raises Forbidden, NotFound, Invalid."""
    wanted = resource_id.key(name)
    found = [each for each in hosts.list_all(tx) if wanted in (each.uuid, resource_id.key(each.name)) and fits(each)]
    readable = [each for each in found if asker.principal.may(roles.READ_HOST, _id(service, each))]
    if not readable:
        require(asker, roles.WRITE_HOST, _group(service, service.settings.resource_group))
        raise NotFound(f"There is no such host {name[:100]!r}. List them: jitgate host ls")
    if len({each.uuid for each in readable}) > 1 and not any(each.state is Membership.JOINED for each in readable):
        uuids = ", ".join(each.uuid for each in readable)
        raise Invalid("host", f"several hosts wait under the name {name[:100]!r}", allowed=f"one of {uuids}")
    chosen = next((each for each in readable if each.state is Membership.JOINED), readable[0])
    if not asker.principal.may(roles.WRITE_HOST, _id(service, chosen)):
        raise Forbidden(f"{asker.principal.name} needs the right {roles.WRITE_HOST} at {_id(service, chosen)}.")
    return chosen


def _views(tx: Tx, listed: list[Host]) -> tuple[HostView, ...]:
    present = machines.present(tx, [each.uuid for each in listed])
    return tuple(_view(tx, each, present.get(each.uuid)) for each in listed)


def _view(tx: Tx, host: Host, machine: Machine | None) -> HostView:
    told = tuple(host.facts.get("addresses", ()))
    known = tuple(machine.addresses) if machine is not None else (host.address,) if host.address else ()
    reported = told if known and set(told) != set(known) else ()
    refused = tuple(host.facts.get("refused", ()))
    return HostView(host, machine, hosts.is_silent(host, tx.now), known, reported, refused)


def _group(service: Service, group: str) -> str:
    return f"/subscriptions/{service.settings.subscription}/resourceGroups/{group}"


def _id(service: Service, host: Host) -> str:
    return resource_id.machine_id(service.settings.subscription, host.resource_group, host.name)


def _resource(name: str) -> str:
    """What a change is recorded about when it is refused before it is known which host is meant."""
    return f"/hosts/{name[:260]}"


def _text(host: Host) -> str | None:
    return None if host.heard_at is None else host.heard_at.isoformat(timespec="milliseconds")


def _joined(service: Service, host: Host, invitation: Invitation, claim: Claim) -> Event:
    outcome = Outcome.SUCCEEDED if host.state is Membership.JOINED else Outcome.ACCEPTED
    actor = Actor(invitation.maker.uid, invitation.maker.name, host.token, claim.address)
    facts = {"uuid": host.uuid, "key": host.public_key, "state": str(host.state)}
    return Event(Operation.HOST_JOIN, outcome, _id(service, host), actor, properties=facts)


def by_host(operation: Operation, host: Host, resource: str, properties: Mapping[str, Any]) -> Event:
    """What a host did or told."""
    return Event(
        operation, Outcome.SUCCEEDED, resource, Actor(name=f"{host.kind} {host.name}"), properties=dict(properties)
    )
