"""The checks of a decision: each looks at one port of one machine and answers with a reason, or nothing.

They run in the order in which people want to be told. A check that raises counts as no.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jitgate.core import eligibility, guardrail, prefixes
from jitgate.core.access import Ask, PortAsk, Span
from jitgate.core.desired import Protocol
from jitgate.core.duration import Duration, describe, iso
from jitgate.core.errors import Reason
from jitgate.core.freeze import Freeze
from jitgate.core.guardrail import NO_LIMITS, Strictest
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy, PortRule
from jitgate.core.roles import BREAK_GLASS, Principal
from jitgate.core.windows import open_until

FARTHEST_START = timedelta(days=30)
LONGEST_BREAK_GLASS = timedelta(hours=1)
"""Long enough to look at what burns; extending it is a decision like any other."""
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
    freezes: Sequence[Freeze] = ()

    @property
    def begins(self) -> datetime:
        """When access would begin."""
        return self.ask.start or self.now

    @property
    def longest(self) -> Duration:
        """The policy's maximum, or a guardrail's, a window's or that of breaking the glass where it is shorter."""
        others = [self.limits.max_duration, self._window_left]
        others += [LONGEST_BREAK_GLASS] if self.ask.break_glass else []
        shortest = min((length for length in others if length is not None), default=self.rule.max_duration.length)
        if self.rule.max_duration.length <= shortest:
            return self.rule.max_duration
        return Duration(iso(shortest), shortest)

    @property
    def window_ends(self) -> datetime | None:
        """When the windows in which access would begin are over, at the first; None: there are none, or no longer."""
        found = [open_until(windows, self.begins) for windows in self.limits.window_sets]
        return min((end for end in found if end is not None), default=None)

    @property
    def _window_left(self) -> timedelta | None:
        # In an emergency, nobody waits for Monday.
        end = None if self.ask.break_glass else self.window_ends
        return None if end is None else end - self.begins

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
    if missing is None and q.ask.break_glass and not q.principal.may(BREAK_GLASS, q.machine.id):
        missing = BREAK_GLASS, q.machine.id
    return None if missing is None else lacks(q.port, *missing)


def nothing_is_frozen(q: Question) -> Reason | None:
    """Neither who asks nor the machine is frozen; not even breaking the glass opens what is."""
    freeze = next((one for one in q.freezes if one.holds(q.principal, q.machine.id)), None)
    if freeze is None:
        return None
    what = q.principal.name if freeze.person is not None else f"everything at {freeze.scope}"
    return q.reason("Frozen", "", f"{what} is frozen since {_utc(freeze.at)}: {freeze.why}", "once it is thawed")


def machine_is_supported(q: Question) -> Reason | None:
    """The machine has a firewall in front of it that jitgate can drive."""
    if q.machine.unsupported:
        return q.reason("MachineNotSupported", "", q.machine.unsupported)
    return None


def plan_has_jit(q: Question) -> Reason | None:
    """The machine's plan is one that has just-in-time access; Azure's words where it is not."""
    if not q.machine.uncovered:
        return None
    return not_onboarded(q.machine, q.port.field)


def protocol_gets_there(q: Question) -> Reason | None:
    """A gateway relays TCP only. What asks for both gets TCP, and is told so; UDP alone would be nothing."""
    wanted = q.port.protocol or q.rule.protocol
    if not q.machine.is_tcp_only or wanted is not Protocol.UDP:
        return None
    return q.reason(
        "ProtocolNotSupported", "protocol", "a gateway relays TCP only, so UDP cannot be opened", "TCP or *"
    )


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
    """A scheduled start lies ahead, and not too far; an emergency is now."""
    if q.ask.start is not None and q.ask.break_glass:
        return Reason("StartNotAllowed", "startTimeUtc", "breaking the glass opens at once", "no start")
    if q.ask.start is None or q.now <= q.ask.start <= q.now + FARTHEST_START:
        return None
    return Reason(
        "StartNotAllowed",
        "startTimeUtc",
        f"the start {_utc(q.ask.start)} is not ahead, or too far ahead",
        f"{_utc(q.now)} to {_utc(q.now + FARTHEST_START)}",
    )


def is_inside_the_windows(q: Question) -> Reason | None:
    """Where guardrails name windows, access begins in one of each. How long it may last follows from that."""
    for windows in () if q.ask.break_glass else q.limits.window_sets:
        if open_until(windows, q.begins) is None:
            return Reason(
                "OutsideWindow",
                "startTimeUtc",
                f"{_utc(q.begins)} is outside the windows of a guardrail (port {q.rule.number} of {q.machine.name})",
                "; ".join(map(str, windows)),
            )
    return None


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
    if q.ask.break_glass and not said:
        return Reason("JustificationRequired", "justification", "breaking the glass needs a reason", _form(NO_LIMITS))
    if q.limits.reason_required and not said:
        return Reason("JustificationRequired", "justification", "a guardrail requires a justification", _form(q.limits))
    if not all(guardrail.matches(pattern, said) for pattern in q.limits.reason_patterns):
        return Reason(
            "JustificationRequired", "justification", "the justification has not the required form", _form(q.limits)
        )
    return None


CHECKS: tuple[Check, ...] = (
    may_ask,
    nothing_is_frozen,
    machine_is_supported,
    plan_has_jit,
    protocol_gets_there,
    sources_are_inside_the_policy,
    sources_are_inside_the_guardrails,
    source_is_the_caller,
    start_is_near,
    is_inside_the_windows,
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


def not_onboarded(machine: Machine, field: str) -> Reason:
    """What Azure says where the plan is off, and what would do."""
    return Reason(
        "PlanRequired",
        field,
        f"'{machine.name}' is not onboarded to Defender For Servers offering",
        f"the plan Standard, P2; it is under {machine.uncovered}",
    )


def _form(limits: Strictest) -> str:
    patterns = " and ".join(repr(pattern) for pattern in limits.reason_patterns)
    return f"a text of the form {patterns} (* any text, # digits)" if patterns else "a text that says why"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
