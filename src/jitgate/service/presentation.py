"""Rows and reports, put together into what use cases answer with."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from jitgate.core import prefixes
from jitgate.core.access import State
from jitgate.core.catalogue import front
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.machine import FLEET, Machine
from jitgate.core.networks import Networks
from jitgate.service.views import GrantView, MachineView, RequestView
from jitgate.store import attempts, catalogue, hosts, machines, networks, plans, presence, scopes
from jitgate.store.attempts import Attempt
from jitgate.store.database import Tx
from jitgate.store.requests import Granted
from jitgate.store.scopes import Scope

_MOST_ATTEMPTS = 3
_LATELY = timedelta(days=7)
MOST_HOLDERS = 10
"""So many open ports of a machine are told with whom they let in."""


@dataclass(frozen=True, slots=True)
class Around:
    """What is shown beside grants.

    Machines by UUID, firewalls by scope, named networks, silent hosts, and who was turned away.
    """

    machines: Mapping[str, Machine]
    states: Mapping[str, Scope]
    networks: Networks
    silent: frozenset[str] = frozenset()
    attempts: Sequence[Attempt] = ()


def requests(tx: Tx, given: Sequence[Granted]) -> tuple[RequestView, ...]:
    """Grants gathered by their request, in the order in which they come."""
    around = _around(tx, given)
    gathered: dict[str, list[Granted]] = {}
    for one in given:
        gathered.setdefault(one.asked.uid, []).append(one)
    return tuple(request(parts, around) for parts in gathered.values())


def request(parts: Sequence[Granted], around: Around) -> RequestView:
    """One request out of its grants."""
    asked = parts[0].asked
    return RequestView(
        uid=asked.uid,
        requestor=asked.requestor,
        justification=asked.justification,
        asked_at=asked.at,
        start=asked.start,
        approvals=asked.approvals,
        grants=tuple(_grant(one, around) for one in parts),
    )


def grant_views(tx: Tx, given: Sequence[Granted]) -> tuple[GrantView, ...]:
    """Grants, each by itself."""
    around = _around(tx, given)
    return tuple(_grant(one, around) for one in given)


def machine_views(tx: Tx, listed: Sequence[Machine], policies: Mapping[str, Sequence[str]]) -> tuple[MachineView, ...]:
    """Machines with how they are held; `policies`: by the machine's key the ids of what covers it."""
    states = scopes.get_many(tx, {machine.scope for machine in listed})
    counts = machines.open_grants(tx, [machine.uuid for machine in listed])
    silent = _silent(tx, listed, states)
    return tuple(
        _with_use(
            tx,
            _machine(
                machine,
                states.get(machine.scope),
                policies.get(machine.key, ()),
                counts.get(machine.uuid, 0),
                unverified=machine.uuid in silent,
            ),
        )
        for machine in plans.gated(tx, listed)
    )


def mapped_addresses(listed: Iterable[Machine], states: Mapping[str, Scope]) -> dict[str, str]:
    """By a machine's key where to connect to, for those that are reached by mapped ports."""
    found = {}
    for machine in listed:
        state = states.get(machine.scope)
        connection = state.report.get("connections", {}).get(machine.uuid, {}) if state else {}
        if connection.get("mappedPorts"):
            found[machine.key] = connection["address"]
    return found


def _machine(
    machine: Machine, state: Scope | None, policies: Iterable[str], open_grants: int, *, unverified: bool
) -> MachineView:
    report = state.report if state else {}
    return MachineView(
        machine=machine,
        policies=tuple(policies),
        protected=_protected(machine.uuid, report.get("protected", {})),
        open_grants=open_grants,
        outranked=tuple(report.get("outranked", ())),
        error=state.error if state else "",
        verified_at=state.reported_at if state else None,
        unverified=unverified,
    )


def _with_use(tx: Tx, view: MachineView) -> MachineView:
    """How a machine is used, as the page of Microsoft's articles shows it."""
    uuid = view.machine.uuid
    used = catalogue.use(tx, uuid)
    return replace(
        view,
        standing=used.standing,
        front=front(view.machine),
        approved_requests=catalogue.approved_requests(tx, uuid, tx.now - _LATELY),
        accessed_at=used.accessed_at,
        accessed_by=used.accessed_by,
        holders=catalogue.holders(tx, uuid, MOST_HOLDERS) if view.open_grants else (),
    )


def _protected(machine: str, reported: Mapping[str, str]) -> dict[PortKey, str]:
    found = {}
    for text, why in reported.items():
        uuid, port, protocol = text.split("|")
        if uuid == machine:
            found[PortKey(uuid, int(port), Protocol(protocol))] = why
    return found


def _around(tx: Tx, given: Sequence[Granted]) -> Around:
    known = machines.get_many(tx, {one.grant.machine for one in given})
    states = scopes.get_many(tx, {one.grant.scope for one in given})
    turned_away = attempts.lately(tx, {one.grant.machine for one in given if one.grant.state is State.OPEN})
    return Around(known, states, networks.known(tx), _silent(tx, known.values(), states), turned_away)


def _silent(tx: Tx, listed: Iterable[Machine], states: Mapping[str, Scope]) -> frozenset[str]:
    """Which of these are held by an agent, or a gateway, that has been silent."""
    elsewhere = {machine.scope for machine in listed if machine.connector == FLEET}
    silent = {scope for scope, host in hosts.members(tx, elsewhere).items() if hosts.is_silent(host, tx.now)}
    beside = [state for state in states.values() if state.scope not in elsewhere]
    # What is beside a replica is gone with it.
    gone = {home for home in {state.home for state in beside} if home is not None and not presence.lives(tx, home)}
    silent |= {state.scope for state in beside if state.silent or state.home in gone}
    return frozenset(machine.uuid for machine in listed if machine.scope in silent)


def _waits_for(state: Scope) -> str:
    """What the matter is with a firewall, else what it is at."""
    return state.error or str(state.report.get("underWay", ""))


def _let_in_by_none(one: Granted, turned_away: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """The latest attempts at an open grant's port, of sources that it does not let in."""
    grant = one.grant
    if grant.state is not State.OPEN:
        return ()
    found = (
        each
        for each in turned_away
        if (each.machine, each.port) == (grant.machine, grant.port)
        and str(grant.protocol) in ("*", str(each.protocol))
        and not any(prefixes.covers(source, prefixes.of_address(each.source)) for source in grant.sources)
    )
    return tuple(itertools.islice(found, _MOST_ATTEMPTS))


def _grant(one: Granted, around: Around) -> GrantView:
    machine, state = around.machines.get(one.grant.machine), around.states.get(one.grant.scope)
    report = state.report if state else {}
    connection = report.get("connections", {}).get(one.grant.machine, {})
    mapped = connection.get("mappedPorts", {}).get(str(one.grant.port))
    own_address = machine.addresses[0] if machine and machine.addresses and not machine.is_tcp_only else ""
    return GrantView(
        grant=one.grant,
        request=one.asked.uid,
        machine_id=one.machine_id,
        machine_name=machine.name if machine else one.machine_id.rpartition("/")[2],
        requestor=one.asked.requestor,
        justification=one.asked.justification,
        asked_at=one.asked.at,
        source_texts=one.source_texts,
        connection=connection.get("address", own_address),
        mapped_port=mapped,
        ends_sessions=bool(report.get("endsSessions", False)),
        detail=one.detail or (_waits_for(state) if state and one.grant.changed else ""),
        unverified=one.grant.machine in around.silent,
        attempts=_let_in_by_none(one, around.attempts),
        networks=around.networks.names_of(one.grant.sources),
    )
