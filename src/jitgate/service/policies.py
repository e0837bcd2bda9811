"""Policies: which ports are protected, and what may be asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import duration, roles
from jitgate.core import policy as policies_core
from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.checks import not_onboarded
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.errors import Conflict, Invalid, Reason, Refused
from jitgate.core.machine import DEFAULT_PORTS, Machine
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import ANYWHERE
from jitgate.core.progress import Move
from jitgate.core.record import encode
from jitgate.core.resource_id import PolicyId, group_scope, key, parse_machine_id, subscription_scope
from jitgate.service import presentation, selections
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.machines import readable
from jitgate.service.requests import policy_not_found
from jitgate.service.views import MachineView, Page, PolicyView
from jitgate.store import freezes, grants, history, machines, plans, policies, requests, scopes
from jitgate.store.database import Tx
from jitgate.store.history import What
from jitgate.store.policies import Stored
from jitgate.store.scopes import Scope

DEFAULT_POLICY = "default"
DEFAULT_DURATION = duration.parse("PT3H", "maxRequestAccessDuration")
MOST_ENABLED = 100_000
MOST_LISTED = 2000
"""The most grants that one policy's listing shows; the oldest ended ones are left out first."""


async def put_policy(
    service: Service, asker: Asker, wanted: Policy, *, force: bool = False, keep_selections: bool = False
) -> PolicyView:
    """Create a policy, or replace it whole. Live grants stay where a policy still covers their port.

    `force`: protect a port even if that cuts off a connection that nothing covers. `keep_selections`: what is
    `wanted` comes from somebody who cannot say what the policy selects. Raises Invalid, Forbidden.
    """
    policies_core.check_machines(wanted.machines, _MACHINES)

    def work(tx: Tx) -> PolicyView:
        stored = policies.get(tx, wanted.id.key)
        old = stored.policy if stored else None
        policy = selections.complete(tx, selections.keep(wanted, old) if keep_selections else wanted)
        selections.require_rights(asker, policy, old)
        write(tx, asker, policy, stored, force=force)
        return PolicyView(policy, (), settled=False)

    return await attempt(service, asker, Operation.POLICY_WRITE, wanted.id.text, work)


async def preview_policy(service: Service, asker: Asker, wanted: Policy) -> Policy:
    """A policy as `put_policy` would keep it, as far as the asker may read its machines."""
    whole = await service.store.read(lambda tx: selections.complete(tx, wanted))
    may_read = [part for part in whole.machines if asker.principal.may(roles.READ_MACHINE, part.id.text)]
    return replace(whole, machines=tuple(may_read))


async def get_policy(service: Service, asker: Asker, id: PolicyId) -> PolicyView:
    """One policy with its requests. Raises Forbidden, NotFound (``PolicyNotFound``)."""
    require(asker, roles.READ_POLICY, id.text)

    def work(tx: Tx) -> PolicyView:
        stored = policies.get(tx, id.key)
        if stored is None:
            raise policy_not_found(id)
        return _view(tx, service, stored)

    return await service.store.read(work)


async def delete_policy(service: Service, asker: Asker, id: PolicyId) -> bool:
    """Remove a policy; ports that no other policy protects are opened up. False: there was none.

    Raises Forbidden, and Refused while one of its machines is frozen.
    """

    def work(tx: Tx) -> bool:
        require(asker, roles.DELETE_POLICY, id.text)
        stored = policies.get(tx, id.key)
        if stored is None:
            return False
        known = _members(tx, stored.policy)
        _may_change_machines(asker, stored.policy.machines, known)
        selections.require_rights(asker, replace(stored.policy, selections=()), stored.policy)
        _must_not_bare_what_is_frozen(tx, asker, stored.policy, replace(stored.policy, machines=()))
        policies.remove(tx, id.key)
        _remember(tx, asker, stored.policy, gone=True)
        closed = _close_uncovered(tx, list(known.values()))
        scopes.sweep_soon(tx, {machine.scope for machine in known.values()})
        properties = {"machines": [machine.id.text for machine in stored.policy.machines], "closed": closed}
        audit.record(tx, [event(asker, Operation.POLICY_DELETE, Outcome.SUCCEEDED, id.text, properties)])
        return True

    return await attempt(service, asker, Operation.POLICY_DELETE, id.text, work)


async def list_policies(
    service: Service,
    asker: Asker,
    subscription: str,
    *,
    resource_group: str | None = None,
    location: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Page[PolicyView]:
    """Policies of a subscription, resource group or location that the asker may read. Raises Forbidden."""
    wide = subscription_scope(subscription)
    scope = group_scope(subscription, resource_group) if resource_group else wide
    require(asker, roles.READ_POLICY, scope)

    def work(tx: Tx) -> Page[PolicyView]:
        stored = policies.list_page(
            tx,
            subscription=subscription,
            group=scope if resource_group else None,
            location=location,
            after=after or "",
            most=limit + 1,
        )
        shown = stored[:limit]
        more = shown[-1].policy.id.key if len(stored) > limit else None
        return Page(tuple(_view(tx, service, one) for one in shown), more)

    return await service.store.read(work)


async def enable_machines(
    service: Service, asker: Asker, names: Sequence[str] | None, *, force: bool = False
) -> tuple[MachineView, ...]:
    """Protect machines with the defaults of their operating system; None: all that can be and are not yet.

    All of them or none. A machine that a policy covers already stays as it is, but for `force`. Raises
    Invalid, NotFound, Forbidden.
    """

    def work(tx: Tx) -> tuple[MachineView, ...]:
        chosen = _choose(tx, asker, names)
        by_policy: dict[str, list[Machine]] = {}
        for machine in chosen:
            by_policy.setdefault(default_policy(machine).key, []).append(machine)
        for members in by_policy.values():
            _extend_policy(tx, asker, default_policy(members[0]), members, force)
        return _machine_views(tx, chosen)

    return await attempt(service, asker, Operation.POLICY_WRITE, _anywhere(service), work)


async def disable_machines(service: Service, asker: Asker, names: Sequence[str]) -> tuple[MachineView, ...]:
    """Take machines out of every policy, all of them or none.

    Raises Invalid, NotFound, Forbidden, and Conflict where a policy selects one by what it is.
    """

    def work(tx: Tx) -> tuple[MachineView, ...]:
        take_out(tx, asker, names)
        return _machine_views(tx, _choose(tx, asker, names))

    return await attempt(service, asker, Operation.POLICY_WRITE, _anywhere(service), work)


def write(tx: Tx, asker: Asker, new: Policy, stored: Stored | None, *, force: bool = False) -> list[str]:
    """Put a policy in place of what is stored, with all that this brings about; returns the uids of the grants that
    close. Raises Invalid, Forbidden, Refused."""
    old = stored.policy if stored else None
    known = _members(tx, old, new)
    _may_write(tx, asker, new, old, known, force)
    _put(tx, new, stored, {machine.id.key for machine in new.machines} if force else set())
    return _follow(tx, asker, old, new, known, force=force)


def take_out(tx: Tx, asker: Asker, names: Sequence[str]) -> list[str]:
    """Take machines out of every policy; returns the uids of the grants that close. Raises as `disable_machines`."""
    keys = {machine.key for machine in _choose(tx, asker, names)}
    covering = policies.ids_covering(tx, sorted(keys))
    written = sorted({policy for ids in covering.values() for policy in ids})
    return [uid for policy in written for uid in _shrink_policy(tx, asker, policy, keys)]


# --- parts of these ----------------------------------------------------------------------------------

_MACHINES = "properties.virtualMachines"
Known = Mapping[str, Machine]
"""Machines that there are, by the keys of their ids."""


def _view(tx: Tx, service: Service, stored: Stored) -> PolicyView:
    since = tx.now - service.settings.history
    given = requests.of_policy(tx, stored.uid, since, MOST_LISTED)
    members = list(_members(tx, stored.policy).values())
    states = scopes.get_many(tx, {machine.scope for machine in members})
    settled = all(bool(state.error) or _is_seen_since(tx, state, stored.updated_at) for state in states.values())
    mapped = presentation.mapped_addresses(members, states)
    return PolicyView(stored.policy, presentation.requests(tx, given), settled, mapped)


def _is_seen_since(tx: Tx, state: Scope, written: datetime) -> bool:
    """Whether a firewall has been seen to hold what was written, and nobody has asked for another look.

    It was looked at since, or needed no look: what was written changed nothing there, and no look is under way.
    """
    if state.sweep_at is None or state.reported_at is None:
        return False
    return state.reported_at >= written or state.sweep_at > tx.now


def _members(tx: Tx, *of: Policy | None) -> Known:
    """The machines that some policies name, of those that there are: read once for all that is done with them."""
    return machines.by_keys(tx, [part.id.key for policy in of if policy for part in policy.machines])


def _may_write(tx: Tx, asker: Asker, policy: Policy, old: Policy | None, known: Known, force: bool) -> None:
    """The rights to write: the policy, and every machine that the write adds, changes or removes."""
    require(asker, roles.WRITE_POLICY, policy.id.text)
    touched = _touched(old, policy)
    _may_change_machines(asker, touched, known)
    _must_not_bare_what_is_frozen(tx, asker, old, policy)
    for index, machine in enumerate(policy.machines):
        field = f"{_MACHINES}[{index}]"
        if machine.id.key not in known:
            # Who may not write it is not told whether it is there.
            require(asker, roles.WRITE_MACHINE, machine.id.text)
            raise Invalid(
                f"{field}.id",
                f"no machine {machine.id.text} is known",
                allowed="a machine that a connector lists",
                code="VirtualMachineNotFound",
            )
        policies_core.check_ports(machine.ports, f"{field}.ports")
    _check_plans(tx, policy, old, known)
    if force:
        for part in touched:
            require(asker, roles.FORCE_PROTECTION, part.id.text)


def _check_plans(tx: Tx, policy: Policy, old: Policy | None, known: Known) -> None:
    """What is added or changed is under a plan that has just-in-time access; what is only kept or removed need not be.

    Raises Refused.
    """
    before = {part.id.key: part for part in old.machines} if old else {}
    places = {m.id.key: f"{_MACHINES}[{at}].id" for at, m in enumerate(policy.machines) if before.get(m.id.key) != m}
    gated = plans.gated(tx, _of(known, [m for m in policy.machines if m.id.key in places]))
    if reasons := [not_onboarded(machine, places[machine.key]) for machine in gated if machine.uncovered]:
        raise Refused(tuple(reasons))


def _may_change_machines(asker: Asker, parts: Sequence[MachinePolicy], known: Known) -> None:
    """Who changes how a machine is protected may write the machine.

    On AWS only Microsoft.Security rights count (Microsoft's article on enabling just-in-time access).
    """
    for machine in _of(known, parts):
        if machine.provider != "aws":
            require(asker, roles.WRITE_MACHINE, machine.id)


def _must_not_bare_what_is_frozen(tx: Tx, asker: Asker, old: Policy | None, new: Policy) -> None:
    """Raise Refused where a port of a frozen machine would be left out: a port that no policy holds is open to all."""
    bared = [part for part in _changed_parts(old, new) if _held(part) - _held(new.machine(part.id.key))]
    over = freezes.over(tx, asker.principal.uid, [part.id.text for part in bared]) if bared else []
    for part in bared:
        if held := next((one for one in over if one.holds(asker.principal, part.id.text)), None):
            why = f"{part.id.text} keeps its ports: it is frozen since {held.at:%Y-%m-%dT%H:%M:%SZ}: {held.why}"
            raise Refused((Reason("Frozen", _MACHINES, why, "once it is thawed"),))


def _held(part: MachinePolicy | None) -> set[PortKey]:
    return {port for rule in part.ports for port in rule.keys(part.id.key)} if part else set()


def _of(known: Known, parts: Iterable[MachinePolicy]) -> list[Machine]:
    return [known[part.id.key] for part in parts if part.id.key in known]


def _touched(old: Policy | None, new: Policy) -> list[MachinePolicy]:
    """The parts for the machines that a write adds, changes or removes."""
    before = {part.id.key for part in old.machines} if old else set()
    return [*(part for part in new.machines if part.id.key not in before), *_changed_parts(old, new)]


def _changed_parts(old: Policy | None, new: Policy) -> list[MachinePolicy]:
    """The parts of the old policy that the new one lacks, or has otherwise."""
    after = {part.id.key: part for part in new.machines}
    return [part for part in (old.machines if old else ()) if after.get(part.id.key) != part]


def _put(tx: Tx, new: Policy, old: Stored | None, forced: set[str]) -> None:
    """Write a policy; a machine whose protection was forced stays so."""
    policies.put(tx, uuid4().hex, new, forced | (old.forced if old else frozenset()))


def _follow(tx: Tx, asker: Asker, old: Policy | None, new: Policy, known: Known, *, force: bool = False) -> list[str]:
    """What a written policy brings about: grants that nothing covers close, firewalls that it changes are looked at.

    `force`: it changes those of all machines that it names.
    """
    changed = _changed_parts(old, new)
    _remember(tx, asker, new)
    closed = _close_uncovered(tx, _of(known, changed))
    kept = {part.id.key for part in new.machines}
    touched = [*(new.machines if force else ()), *_touched(old, new)]
    scopes.sweep_soon(tx, {machine.scope for machine in _of(known, touched)})
    properties = {
        "machines": {
            machine.id.text: [f"{rule.number} {rule.protocol}" for rule in machine.ports] for machine in new.machines
        },
        "removed": [part.id.text for part in changed if part.id.key not in kept],
        "closed": closed,
        "created": old is None,
        "sha256": sha256(encode(policies.describe(new))).hexdigest(),
    }
    audit.record(tx, [event(asker, Operation.POLICY_WRITE, Outcome.SUCCEEDED, new.id.text, properties)])
    return closed


def _remember(tx: Tx, asker: Asker, policy: Policy, *, gone: bool = False) -> None:
    """What stood when: for those who ask later."""
    body = None if gone else policies.describe(policy)
    who = asker.principal
    history.keep(tx, What.POLICY, policy.id.key, body, principal=who.uid, caller=who.name)


def _close_uncovered(tx: Tx, members: Sequence[Machine]) -> list[str]:
    """Close the grants of these machines whose port no policy holds any more; returns their uids.

    Whichever policy gave them: another one may have held their port open since that one went.
    """
    covering = policies.machine_policies(tx, [machine.key for machine in members])
    moves = [
        Move(grant, State.CLOSING if grant.state.is_live else State.CLOSED, tx.now, CloseReason.POLICY_REMOVED)
        for machine in members
        for grant in grants.live_on(tx, machine.uuid)
        if not _is_covered(grant, covering.get(machine.key, ()))
    ]
    grants.move(tx, moves)
    return [move.grant.uid for move in moves]


def _is_covered(grant: Grant, parts: Sequence[tuple[MachinePolicy, bool]]) -> bool:
    protocols = {protocol for part, _ in parts for rule in part.rules(grant.port) for protocol in rule.protocol.each}
    return set(grant.protocol.each) <= protocols


def _choose(tx: Tx, asker: Asker, names: Sequence[str] | None) -> list[Machine]:
    """The machines that are meant, of those that the asker may read, each once."""
    if names is not None:
        found = plans.gated(tx, [readable(tx, asker, name) for name in names])
        return list({machine.uuid: machine for machine in found}.values())
    present = plans.gated(tx, machines.list_present(tx, most=MOST_ENABLED))
    supported = [machine for machine in present if not machine.unsupported and not machine.uncovered]
    covered = policies.ids_covering(tx, [machine.key for machine in supported])
    return [
        machine
        for machine in supported
        if not covered.get(machine.key) and asker.principal.may(roles.READ_MACHINE, machine.id)
    ]


def default_policy(machine: Machine) -> PolicyId:
    """Where a machine is taken in that no policy names yet."""
    place = parse_machine_id(machine.id, "machine")
    return PolicyId(place.subscription, place.resource_group, machine.location, DEFAULT_POLICY)


def _default_part(machine: Machine) -> MachinePolicy:
    rule = PortRule(DEFAULT_PORTS[machine.os], Protocol.ANY, ANYWHERE, "*", DEFAULT_DURATION)
    return MachinePolicy(parse_machine_id(machine.id, "machine"), (rule,))


def _extend_policy(tx: Tx, asker: Asker, id: PolicyId, members: Sequence[Machine], force: bool) -> None:
    """Add machines to a policy as it stands now, so that nobody else's machine is lost."""
    require(asker, roles.WRITE_POLICY, id.text)
    if unsupported := next((machine for machine in members if machine.unsupported), None):
        raise Invalid("machine", f"{unsupported.name} cannot be protected: {unsupported.unsupported}")
    stored = policies.get(tx, id.key)
    old = stored.policy if stored else None
    covered = policies.ids_covering(tx, [machine.key for machine in members])
    added = tuple(_default_part(machine) for machine in members if not covered.get(machine.key))
    if added:
        new = replace(old, machines=old.machines + added) if old else Policy(id, added)
        known = _members(tx, new)
        _may_write(tx, asker, new, old, known, force)
        _put(tx, new, stored, {machine.key for machine in members} if force else set())
        _follow(tx, asker, old, new, known)
    if force:
        for machine in members:
            require(asker, roles.FORCE_PROTECTION, machine.id)
        policies.force(tx, [machine.key for machine in members])
    # Also where nothing was added: who enables a machine wants to know that it is shut now.
    scopes.sweep_soon(tx, {machine.scope for machine in members})


def _shrink_policy(tx: Tx, asker: Asker, id: str, keys: set[str]) -> list[str]:
    """Take machines out of a policy as it stands now; returns the uids of the grants that close."""
    stored = policies.get(tx, key(id))
    if stored is None:
        return []
    old = stored.policy
    if selected := next((part for part in old.machines if part.selected and part.id.key in keys), None):
        raise Conflict(
            f"{old.id.text} takes {selected.id.text} in by what it is, and would again. Change what the policy selects."
        )
    new = replace(old, machines=tuple(machine for machine in old.machines if machine.id.key not in keys))
    require(asker, roles.WRITE_POLICY, old.id.text)
    known = _members(tx, old)
    _may_change_machines(asker, _touched(old, new), known)
    _must_not_bare_what_is_frozen(tx, asker, old, new)
    _put(tx, new, stored, set())
    return _follow(tx, asker, old, new, known)


def _anywhere(service: Service) -> str:
    """What a change is recorded about when it is refused before it is known which policies it would change."""
    return subscription_scope(service.settings.subscription)


def _machine_views(tx: Tx, chosen: Sequence[Machine]) -> tuple[MachineView, ...]:
    return presentation.machine_views(tx, chosen, policies.ids_covering(tx, [machine.key for machine in chosen]))
