"""What auditors ask: who could open what at a moment, what changed in a policy, who uses which right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jitgate.core import eligibility, prefixes
from jitgate.core.duration import describe
from jitgate.core.guardrail import Guardrail, strictest
from jitgate.core.machine import Machine
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.resource_id import covers
from jitgate.core.roles import Assignment, Principal


@dataclass(frozen=True, slots=True)
class Standing:
    """What held at one moment. `principals`: those that could sign in, with all roles that they held."""

    principals: Sequence[Principal]
    policies: Sequence[Policy]
    guardrails: Sequence[Guardrail]
    machines: Mapping[str, Machine]


@dataclass(frozen=True, slots=True)
class Could:
    """One port that somebody could ask for. `via`: the group that the role came by. `longest`: for people."""

    person: str
    role: str
    scope: str
    via: str
    machine: str
    port: int
    protocol: str
    sources: tuple[str, ...]
    longest: str
    policy: str
    needs_approval: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What a write of a policy changed of one machine. Empty before: it came; empty after: it went."""

    machine: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """When somebody last did something, of one kind and about one thing."""

    operation: str
    resource: str
    at: datetime


def who_could(standing: Standing) -> Iterator[Could]:
    """Every port that somebody could ask for, person by person: by the same rule that decides what is asked."""
    for principal in standing.principals:
        for policy in standing.policies:
            for part in policy.machines:
                yield from _could(standing, principal, policy, part)


def changes(before: Policy | None, after: Policy | None) -> list[Change]:
    """What differs between two states of a policy, machine by machine."""
    old = {part.id.key: part for part in before.machines} if before else {}
    new = {part.id.key: part for part in after.machines} if after else {}
    return [
        Change((new.get(one) or old[one]).id.text, _texts(old.get(one)), _texts(new.get(one)))
        for one in dict.fromkeys([*old, *new])
        if old.get(one) != new.get(one)
    ]


def last_use(assignment: Assignment, uses: Sequence[Use]) -> Use | None:
    """The last thing that somebody did which a role that they hold allows where they hold it."""
    fitting = [u for u in uses if assignment.role.allows(u.operation) and covers(assignment.scope, u.resource)]
    return max(fitting, key=lambda use: use.at, default=None)


def describe_port(rule: PortRule) -> str:
    """A port of a policy, in a line."""
    return f"{rule.number} {rule.protocol} from {prefixes.describe(rule.sources)}, {describe(rule.max_duration.length)}"


def _could(standing: Standing, principal: Principal, policy: Policy, part: MachinePolicy) -> Iterator[Could]:
    machine = standing.machines.get(part.id.key)
    if machine is None or eligibility.lacking(principal, policy.id.text, machine) is not None:
        return
    given = _reason(principal, policy.id.text, machine)
    for rule in part.ports:
        limits = strictest(standing.guardrails, machine, rule.number)
        longest = min(filter(None, (rule.max_duration.length, limits.max_duration)))
        yield Could(
            person=principal.name,
            role=given.role.name,
            scope=given.scope,
            via=given.via,
            machine=machine.id,
            port=rule.number,
            protocol=str(rule.protocol),
            sources=tuple(prefixes.text(source) for source in rule.sources),
            longest=describe(longest),
            policy=policy.id.text,
            needs_approval=bool(limits.ask_approval),
        )


def _reason(principal: Principal, policy: str, machine: Machine) -> Assignment:
    """The first assignment that lets somebody ask."""
    return next(
        one
        for one in principal.assignments
        if eligibility.may_initiate(Principal(principal.uid, principal.name, (one,)), policy, machine.id)
    )


def _texts(part: MachinePolicy | None) -> tuple[str, ...]:
    return tuple(map(describe_port, part.ports)) if part else ()
