"""Having an Azure Firewall hold the DNAT rules that it must: one write of the whole, a few minutes, then the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from jitgate.connectors.azure import firewalls
from jitgate.connectors.azure.arm import Arm, ArmError
from jitgate.connectors.azure.firewalls import Known
from jitgate.connectors.azure.holding import Budget
from jitgate.connectors.azure.listing import NETWORK
from jitgate.connectors.azure.rules import SUCCEEDED
from jitgate.connectors.azure.topology import Firewall, Topology
from jitgate.connectors.base import Connection
from jitgate.core.desired import AccessKey, Desired

LOOK_EVERY = timedelta(seconds=5)


@dataclass(slots=True)
class Relayed:
    """What came of it.

    `by`        the keys that go by the firewall; `ends`: their ends, as desired
    `standing`  those of them that it lets through; `shut`: those that it does not
    `refused`   keys that cannot be opened by it, and why
    `until`     ask again then: a change is under way
    `under_way` what that is, and how long it takes, for people
    `again_at`  when the close of something has to begin, so that it is shut at its end
    """

    known: Known
    by: set[AccessKey] = field(default_factory=set)
    ends: dict[AccessKey, datetime | None] = field(default_factory=dict)
    standing: set[AccessKey] = field(default_factory=set)
    shut: set[AccessKey] = field(default_factory=set)
    refused: dict[AccessKey, str] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    until: datetime | None = None
    under_way: str = ""
    again_at: datetime | None = None
    error: ArmError | None = None


async def relay(
    arm: Arm,
    firewall: Firewall,
    desired: Desired,
    topology: Topology,
    known: Known,
    within: tuple[int, int],
    now: datetime,
    budget: Budget,
) -> Relayed:
    """Bring a firewall towards what it must hold. Raises nothing of Azure's."""
    by = {access for access, _ in firewalls.by_firewall(desired, topology, firewall)}
    found = Relayed(known, by, {access: desired.access[access] for access in by})
    _forget_what_stays(found, now + known.early, complete=desired.complete)
    try:
        await _relay(found, arm, firewall, desired, topology, within, now, budget)
    except ArmError as error:
        if not (error.is_busy or error.is_outdated or error.is_throttled):
            found.error = error
        found.until = now + max(LOOK_EVERY, timedelta(seconds=error.after))
    return found


async def _relay(
    found: Relayed,
    arm: Arm,
    firewall: Firewall,
    desired: Desired,
    topology: Topology,
    within: tuple[int, int],
    now: datetime,
    budget: Budget,
) -> None:
    body: Mapping[str, Any] = await arm.get(firewall.id, NETWORK)
    if firewalls.state(body) in ("updating", "deleting"):
        found.known = replace(found.known, busy=now.timestamp())
        _wait(found, firewall, now)
        return
    found.known = _measured(found.known, now)
    wanted = [access for access in found.by if desired.access[access] is not None]
    ports = firewalls.map_ports(found.known, {access.target for access in wanted}, body, within)
    found.known = replace(found.known, ports=ports)
    early = found.known.early
    _remember_what_leaves(found, body, now + early)
    # What a change that ended badly has left behind is told, but nobody knows whether packets meet it.
    is_in_force = firewalls.state(body) == SUCCEEDED
    for access in sorted(found.by) if is_in_force else ():
        _judge(found, access, desired.access[access], body, firewall, now, early)
    changed = firewalls.changed(body, desired, topology, firewall, ports, now + early)
    if changed is None and is_in_force:
        return
    _wait(found, firewall, now)
    if budget.may_write:
        await arm.put(firewall.id, NETWORK, changed or body, str(body.get("etag", "")))
        found.known = replace(found.known, began=now.timestamp(), busy=now.timestamp())


def _forget_what_stays(found: Relayed, until: datetime, *, complete: bool) -> None:
    """Nothing leaves that is no longer let through by anything, or is for longer than `until` again."""
    going = {firewalls.text(access) for access, end in found.ends.items() if end is not None and end <= until}
    spoken_of = found.known.leaving if complete else {firewalls.text(access) for access in found.by}
    found.known = replace(found.known, leaving=found.known.leaving - (spoken_of - going))


def _remember_what_leaves(found: Relayed, body: Mapping[str, Any], until: datetime) -> None:
    """What stands, and is shut now ahead of its end."""
    ending = [access for access, end in found.ends.items() if end is not None and end <= until]
    leaving = {firewalls.text(access) for access in ending if firewalls.stands(body, access)}
    found.known = replace(found.known, leaving=found.known.leaving | leaving)


def _judge(
    found: Relayed,
    access: AccessKey,
    end: datetime | None,
    body: Mapping[str, Any],
    firewall: Firewall,
    now: datetime,
    early: timedelta,
) -> None:
    """What a firewall at rest says of a key."""
    stands = firewalls.stands(body, access)
    if end is None:
        if not stands:
            found.shut.add(access)
        return
    number = firewalls.mapped(found.known.ports, access.target)
    if number is None or not firewall.public:
        found.refused[access] = f"{firewall.name} has no port or public address left that could lead there"
        return
    if stands or firewalls.text(access) in found.known.leaving:
        found.standing.add(access)
    elif end <= now + early:
        long = firewalls.how_long(found.known)
        found.refused[access] = f"A change of {firewall.name} takes {long}. Ask for longer than that"
        return
    old = found.connections.get(access.machine)
    maps = {**(old.mapped_ports if old else {}), access.port: number}
    found.connections[access.machine] = Connection(firewall.public[0], maps)
    if end > now + early:
        found.again_at = min(end - early, found.again_at or end)


def _wait(found: Relayed, firewall: Firewall, now: datetime) -> None:
    """A change is under way, or begins: look again soon, and say so."""
    found.until = now + LOOK_EVERY
    found.under_way = f"{firewall.name} takes on a change; that takes {firewalls.how_long(found.known)}"


def _measured(known: Known, now: datetime) -> Known:
    """A change that was under way is over: how long it took. While nobody looked, that is not counted in."""
    if not known.began:
        return known
    over = min(now.timestamp(), max(known.busy, known.began) + 2 * LOOK_EVERY.total_seconds())
    took = (*known.took, max(0.0, over - known.began))[-firewalls.MOST_MEASURED :]
    return replace(known, took=took, began=0.0, busy=0.0)
