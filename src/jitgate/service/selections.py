"""Selections of policies: machines are taken in by scope, tags and operating system, also when they appear later.

Taking in is a matter of rows, so that whatever reads a policy finds its machines, whoever put them there. What a
selection has taken in stays until somebody writes the policy: a tag that goes, by a hand that may not write policies,
bares no port.
"""

from collections.abc import Sequence
from dataclasses import replace

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.core import roles
from jitgate.core.machine import Machine
from jitgate.core.policy import MachinePolicy, Policy
from jitgate.service.attempt import require
from jitgate.service.base import Asker
from jitgate.store import history, machines, plans, policies, scopes
from jitgate.store.database import Tx
from jitgate.store.history import What

MOST_MACHINES = 100_000


def require_rights(asker: Asker, new: Policy, old: Policy | None) -> None:
    """Who adds or takes away a selection may write all machines that it could ever take in. Raises Forbidden."""
    before = old.selections if old else ()
    for selection in [*new.selections, *before]:
        if selection not in new.selections or selection not in before:
            require(asker, roles.WRITE_MACHINE, selection.selector.scope)


def complete(tx: Tx, wanted: Policy) -> Policy:
    """A policy with the machines that its selections take in, besides those that it names."""
    if not wanted.selections:
        return wanted
    named = {part.id.key for part in wanted.machines}
    present = plans.gated(tx, machines.list_present(tx, most=MOST_MACHINES))
    taken = (wanted.selected_part(machine) for machine in present if machine.key not in named)
    return replace(wanted, machines=(*wanted.machines, *(part for part in taken if part is not None)))


def keep(wanted: Policy, old: Policy | None) -> Policy:
    """A policy out of a document that knows no selections: they stay, and so does who named which machine."""
    if old is None or not old.selections:
        return wanted
    selected = {part.id.key: part for part in old.machines if part.selected}
    parts = tuple(replace(part, selected=selected.get(part.id.key) == part) for part in wanted.machines)
    return replace(wanted, machines=parts, selections=old.selections)


def take_in(tx: Tx, appeared: Sequence[Machine]) -> None:
    """Have policies take in machines that have appeared, or are otherwise than before."""
    selecting = policies.selecting(tx) if appeared else ()
    for uid, policy in selecting:
        taken = [part for machine in plans.gated(tx, appeared) if (part := policy.selected_part(machine))]
        if new := [part for part in taken if not policies.has_machine(tx, uid, part.id.key)]:
            _add(tx, uid, policy, new)


def take_in_all(tx: Tx) -> None:
    """The same for all machines: plans, or where just-in-time access is switched off, have changed."""
    if policies.selecting(tx):
        take_in(tx, machines.list_present(tx, most=MOST_MACHINES))


def _add(tx: Tx, uid: str, policy: Policy, parts: Sequence[MachinePolicy]) -> None:
    for part in parts:
        policies.add_machine(tx, uid, part)
    stored = policies.get(tx, policy.id.key)
    assert stored is not None
    history.keep(tx, What.POLICY, policy.id.key, policies.describe(stored.policy))
    scopes.sweep_soon(tx, {m.scope for m in machines.by_keys(tx, [part.id.key for part in parts]).values()})
    properties = {"machines": [part.id.text for part in parts]}
    audit.record(tx, [Event(Operation.POLICY_SELECT, Outcome.SUCCEEDED, policy.id.text, properties=properties)])
