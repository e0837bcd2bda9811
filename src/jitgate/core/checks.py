"""The checks of a decision: each looks at one port of one machine and answers with a reason, or nothing.

They run in the order in which people want to be told. A check that raises counts as no.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jitgate.core import eligibility, guardrail, prefixes
from jitgate.core.access import Ask, PortAsk, Span
from jitgate.core.duration import Duration, describe, iso
from jitgate.core.errors import Reason
from jitgate.core.guardrail import Strictest
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy, PortRule
from jitgate.core.roles import Principal

FARTHEST_START = timedelta(days=30)
NO_RIGHT = "AuthorizationFailed"


@dataclass(frozen=True, slots=True)
class Question:
    """One port of one machine under one rule of one policy: what a check looks at."""

    ask: Ask
    port: PortAsk
    machine: Machine
    policy: Policy
    rule: PortRule
    limits: Strictest
    principal: Principal
    now: datetime

    @property
    def begins(self) -> datetime:
        """When access would begin."""
        return self.ask.start or self.now

    @property
    def longest(self) -> Duration:
        """The policy's maximum, or a guardrail's where that is shorter."""
        of_policy, of_guardrail = self.rule.max_duration, self.limits.max_duration
        if of_guardrail is None or of_policy.length <= of_guardrail:
            return of_policy
        return Duration(iso(of_guardrail), of_guardrail)

    @property
    def span(self) -> Span:
        """How long access would last: what was asked for, else as long as it may."""
        return self.port.span or Span(duration=self.longest)

    def reason(self, code: str, name: str, message: str, allowed: str = "") -> Reason:
        """A reason against this port; `name` is the field below it that failed, "" for the port itself."""
        where = f"{self.port.field}.{name}" if name else self.port.field
        return Reason(code, where, f"{message} (port {self.rule.number} of {self.machine.name})", allowed)


Check = Callable[[Question], Reason | None]


def reasons_against(question: Question) -> tuple[Reason, ...]:
    """All reasons against one port; empty: allowed. Who lacks the right is not told what else the limits are."""
    found: list[Reason] = []
    for check in CHECKS:
        reason = _ask_safely(check, question)
        if reason is not None:
            found.append(reason)
            if check is may_ask:
                break
    return tuple(found)


def may_ask(q: Question) -> Reason | None:
    """The principal holds the right to initiate; in Azure, also the reads that Azure demands."""
    missing = eligibility.lacking(q.principal, q.policy.id.text, q.machine)
    return None if missing is None else lacks(q.port, *missing)


def machine_is_supported(q: Question) -> Reason | None:
    """The machine has a firewall in front of it that jitgate can drive."""
    if q.machine.unsupported:
        return q.reason("MachineNotSupported", "", q.machine.unsupported)
    return None


def sources_are_inside_the_policy(q: Question) -> Reason | None:
    """Real containment: an address inside an allowed range is allowed."""
    outside = prefixes.first_outside(q.port.sources, q.rule.sources)
    if outside is None:
        return None
    return q.reason(
        "SourceNotAllowed",
        _SOURCE,
        f"{prefixes.text(outside)} is outside the policy",
        prefixes.describe(q.rule.sources),
    )


def sources_are_inside_the_guardrails(q: Question) -> Reason | None:
    """Each guardrail that names sources holds the request to them."""
    for allowed in q.limits.source_sets:
        outside = prefixes.first_outside(q.port.sources, allowed)
        if outside is not None:
            return q.reason(
                "SourceNotAllowed",
                _SOURCE,
                f"{prefixes.text(outside)} is outside a guardrail",
                prefixes.describe(allowed),
            )
    return None


def source_is_the_caller(q: Question) -> Reason | None:
    """Where a guardrail says so, only the address that the call came from."""
    if not q.limits.caller_only or (q.ask.caller is not None and q.port.sources == (q.ask.caller,)):
        return None
    allowed = prefixes.text(q.ask.caller) if q.ask.caller else "your own address, which this call does not show"
    return q.reason("SourceNotAllowed", _SOURCE, "a guardrail allows only the caller's own address", allowed)


def start_is_near(q: Question) -> Reason | None:
    """A scheduled start lies ahead, and not too far."""
    if q.ask.start is None or q.now <= q.ask.start <= q.now + FARTHEST_START:
        return None
    return Reason(
        "StartNotAllowed",
        "startTimeUtc",
        f"the start {_utc(q.ask.start)} is not ahead, or too far ahead",
        f"{_utc(q.now)} to {_utc(q.now + FARTHEST_START)}",
    )


def end_is_ahead(q: Question) -> Reason | None:
    """The end lies after the start; a client that sent local time as UTC sees both times here."""
    end = q.span.end_from(q.begins)
    if end > q.begins:
        return None
    return q.reason(
        "EndInThePast",
        q_end(q),
        f"the end {_utc(end)} is not after {_utc(q.begins)}; times are UTC",
        f"later than {_utc(q.begins)}",
    )


def access_is_short_enough(q: Question) -> Reason | None:
    """Not longer than the policy and every guardrail allow."""
    asked = q.span.end_from(q.begins) - q.begins
    if asked <= q.longest.length:
        return None
    return q.reason(
        "TooLong",
        q_end(q),
        f"{describe(asked)} is longer than allowed",
        f"at most {describe(q.longest.length)} ({q.longest}), that is until {_utc(q.begins + q.longest.length)}",
    )


def justification_is_given(q: Question) -> Reason | None:
    """Where a guardrail requires a reason, there is one, and it has the required form."""
    said = q.ask.justification.strip()
    if q.limits.reason_required and not said:
        return Reason("JustificationRequired", "justification", "a guardrail requires a justification", _form(q.limits))
    if not all(guardrail.matches(pattern, said) for pattern in q.limits.reason_patterns):
        return Reason(
            "JustificationRequired", "justification", "the justification has not the required form", _form(q.limits)
        )
    return None


CHECKS: tuple[Check, ...] = (
    may_ask,
    machine_is_supported,
    sources_are_inside_the_policy,
    sources_are_inside_the_guardrails,
    source_is_the_caller,
    start_is_near,
    end_is_ahead,
    access_is_short_enough,
    justification_is_given,
)

_SOURCE = "allowedSourceAddressPrefix"


def q_end(q: Question) -> str:
    """The field that said when access shall end."""
    return "duration" if q.span.duration is not None else "endTimeUtc"


def _ask_safely(check: Check, question: Question) -> Reason | None:
    try:
        return check(question)
    except Exception as error:  # noqa: BLE001 - whatever breaks in a check, it must not open a port
        return question.reason(
            "CheckFailed", "", f"the check {check.__name__} failed ({type(error).__name__}), which counts as no"
        )


def lacks(port: PortAsk, action: str, resource: str) -> Reason:
    """Says the same whether the policy has the port or not."""
    return Reason(NO_RIGHT, port.field, f"you lack the right {action} at {resource}", "a role that holds it")


def _form(limits: Strictest) -> str:
    patterns = " and ".join(repr(pattern) for pattern in limits.reason_patterns)
    return f"a text of the form {patterns} (* any text, # digits)" if patterns else "a text that says why"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
