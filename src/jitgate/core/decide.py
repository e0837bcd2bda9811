"""The decision: may this principal have these ports, from these sources, for this long?

A decision is a value. It comes from the ordered checks of `jitgate.core.checks`: whatever has a reason against it
is denied, with all its reasons. "Why can't I?" is this same code.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitgate.core import approval, guardrail, prefixes, roles
from jitgate.core.access import Ask, MachineAsk, PortAsk, Terms
from jitgate.core.approval import Need
from jitgate.core.checks import NO_RIGHT, Question, lacks, reasons_against
from jitgate.core.desired import Protocol
from jitgate.core.eligibility import may_initiate
from jitgate.core.errors import Reason
from jitgate.core.freeze import Freeze
from jitgate.core.guardrail import DEFAULT_APPROVAL_WAIT, Guardrail
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy, PortRule
from jitgate.core.roles import Principal

TCP_ONLY = "opened for TCP only: a gateway relays nothing else"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Open these now, or at the asked start."""

    terms: tuple[Terms, ...]


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """Open these once so many others have agreed, if they do within `wait`.

    `guardrails`: those that ask for it. `needs`: who has to agree, for each of them and each machine.
    """

    terms: tuple[Terms, ...]
    approvals: int
    wait: timedelta
    guardrails: tuple[str, ...]
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Denied:
    """Open nothing; these are the reasons."""

    reasons: tuple[Reason, ...]


Decision = Allowed | NeedsApproval | Denied

MOST_WAITING = 100
"""So many requests of one person, or program, wait for approval at once: each takes a decision of whoever looks."""


def decide(
    ask: Ask,
    policies: Sequence[Policy],
    machines: Mapping[str, Machine],
    guardrails: Sequence[Guardrail],
    principal: Principal,
    now: datetime,
    freezes: Sequence[Freeze] = (),
) -> Decision:
    """Decide a whole ask: all of it, or nothing.

    `machines` by the key of their id. `freezes`: those that may concern it. Where several policies cover a port, one
    that allows is enough; of a policy that has a rule for TCP and one for UDP, both must allow what asks for neither
    by name.
    """
    reasons: list[Reason] = []
    questions: list[Question] = []
    for machine_ask, port in ask.ports():
        machine = machines.get(machine_ask.id.key)
        if machine is None:
            reasons.append(_unknown_machine(machine_ask))
            continue
        limits = guardrail.strictest(guardrails, machine, port.number)
        ways = [
            [Question(ask, port, machine, policy, rule, limits, principal, now, freezes) for rule in rules]
            for policy, rules in _rules(port, machine, policies)
        ]
        asked, found = _best(ways) if ways else ([], [_no_rule(machine_ask, port, machine, policies, principal)])
        questions += asked
        reasons += found
    if not questions and not reasons:
        reasons.append(Reason("InvalidInput", "virtualMachines", "no port is asked for", "at least one"))
    return Denied(tuple(dict.fromkeys(reasons))) if reasons else _granted(questions)


def nothing_to_move(grant: str) -> Denied:
    """The refusal of a move whose grant (by uid) was closed while the move waited."""
    return Denied((Reason("GrantIsOver", "", f"grant {grant[:8]}, which it would move, is over", "a new request"),))


def unless_nobody_can_agree(decision: Decision, others: Sequence[Principal]) -> Decision:
    """The same, or a refusal where not enough of `others`, who do not ask themselves, could ever approve."""
    lacking = approval.unanswerable(decision.needs, others) if isinstance(decision, NeedsApproval) else None
    if lacking is None:
        return decision
    return Denied(
        (
            Reason(
                "NoApprover",
                "virtualMachines",
                f"guardrail {lacking.need.guardrail} asks for approval of {lacking.need.machine.name}, and nobody can "
                f"give it: step {lacking.number} takes {lacking.approvals} more than there are",
                "approvers who hold the right to approve, and are not you",
            ),
        )
    )


def unless_too_many_wait(decision: Decision, waiting: int) -> Decision:
    """The same, or a refusal of what would wait for approval where so many requests of the same person do already."""
    if not isinstance(decision, NeedsApproval) or waiting < MOST_WAITING:
        return decision
    return Denied(
        (
            Reason(
                "TooManyWaiting",
                "virtualMachines",
                f"this takes approval, and {waiting} of your requests wait for that already",
                f"{MOST_WAITING} at most; withdraw some, or wait until they are decided",
            ),
        )
    )


def _rules(
    port: PortAsk, machine: Machine, policies: Sequence[Policy]
) -> Iterator[tuple[Policy, tuple[PortRule, ...]]]:
    """The policies that could grant a port, each with its rules for it."""
    for policy in policies:
        part = policy.machine(machine.key)
        rules = part.rules(port.number, port.protocol) if part else ()
        if machine.is_tcp_only and port.protocol is None:
            # As for one rule for both: TCP is opened, and UDP is refused only where there is nothing else.
            rules = tuple(rule for rule in rules if rule.protocol is not Protocol.UDP) or rules
        if rules:
            yield policy, rules


def _best(ways: Sequence[list[Question]]) -> tuple[list[Question], list[Reason]]:
    """The first policy without a reason against it; else, of those one may ask under, the one with the fewest."""
    answers = [(asked, [reason for question in asked for reason in reasons_against(question)]) for asked in ways]
    return min(answers, key=lambda answer: (any(r.code == NO_RIGHT for r in answer[1]), len(answer[1])))


def _granted(questions: Sequence[Question]) -> Decision:
    terms = tuple(_terms(question) for question in questions)
    approvals = max(question.limits.approvals for question in questions)
    if not approvals or questions[0].ask.break_glass:
        return Allowed(terms)
    waits = [question.limits.approval_wait for question in questions if question.limits.approval_wait]
    needs = _needs(questions)
    names = {need.guardrail for need in needs}
    return NeedsApproval(terms, approvals, min(waits, default=DEFAULT_APPROVAL_WAIT), tuple(sorted(names)), needs)


def _needs(questions: Sequence[Question]) -> tuple[Need, ...]:
    """What each guardrail asks for about each machine, once however many ports it covers."""
    found = {
        (name, q.machine.uuid): Need(name, q.machine, steps) for q in questions for name, steps in q.limits.asked_steps
    }
    return tuple(found.values())


def _terms(q: Question) -> Terms:
    protocol = q.port.protocol or q.rule.protocol
    is_less = q.machine.is_tcp_only and protocol is Protocol.ANY
    return Terms(
        machine=q.machine.uuid,
        scope=q.machine.scope,
        policy=q.policy.id.key,
        port=q.rule.number,
        protocol=Protocol.TCP if is_less else protocol,
        sources=prefixes.collapse(q.port.sources),
        session=q.limits.session,
        span=q.span,
        ask=q.port,
        remark=TCP_ONLY if is_less else "",
    )


def _unknown_machine(ask: MachineAsk) -> Reason:
    return Reason(
        "VirtualMachineNotFound",
        f"{ask.field}.id",
        f"no machine {ask.id.text} is known",
        "a machine that a connector lists",
    )


def _no_rule(
    ask: MachineAsk, port: PortAsk, machine: Machine, policies: Sequence[Policy], principal: Principal
) -> Reason:
    """Why no rule could grant a port. The ports of a policy are told to those who may ask under it."""
    holding = [policy for policy in policies if policy.machine(machine.key)]
    if not holding:
        return Reason(
            "MachineNotInPolicy", f"{ask.field}.id", f"{machine.name} has no policy here", "a machine of the policy"
        )
    usable = [policy for policy in holding if may_initiate(principal, policy.id.text, machine.id)]
    if not usable:
        return lacks(port, roles.INITIATE, holding[0].id.text)
    parts = [part for policy in usable if (part := policy.machine(machine.key))]
    known = sorted({(rule.number, str(rule.protocol)) for part in parts for rule in part.ports})
    wanted = f"port {port.number}" + (f" {port.protocol}" if port.protocol else "")
    return Reason(
        "PortNotInPolicy",
        f"{port.field}.number",
        f"{wanted} of {machine.name} is not in the policy",
        ", ".join(f"{number} ({protocol})" for number, protocol in known),
    )
