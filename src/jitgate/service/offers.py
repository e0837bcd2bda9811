"""What somebody may ask for, before they ask: machines, their ports, and the limits of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from jitgate.core import catalogue, guardrail
from jitgate.core.catalogue import Sought
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.eligibility import may_initiate
from jitgate.core.errors import NotFound
from jitgate.core.guardrail import Guardrail
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.roles import AZURE_READS, INITIATE
from jitgate.service.base import Asker, Service
from jitgate.service.catalogue import places
from jitgate.service.machines import to_ask_for
from jitgate.service.views import GrantView
from jitgate.store import catalogue as rows
from jitgate.store import guardrails, machines, policies, scopes
from jitgate.store.database import Tx


@dataclass(frozen=True, slots=True)
class PortOffer:
    """A port that a policy lets one ask for.

    `longest`    by the policy and the guardrails
    `sources`    what a request may name
    `approvals`  how many others will have to agree
    """

    number: int
    protocol: Protocol
    longest: timedelta
    sources: tuple[Prefix, ...]
    session: SessionEnd
    approvals: int
    needs_reason: bool
    caller_only: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A machine with the ports that one may ask for. `ends_sessions`: whether its firewall can cut sessions."""

    machine: Machine
    ports: tuple[PortOffer, ...]
    ends_sessions: bool = False


async def get_offers(service: Service, asker: Asker, names: Sequence[str]) -> tuple[Offer, ...]:
    """What there is to ask for of some machines, by any unique short name, id or UUID. Raises NotFound, Invalid."""

    def work(tx: Tx) -> tuple[Offer, ...]:
        found = {machine.uuid: machine for machine in (to_ask_for(tx, asker, name) for name in names)}
        rails = guardrails.list_all(tx)
        return tuple(_offer(tx, asker, machine, rails) for machine in found.values())

    return await service.store.read(work)


async def list_askable(service: Service, asker: Asker, text: str = "", limit: int = 30) -> Sequence[Machine]:
    """Machines that the asker may ask for and in whose name, addresses or tags a text is, by name; so many at most.

    Raises Invalid for a text that is too long, and for rights at too many places.
    """
    catalogue.check(Sought(text=text))
    inside = places(asker, "/", INITIATE)
    reads = [places(asker, "/", action) for action in AZURE_READS]
    return await service.store.read(lambda tx: rows.askable(tx, text, inside, reads, limit))


async def longest_of(service: Service, asker: Asker, views: Sequence[GrantView]) -> Mapping[str, timedelta]:
    """By grant for how long its port could be asked for now; nothing where it could not be."""

    def work(tx: Tx) -> Mapping[str, timedelta]:
        rails = guardrails.list_all(tx)
        longest: dict[tuple[str, int], timedelta] = {}
        for machine in machines.get_many(tx, {view.grant.machine for view in views}).values():
            for port in (_port(rule, machine, rails) for rule in _rules(_usable(tx, asker, machine), machine)):
                at = machine.uuid, port.number
                longest[at] = max(port.longest, longest.get(at, port.longest))
        keys = {view.grant.uid: (view.grant.machine, view.grant.port) for view in views}
        return {uid: longest[at] for uid, at in keys.items() if at in longest}

    return await service.store.read(work)


def _ids(tx: Tx, machine: Machine) -> Sequence[str]:
    return policies.ids_covering(tx, [machine.key]).get(machine.key, ())


def _offer(tx: Tx, asker: Asker, machine: Machine, rails: Sequence[Guardrail]) -> Offer:
    usable = _usable(tx, asker, machine)
    if not usable:
        why = "You may not ask for it" if _ids(tx, machine) else "Just-in-time access is not enabled on it"
        raise NotFound(f"There is nothing to ask for on {machine.name}. {why}: an administrator can change that.")
    state = scopes.get(tx, machine.scope)
    ends = bool(state.report.get("endsSessions", False)) if state else False
    return Offer(machine, tuple(_port(rule, machine, rails) for rule in _rules(usable, machine)), ends)


def _usable(tx: Tx, asker: Asker, machine: Machine) -> Sequence[Policy]:
    """The policies under which one may ask for a machine."""
    covering = (policy for _, policy in policies.covering(tx, [machine.key]))
    return [policy for policy in covering if may_initiate(asker.principal, policy.id.text, machine.id)]


def _rules(usable: Sequence[Policy], machine: Machine) -> Sequence[PortRule]:
    """Each port once, from whichever policy lets it be open for longest."""
    found: dict[tuple[int, Protocol], PortRule] = {}
    for policy in usable:
        part = policy.machine(machine.key)
        for rule in part.ports if part else ():
            known = found.get((rule.number, rule.protocol))
            if known is None or known.max_duration.length < rule.max_duration.length:
                found[rule.number, rule.protocol] = rule
    return [found[one] for one in sorted(found)]


def _port(rule: PortRule, machine: Machine, rails: Sequence[Guardrail]) -> PortOffer:
    limits = guardrail.strictest(rails, machine, rule.number)
    lengths = [rule.max_duration.length, *([limits.max_duration] if limits.max_duration else [])]
    return PortOffer(
        number=rule.number,
        protocol=rule.protocol,
        longest=min(lengths),
        sources=rule.sources,
        session=limits.session,
        approvals=limits.approvals,
        needs_reason=limits.reason_required or bool(limits.reason_patterns),
        caller_only=limits.caller_only,
    )
