"""Gateways elsewhere: what they tell of the machines behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from jitgate import audit
from jitgate.audit import Operation
from jitgate.core import resource_id
from jitgate.core.errors import Invalid
from jitgate.core.machine import FLEET, Joins, Machine, OperatingSystem
from jitgate.core.places import check_place
from jitgate.service import machines as machine_cases
from jitgate.service import selections
from jitgate.service.base import Service
from jitgate.service.hosts import by_host
from jitgate.store import hosts, machines, scopes
from jitgate.store.database import Tx
from jitgate.store.hosts import Host


@dataclass(frozen=True, slots=True)
class Behind:
    """A machine behind a gateway, as that tells it. `uuid`: made at the gateway, for ever; `address`: where it finds
    the machine."""

    name: str
    uuid: str
    address: str
    os: OperatingSystem = OperatingSystem.UNKNOWN


async def report_behind(service: Service, scope: str, place: str, told: Sequence[Behind]) -> None:
    """Take in all machines behind a gateway, and where it says that people reach it.

    A machine that it tells no more is removed, with its grants. One that would take the place of another's is not taken
    in. Where people connect to changes only when somebody has confirmed it.
    """

    def work(tx: Tx) -> None:
        gateway = hosts.joined(tx, scope)
        if gateway is None or gateway.kind is not Joins.GATEWAY:
            return
        group = f"/subscriptions/{service.settings.subscription}/resourceGroups/{gateway.resource_group}"
        found, refused = _admitted(tx, service, gateway, told)
        _take_in(tx, scope, found)
        _note(tx, gateway, group, _checked(place) or gateway.address, refused)

    await service.store.write(work)


def _take_in(tx: Tx, scope: str, found: Mapping[str, Machine]) -> None:
    before = {each.uuid: each for each in machines.in_scope(tx, scope)}
    gone = [machine for uuid, machine in before.items() if uuid not in found]
    machine_cases.remove(tx, gone)
    changed = [machine for uuid, machine in found.items() if before.get(uuid) != machine]
    machines.put(tx, changed)
    audit.record(tx, [machine_cases.is_found(machine) for machine in changed if machine.uuid not in before])
    selections.take_in(tx, changed)
    if gone or changed:
        scopes.sweep_soon(tx, [scope])


def _note(tx: Tx, gateway: Host, group: str, place: str, refused: Sequence[str]) -> None:
    """Keep what is not as it should be, and put it on record once."""
    facts = {"addresses": [place], "refused": list(refused)}
    if facts == gateway.facts:
        return
    hosts.put_facts(tx, gateway.uuid, facts)
    if place != gateway.address:
        properties = {"known": [gateway.address], "reported": [place]}
        audit.record(tx, [by_host(Operation.HOST_ADDRESSES, gateway, group, properties)])
    if refused:
        audit.record(tx, [by_host(Operation.HOST_MACHINES_REFUSED, gateway, group, {"refused": list(refused)})])


def _admitted(
    tx: Tx, service: Service, gateway: Host, told: Sequence[Behind]
) -> tuple[dict[str, Machine], tuple[str, ...]]:
    """The machines by UUID, and of the others why not."""
    found: dict[str, Machine] = {}
    refused: list[str] = []
    known = machines.get_many(tx, [each.uuid for each in told])
    for each in told:
        try:
            machine = _machine(service, gateway, each)
        except Invalid as error:
            refused.append(f"{each.name[:100]}: {error.message}")
            continue
        before = known.get(machine.uuid)
        owner = machines.by_keys(tx, [machine.key]).get(machine.key)
        if machine.uuid in found or machine.key in {other.key for other in found.values()}:
            refused.append(f"{machine.name}: it is told twice")
        elif (before is not None and before.scope != gateway.scope) or (owner and owner.scope != gateway.scope):
            refused.append(f"{machine.name}: there is another machine of that name or UUID")
        else:
            found[machine.uuid] = machine
    return found, tuple(refused)


def _machine(service: Service, gateway: Host, told: Behind) -> Machine:
    """Raises Invalid."""
    resource_id.check_name(told.name, "name")
    try:
        uuid = str(UUID(told.uuid))
    except ValueError:
        raise Invalid("uuid", f"{told.uuid[:60]!r} is no UUID", allowed="a UUID") from None
    return Machine(
        uuid=uuid,
        id=resource_id.machine_id(service.settings.subscription, gateway.resource_group, told.name),
        name=told.name,
        os=told.os,
        connector=FLEET,
        provider=str(Joins.GATEWAY),
        scope=gateway.scope,
        addresses=(told.address,),
        facts={"gateway": gateway.name, "target": told.address},
    )


def _checked(place: str) -> str:
    """Where people are to connect to, if that can be an address at all."""
    try:
        return check_place(place, "address")
    except Invalid:
        return ""
