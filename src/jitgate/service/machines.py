"""Machines: what there is, how it is held, and taking over what connectors find."""

from collections.abc import Mapping, Sequence

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.core import roles
from jitgate.core.access import CloseReason, State
from jitgate.core.eligibility import may_initiate
from jitgate.core.errors import Invalid, NotFound
from jitgate.core.machine import Machine
from jitgate.core.progress import Move
from jitgate.service import presentation, selections
from jitgate.service.base import Asker, Service
from jitgate.service.views import MachineView
from jitgate.store import exposures, grants, machines, policies, scopes
from jitgate.store.database import Tx


async def get_machine(service: Service, asker: Asker, name: str) -> MachineView:
    """One machine by any unique short name, id or uuid, in any case. Raises NotFound, Invalid."""

    def work(tx: Tx) -> MachineView:
        machine = readable(tx, asker, name)
        return presentation.machine_views(tx, [machine], policies.ids_covering(tx, [machine.key]))[0]

    return await service.store.read(work)


async def resolve_machine(service: Service, asker: Asker, name: str) -> Machine:
    """Which machine a name stands for. Raises NotFound, Invalid."""
    return await service.store.read(lambda tx: readable(tx, asker, name))


async def machine_to_ask_for(service: Service, asker: Asker, name: str) -> Machine:
    """Which machine a name stands for, of those that the asker may read, or outside Azure may ask for.

    Raises NotFound, Invalid.
    """

    return await service.store.read(lambda tx: to_ask_for(tx, asker, name))


async def take_over(service: Service, found: Sequence[Machine], connector: str, home: str | None = None) -> None:
    """Take over what a connector found: new machines, changed facts, and those that are gone.

    The grants of a machine that is gone, or that moved behind another firewall, are closed; one made again
    under the same id inherits none. `home`: the replica, of a connector that knows only what is beside it.
    """

    await service.store.write(lambda tx: take_in(tx, found, connector, home))


def take_in(tx: Tx, found: Sequence[Machine], connector: str, home: str | None = None) -> None:
    """As `take_over`, in a transaction of others."""
    before = machines.present(tx, [machine.uuid for machine in found])
    replaced = machines.put(tx, found).removed
    missing = machines.remove_missing(tx, connector, {machine.uuid for machine in found}, home)
    for scope in sorted({machine.scope for machine in found}):
        scopes.make_known(tx, scope, connector, home)
        exposures.work_out(tx, scope)
    audit.record(tx, [is_found(machine) for machine in found if machine.uuid not in before])
    _let_go(tx, list(machines.get_many(tx, [*replaced, *missing]).values()))
    selections.take_in(tx, [machine for machine in found if _is_otherwise(before.get(machine.uuid), machine)])
    for machine in found:
        if machine.uuid in before and before[machine.uuid].scope != machine.scope:
            _close_all(tx, machine.uuid)
    scopes.sweep_soon(tx, _touched(before, found))


async def keep_heard(service: Service, connector: str, home: str | None, *, is_heard: bool) -> None:
    """Keep whether the process beside a replica that holds firewalls is heard. Changes are on record."""

    def work(tx: Tx) -> None:
        if is_heard:
            changed, told = scopes.be_heard(tx, connector, home), (Operation.HOST_HEARD, Outcome.SUCCEEDED)
        else:
            changed, told = scopes.fall_silent(tx, connector, home), (Operation.HOST_SILENT, Outcome.FAILED)
        audit.record(tx, [Event(*told, scope) for scope in changed])

    await service.store.write(work)


def remove(tx: Tx, gone: Sequence[Machine]) -> None:
    """Machines that are there no more: their grants are closed."""
    machines.remove(tx, [machine.uuid for machine in gone])
    _let_go(tx, gone)


def is_found(machine: Machine) -> Event:
    """A machine is there that was not."""
    return Event(Operation.MACHINE_FOUND, Outcome.SUCCEEDED, machine.id, properties={"uuid": machine.uuid})


def readable(tx: Tx, asker: Asker, name: str) -> Machine:
    """The machine that a name, id or uuid stands for, of those that the asker may read. Raises NotFound, Invalid."""
    return _only([machine for machine in machines.find(tx, name) if _is_readable(asker, machine)], name)


def to_ask_for(tx: Tx, asker: Asker, name: str) -> Machine:
    """The same, inside a transaction."""
    return _only([m for m in machines.find(tx, name) if _is_readable(asker, m) or _may_ask(tx, asker, m)], name)


def _is_readable(asker: Asker, machine: Machine) -> bool:
    return asker.principal.may(roles.READ_MACHINE, machine.id)


def _may_ask(tx: Tx, asker: Asker, machine: Machine) -> bool:
    """Outside Azure the right to ask is all that counts (J7), so a name is told to whoever holds it."""
    covering = policies.ids_covering(tx, [machine.key]).get(machine.key, ())
    return machine.provider != "azure" and any(may_initiate(asker.principal, policy, machine.id) for policy in covering)


def _only(found: Sequence[Machine], name: str) -> Machine:
    if not found:
        raise NotFound(
            f"There is no machine {name[:200]!r}. List the machines to see their names.", code="VirtualMachineNotFound"
        )
    if len(found) > 1:
        ids = ", ".join(sorted(machine.id for machine in found)[:5])
        raise Invalid("machine", f"{name!r} is the name of several machines", allowed=f"one of {ids}")
    return found[0]


def _touched(before: Mapping[str, Machine], found: Sequence[Machine]) -> set[str]:
    """The firewalls that may have to hold something else now: those of new machines, and of changed ones."""
    touched: set[str] = set()
    for machine in found:
        was = before.get(machine.uuid)
        if _is_otherwise(was, machine):
            touched |= {machine.scope} | ({was.scope} if was else set())
    return touched


def _is_otherwise(was: Machine | None, machine: Machine) -> bool:
    return was is None or _what_decides(was) != _what_decides(machine)


def _what_decides(machine: Machine) -> tuple[object, ...]:
    """What policies and guardrails go by, and where firewalls lead to."""
    return machine.key, machine.scope, machine.unsupported, machine.os, dict(machine.tags), tuple(machine.addresses)


def _let_go(tx: Tx, gone: Sequence[Machine]) -> None:
    audit.record(tx, [_removed(tx, machine) for machine in gone])
    scopes.sweep_soon(tx, {machine.scope for machine in gone})


def _removed(tx: Tx, machine: Machine) -> Event:
    properties = {"uuid": machine.uuid, "closed": _close_all(tx, machine.uuid)}
    return Event(Operation.MACHINE_REMOVED, Outcome.SUCCEEDED, machine.id, properties=properties)


def _close_all(tx: Tx, uuid: str) -> list[str]:
    """Close every grant of a machine that is not over; returns their uids."""
    moves = [
        Move(grant, State.CLOSING if grant.state.is_live else State.CLOSED, tx.now, CloseReason.MACHINE_REMOVED)
        for grant in grants.live_on(tx, uuid)
    ]
    grants.move(tx, moves)
    return [move.grant.uid for move in moves]
