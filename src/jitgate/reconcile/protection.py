"""Which ports of a scope's machines are to be held shut, and how."""

from collections.abc import Iterable, Sequence

from jitgate.core import guardrail
from jitgate.core.desired import PortKey, Protection
from jitgate.core.guardrail import Enforcement, Guardrail
from jitgate.core.machine import Machine
from jitgate.core.policy import MachinePolicy
from jitgate.store import guardrails, machines, policies
from jitgate.store.database import Tx


def of_scope(tx: Tx, scope: str) -> tuple[frozenset[str], dict[PortKey, Protection]]:
    """The machines of a scope, and the union of what all policies protect on them."""
    present = [machine for machine in machines.in_scope(tx, scope) if not machine.unsupported]
    covering = policies.machine_policies(tx, [machine.key for machine in present])
    rails = guardrails.list_all(tx)
    protected: dict[PortKey, Protection] = {}
    for machine in present:
        for part, force in covering.get(machine.key, ()):
            _add(protected, machine, part, force, rails)
    return frozenset(machine.uuid for machine in present), protected


def of_ports(tx: Tx, machine: Machine, ports: Iterable[PortKey]) -> dict[PortKey, Protection]:
    """How ports of a machine would be held if a policy named them."""
    rails = guardrails.list_all(tx)
    limits = {port: guardrail.strictest(rails, machine, port.port) for port in ports}
    return {port: Protection(held.session, enforce=held.demands_enforcement) for port, held in limits.items()}


def _add(
    protected: dict[PortKey, Protection],
    machine: Machine,
    part: MachinePolicy,
    force: bool,
    rails: Sequence[Guardrail],
) -> None:
    for rule in part.ports:
        limits = guardrail.strictest(rails, machine, rule.number)
        if limits.enforcement is Enforcement.OBSERVE:
            continue
        for key in rule.keys(machine.uuid):
            forced = force or (key in protected and protected[key].force)
            protected[key] = Protection(limits.session, forced, limits.demands_enforcement)
