"""How machines are configured: the ports of one or many, changed together, and what a change would bring about.

A change is read, modified and written in one transaction, so that no other machine of a policy is lost; who looked at
something else than what stands by then is told so. A preview is the change itself, taken back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from jitgate.audit import Operation
from jitgate.core import guardrail as guardrails_core
from jitgate.core import policy as policies_core
from jitgate.core import roles
from jitgate.core.access import Grant
from jitgate.core.desired import Protocol
from jitgate.core.errors import Conflict, Invalid
from jitgate.core.guardrail import Guardrail, Limits, Strictest
from jitgate.core.machine import DEFAULT_PORTS, MANAGEMENT_PORTS, Machine
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import ANYWHERE
from jitgate.core.record import encode
from jitgate.core.resource_id import key, parse_machine_id, parse_policy_id
from jitgate.core.selector import Selector
from jitgate.service import guardrails, policies, presentation
from jitgate.service.attempt import attempt, must_not_be_frozen
from jitgate.service.base import Asker, Service
from jitgate.service.machines import readable
from jitgate.service.views import GrantView
from jitgate.store import grants, plans, requests
from jitgate.store import guardrails as guardrail_rows
from jitgate.store import policies as policy_rows
from jitgate.store.database import Tx

MOST_MACHINES = 200


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a machine is configured.

    `ports`   what the policy has that is edited: the default one, where it covers the machine
    `policy`  its id; where no policy covers the machine, that of the one that it would come into
    `others`  the ids of more policies that cover it
    `held`    what guardrails demand of its first port
    `own`     the limits of the guardrail that is about this machine alone
    """

    machine: Machine
    ports: tuple[PortRule, ...]
    policy: str
    others: tuple[str, ...]
    held: Strictest
    own: Limits

    @property
    def is_configured(self) -> bool:
        return bool(self.ports or self.others)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would bring about: the grants that close, and those that stay."""

    closes: tuple[GrantView, ...]
    stays: tuple[GrantView, ...]


class _TakenBack(Exception):
    """Ends a preview."""

    def __init__(self, closed: Sequence[str]) -> None:
        super().__init__()
        self.closed = frozenset(closed)


async def read(service: Service, asker: Asker, names: Sequence[str]) -> tuple[Configuration, ...]:
    """How some machines are configured. Raises Invalid, NotFound."""
    return await service.store.read(lambda tx: _read(tx, asker, names))


def mark_of(found: Sequence[Configuration]) -> str:
    """What names exactly this state of things."""
    told = [[one.machine.uuid, one.policy, policy_rows.encode_ports(one.ports)] for one in found]
    return sha256(encode({"configured": told})).hexdigest()[:32]


async def preview(
    service: Service, asker: Asker, names: Sequence[str], ports: Sequence[PortRule], mark: str
) -> Preview:
    """What `configure` would bring about. Changes nothing. Raises as it does."""
    return await _tried(service, asker, names, lambda tx: _configure(tx, asker, names, ports, mark))


async def preview_removal(service: Service, asker: Asker, names: Sequence[str]) -> Preview:
    """What taking machines out of every policy would bring about. Changes nothing. Raises as that does."""
    return await _tried(service, asker, names, lambda tx: policies.take_out(tx, asker, names))


async def configure(service: Service, asker: Asker, names: Sequence[str], ports: Sequence[PortRule], mark: str) -> None:
    """Give some machines these ports, and no others, in the policies that they are edited in.

    `mark`: of what the asker has seen (`mark_of`). Raises Invalid, NotFound, Forbidden, Refused, and Conflict where
    somebody has changed it since.
    """

    def work(tx: Tx) -> None:
        _configure(tx, asker, names, ports, mark)

    resource = f"/subscriptions/{service.settings.subscription}"
    await attempt(service, asker, Operation.POLICY_WRITE, resource, work)


async def guard(service: Service, asker: Asker, found: Sequence[Configuration], wanted: Limits) -> int:
    """Have a guardrail of each machine's own demand this, besides what it demands already.

    Returns how many of these changes loosen something, and wait for a second administrator. Raises Forbidden, Invalid.
    """
    waiting = 0
    for one in found:
        limits = replace(
            one.own,
            approvals=wanted.approvals,
            reason_required=wanted.reason_required,
            session=wanted.session,
        )
        if limits != one.own:
            changed = Guardrail(own_guardrail(one.machine), Selector(one.machine.id), limits)
            waiting += not await guardrails.put_guardrail(service, asker, changed)
    return waiting


def own_guardrail(machine: Machine) -> str:
    """The name of the guardrail that is about one machine alone."""
    return f"{machine.name[:80]}-{machine.uuid.replace('-', '')[:12]}"


def recommended(found: Sequence[Configuration]) -> tuple[PortRule, ...]:
    """The ports to protect where nothing is configured yet: those of the machines' systems, with the defaults (J12)."""
    usual = {DEFAULT_PORTS[one.machine.os] for one in found}
    windows = {5985, 5986} if usual == {3389} else set()
    return tuple(usual_rule(number) for number in sorted(usual | windows))


def usual_rule(number: int) -> PortRule:
    """A port with the defaults: any protocol, any source, three hours."""
    return PortRule(number, Protocol.ANY, ANYWHERE, "*", policies.DEFAULT_DURATION)


def union(found: Sequence[Configuration]) -> tuple[PortRule, ...]:
    """The ports of several machines: of each number and protocol the first one's."""
    rules: dict[tuple[int, Protocol], PortRule] = {}
    for one in found:
        for rule in one.ports:
            if all((rule.number, each) not in rules for each in (rule.protocol, Protocol.ANY)):
                rules[rule.number, rule.protocol] = rule
    return tuple(rules.values())


MORE_RECOMMENDED = tuple(MANAGEMENT_PORTS)


# --- parts of these ----------------------------------------------------------------------------------


async def _tried(
    service: Service, asker: Asker, names: Sequence[str], change: Callable[[Tx], Sequence[str]]
) -> Preview:
    def work(tx: Tx) -> None:
        must_not_be_frozen(tx, asker)
        raise _TakenBack(change(tx))

    closed: frozenset[str] = frozenset()
    try:
        await service.store.write(work)
    except _TakenBack as done:
        closed = done.closed
    return await service.store.read(lambda tx: _preview(tx, asker, names, closed))


def _preview(tx: Tx, asker: Asker, names: Sequence[str], closed: frozenset[str]) -> Preview:
    live: list[Grant] = [grant for one in _choose(tx, asker, names) for grant in grants.live_on(tx, one.uuid)]
    views = presentation.grant_views(tx, requests.of_grants(tx, [grant.uid for grant in live]))
    return Preview(
        tuple(view for view in views if view.grant.uid in closed),
        tuple(view for view in views if view.grant.uid not in closed),
    )


def _read(tx: Tx, asker: Asker, names: Sequence[str]) -> tuple[Configuration, ...]:
    rails = guardrail_rows.list_all(tx)
    return tuple(_of(tx, machine, rails) for machine in _choose(tx, asker, names))


def _choose(tx: Tx, asker: Asker, names: Sequence[str]) -> list[Machine]:
    if not 0 < len(names) <= MOST_MACHINES:
        raise Invalid("machine", f"{len(names)} machines cannot be changed together", allowed=f"1 to {MOST_MACHINES}")
    found = plans.gated(tx, [readable(tx, asker, name) for name in names])
    return list({machine.uuid: machine for machine in found}.values())


def _of(tx: Tx, machine: Machine, rails: Sequence[Guardrail]) -> Configuration:
    covering = [policy for _, policy in policy_rows.covering(tx, [machine.key])]
    usual = policies.default_policy(machine)
    edited = next((policy for policy in covering if policy.id.key == usual.key), covering[0] if covering else None)
    part = edited.machine(machine.key) if edited else None
    ports = part.ports if part else ()
    own = next((rail for rail in rails if key(rail.name) == key(own_guardrail(machine))), None)
    return Configuration(
        machine=machine,
        ports=ports,
        policy=edited.id.text if edited else usual.text,
        others=tuple(policy.id.text for policy in covering if policy is not edited),
        held=guardrails_core.strictest(rails, machine, ports[0].number if ports else DEFAULT_PORTS[machine.os]),
        own=own.limits if own else Limits(),
    )


def _configure(tx: Tx, asker: Asker, names: Sequence[str], ports: Sequence[PortRule], mark: str) -> list[str]:
    """Returns the uids of the grants that close."""
    found = _read(tx, asker, names)
    if mark != mark_of(found):
        raise Conflict(
            "Somebody has changed this since you looked at it. Look at it as it is now, and change it again."
        )
    if unsupported := next((one.machine for one in found if one.machine.unsupported), None):
        raise Invalid("machine", f"{unsupported.name} cannot be protected: {unsupported.unsupported}")
    policies_core.check_ports(ports, "ports")
    by_policy: dict[str, list[Machine]] = {}
    for one in found:
        by_policy.setdefault(one.policy, []).append(one.machine)
    return [uid for policy, members in by_policy.items() for uid in _write(tx, asker, policy, members, tuple(ports))]


def _write(tx: Tx, asker: Asker, id: str, members: Sequence[Machine], ports: tuple[PortRule, ...]) -> list[str]:
    stored = policy_rows.get(tx, key(id))
    old = stored.policy if stored else Policy(parse_policy_id(id), ())
    new_parts = {machine.key: _part(old, machine, ports) for machine in members}
    kept = tuple(new_parts.pop(part.id.key, part) for part in old.machines)
    return policies.write(tx, asker, replace(old, machines=(*kept, *new_parts.values())), stored)


def _part(old: Policy, machine: Machine, ports: tuple[PortRule, ...]) -> MachinePolicy:
    """What a machine becomes in a policy. What stays the same stays selected, if it was."""
    before = old.machine(machine.key)
    if before is None:
        return MachinePolicy(parse_machine_id(machine.id, "machine"), ports)
    return before if before.ports == ports else replace(before, ports=ports, selected=False)


def may_guard(asker: Asker, found: Sequence[Configuration]) -> bool:
    """Whether the asker may set guardrails for all of these machines."""
    return all(asker.principal.may(roles.WRITE_GUARDRAIL, one.machine.id) for one in found)
