"""What jitgate has to alter of what others made: seeing it, agreeing to it, and knowing it beforehand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.alteration import Stage, digest
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.machine import DEFAULT_PORTS, Machine
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.machines import readable
from jitgate.store import alterations, machines, previews, scopes
from jitgate.store.alterations import Kept
from jitgate.store.database import Tx
from jitgate.store.previews import Preview

MOST_PORTS = 100


@dataclass(frozen=True, slots=True)
class AlterationsView:
    """What is, or would be, altered for a machine.

    `digest` stands for all of it that waits for consent; "": nothing does.
    """

    machine: Machine
    digest: str
    kept: Sequence[Kept]


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What protecting ports would do."""

    machine: Machine
    preview: Preview


async def list_waiting(service: Service, asker: Asker) -> tuple[AlterationsView, ...]:
    """The machines, of those that the asker may read, for which something waits for consent."""

    def work(tx: Tx) -> tuple[AlterationsView, ...]:
        waiting = [machine for scope in alterations.scopes_waiting(tx) for machine in machines.in_scope(tx, scope)]
        return tuple(_view(tx, m) for m in waiting if asker.principal.may(roles.READ_MACHINE, m.id))

    return await service.store.read(work)


async def get_alterations(service: Service, asker: Asker, name: str) -> AlterationsView:
    """What is, or would be, altered for one machine. Raises NotFound, Invalid."""
    return await service.store.read(lambda tx: _view(tx, readable(tx, asker, name)))


async def agree(service: Service, asker: Asker, name: str, agreed: str) -> AlterationsView:
    """Agree to all that waits for a machine, named by the digest of what was read.

    It takes the right at every machine that it counts for. Raises Forbidden, NotFound, Invalid, and Conflict where
    something else waits by now.
    """

    def work(tx: Tx) -> AlterationsView:
        machine = readable(tx, asker, name)
        require(asker, roles.AGREE_TO_ALTERATION, machine.id)
        waiting = _waiting(alterations.needed_by(tx, machine.scope))
        if not waiting:
            raise Conflict(f"Nothing waits for consent at {machine.name}. Look again at what is altered there.")
        if agreed != _digest(waiting):
            raise Conflict(f"What waits for consent at {machine.name} is not what you have read. Read it again.")
        for concerned in sorted({one for kept in waiting for one in kept.alteration.concerns if one.startswith("/")}):
            require(asker, roles.AGREE_TO_ALTERATION, concerned)
        alterations.agree(tx, waiting, asker.principal.name)
        facts = {"digest": agreed, "alterations": [audit.altered(kept.alteration) for kept in waiting][:100]}
        audit.record(tx, [event(asker, Operation.ALTERATION_AGREE, Outcome.SUCCEEDED, machine.id, facts)])
        scopes.sweep_soon(tx, [machine.scope])
        return _view(tx, machine)

    return await attempt(service, asker, Operation.ALTERATION_AGREE, f"/machines/{name}", work)


async def ask_preview(
    service: Service, asker: Asker, name: str, ports: Iterable[tuple[int, Protocol]] | None
) -> PreviewView:
    """Have it worked out what protecting ports of a machine would do, and change nothing. None: its default port.

    Raises Forbidden, NotFound, Invalid.
    """

    def work(tx: Tx) -> PreviewView:
        machine = readable(tx, asker, name)
        require(asker, roles.WRITE_POLICY, machine.id)
        if machine.unsupported:
            raise Invalid("machine", f"{machine.name} cannot be protected: {machine.unsupported}")
        uid = str(uuid4())
        previews.ask(tx, uid, machine.scope, machine.uuid, asker.principal.uid, _keys(machine, ports))
        scopes.sweep_soon(tx, [machine.scope])
        return _preview(tx, asker, uid)

    return await service.store.write(work)


async def get_preview(service: Service, asker: Asker, uid: str) -> PreviewView:
    """A preview that the asker has asked for. Raises NotFound."""
    return await service.store.read(lambda tx: _preview(tx, asker, uid))


def _preview(tx: Tx, asker: Asker, uid: str) -> PreviewView:
    found = previews.get(tx, uid)
    machine = machines.present(tx, [found.machine]).get(found.machine) if found else None
    if found is None or machine is None or found.asked_by != asker.principal.uid:
        raise NotFound("There is no such preview. They are kept for a day: ask for another.")
    return PreviewView(machine, found)


def _keys(machine: Machine, ports: Iterable[tuple[int, Protocol]] | None) -> list[PortKey]:
    wanted = [(DEFAULT_PORTS[machine.os], Protocol.ANY)] if ports is None else ports
    return sorted({PortKey(machine.uuid, number, each) for number, protocol in wanted for each in protocol.each})


def _view(tx: Tx, machine: Machine) -> AlterationsView:
    kept = [*alterations.needed_by(tx, machine.scope), *alterations.to_restore(tx, machine.scope)]
    return AlterationsView(machine, _digest(_waiting(kept)), kept)


def _waiting(kept: Iterable[Kept]) -> list[Kept]:
    return [one for one in kept if one.stage is Stage.PROPOSED]


def _digest(waiting: Sequence[Kept]) -> str:
    return digest(kept.alteration for kept in waiting) if waiting else ""
