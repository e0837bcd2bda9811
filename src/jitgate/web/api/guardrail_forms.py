"""A guardrail as a plain document, and back."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from jitgate.core import duration, guardrail, policy, prefixes, resource_id, windows
from jitgate.core.approval import MOST_APPROVERS, MOST_STEPS, Approver, Step, parse_approver
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.core.windows import MOST_WINDOWS, Window
from jitgate.store.guardrails import Proposal
from jitgate.web.api.forms import MOST_TAGS, Form, Shown, Text, texts
from jitgate.web.api.values import Tags


class SelectorForm(Form):
    """Which machines and ports: everything below `scope`, with all of `tags`; all ports if `ports` is empty."""

    scope: Text = Field(default="/", description="The machines below this scope path; `/` is all.")
    tags: Mapping[Text, Text] = Field(default={}, max_length=MOST_TAGS, description=Tags)
    ports: list[int] = Field(
        default=[], max_length=policy.MOST_PORTS, description="These ports of them, each 1 to 65535; empty: all."
    )


class StepForm(Form):
    """So many approvals by some of these; steps follow on each other."""

    approvals: int = Field(default=1, description="How many have to agree, 1 to 10.")
    approvers: list[Text] = Field(
        default=[],
        examples=[["group:ops", "user:alice", "owner"]],
        description="Who may decide: `user:NAME`, `group:NAME`, or `owner` for those of the machine's tag of this "
        "name. They need the right, too. Empty: whoever holds it.",
        max_length=MOST_APPROVERS,
    )
    escalate_after: Text | None = Field(
        default=None, description="After so much waiting, ISO 8601, `escalateTo` may decide too. Left out: never."
    )
    escalate_to: list[Text] = Field(
        default=[],
        description="Who may decide then, written as `approvers`. Empty: whoever holds the right.",
        max_length=MOST_APPROVERS,
    )
    windows: list[Text] = Field(
        default=[],
        description="Hours of the week in which they may decide, as in the limits; empty: always.",
        max_length=MOST_WINDOWS,
    )


class LimitsForm(Form):
    """What it demands. What is left out, it says nothing about."""

    approvals: int = Field(default=0, description="How many others have to agree, 0 to 10.")
    steps: list[StepForm] = Field(
        default=[], description="Who has to agree, step by step, in place of `approvals`.", max_length=MOST_STEPS
    )
    reason_required: bool = Field(default=False, description="A justification must be given.")
    reason_pattern: Text | None = Field(
        None,
        examples=["INC-#*"],
        description="What the whole justification must match: `*` any text, `#` digits. Left out: anything.",
    )
    session: SessionEnd | None = Field(
        default=None,
        description="`end`: established sessions are cut at the deadline. `keep`: they go on. Where none says: `keep`.",
    )
    sources: list[Text] | None = Field(
        default=None,
        description="A request must stay inside these addresses and CIDR prefixes. Left out: any.",
    )
    caller_only: bool = Field(default=False, description="A request may open for the caller's own address only.")
    max_duration: Text | None = Field(
        default=None,
        examples=["PT1H"],
        description="The longest access, ISO 8601. Left out: as long as policies allow.",
    )
    approval_wait: Text | None = Field(
        default=None, description="How long a request may wait for its approvals, ISO 8601. Where none says: a day."
    )
    windows: list[Text] = Field(
        default=[],
        examples=[["Mon-Fri 09:00-17:00 Europe/Berlin"]],
        description="Hours of the week that access must lie within from its beginning to its end; empty: any.",
        max_length=MOST_WINDOWS,
    )
    enforcement: Enforcement | None = Field(
        default=None,
        description="`observe` decides and records, and leaves the firewall alone; `enforce` shuts and opens. "
        "Where none says: `enforce`.",
    )


class GuardrailForm(Form):
    """What a guardrail says."""

    selector: SelectorForm = Field(default=SelectorForm(), description="What it covers. Left out: everything.")
    limits: LimitsForm = Field(description="What it demands.")


class ShownGuardrail(GuardrailForm):
    """A guardrail. Its `selector` and `limits` can be put back as they are."""

    name: str = Field(description="The guardrail's name.")


class ShownProposal(Shown):
    """A change that waits for a second administrator. `guardrail`: what it would be; null: it would be removed."""

    id: str = Field(description="Names this very change, to confirm it.")
    name: str = Field(description="The guardrail's name.")
    guardrail: ShownGuardrail | None = Field(description="What it would be; null: it would be removed.")
    proposed_time_utc: datetime = Field(description="When it was proposed, in UTC.")
    proposed_by: str = Field(description="The id of who proposed it. Somebody else has to confirm it.")


def read(name: str, form: GuardrailForm) -> Guardrail:
    """A guardrail out of a document. Raises Invalid."""
    resource_id.check_name(name, "guardrail")
    if not form.selector.scope.startswith("/"):
        raise Invalid("selector.scope", "this is not a scope path", allowed="/, or /subscriptions/… or any id below")
    ports = [policy.check_number(port, f"selector.ports[{at}]") for at, port in enumerate(form.selector.ports)]
    selector = Selector(form.selector.scope, dict(form.selector.tags), frozenset(ports))
    return guardrail.check(Guardrail(name, selector, _limits(form.limits)))


def show(held: Guardrail) -> ShownGuardrail:
    """A guardrail as a document."""
    selector = SelectorForm(scope=held.selector.scope, tags=held.selector.tags, ports=sorted(held.selector.ports))
    return ShownGuardrail(name=held.name, selector=selector, limits=_show_limits(held.limits))


def show_proposal(waiting: Proposal) -> ShownProposal:
    """A waiting change as a document."""
    return ShownProposal(
        id=waiting.mark,
        name=waiting.name,
        guardrail=None if waiting.guardrail is None else show(waiting.guardrail),
        proposed_time_utc=waiting.at,
        proposed_by=waiting.by,
    )


def _limits(form: LimitsForm) -> Limits:
    return Limits(
        approvals=form.approvals,
        steps=tuple(_step(step, f"limits.steps[{at}]") for at, step in enumerate(form.steps)),
        reason_required=form.reason_required,
        reason_pattern=form.reason_pattern,
        session=form.session,
        sources=None if form.sources is None else prefixes.parse_all(form.sources, "limits.sources"),
        caller_only=form.caller_only,
        max_duration=_length(form.max_duration, "limits.maxDuration"),
        approval_wait=_length(form.approval_wait, "limits.approvalWait"),
        windows=_windows(form.windows, "limits.windows"),
        enforcement=form.enforcement,
    )


def _step(form: StepForm, field: str) -> Step:
    return Step(
        approvals=form.approvals,
        approvers=_approvers(form.approvers, f"{field}.approvers"),
        escalate_after=_length(form.escalate_after, f"{field}.escalateAfter"),
        escalate_to=_approvers(form.escalate_to, f"{field}.escalateTo"),
        windows=_windows(form.windows, f"{field}.windows"),
    )


def _show_step(step: Step) -> StepForm:
    return StepForm(
        approvals=step.approvals,
        approvers=list(map(str, step.approvers)),
        escalate_after=_iso(step.escalate_after),
        escalate_to=list(map(str, step.escalate_to)),
        windows=list(map(str, step.windows)),
    )


def _approvers(given: list[Text], field: str) -> tuple[Approver, ...]:
    return tuple(parse_approver(text, f"{field}[{at}]") for at, text in enumerate(given))


def _windows(given: list[Text], field: str) -> tuple[Window, ...]:
    return tuple(windows.parse(text, f"{field}[{at}]") for at, text in enumerate(given))


def _show_limits(limits: Limits) -> LimitsForm:
    return LimitsForm(
        approvals=limits.approvals,
        steps=list(map(_show_step, limits.steps)),
        reason_required=limits.reason_required,
        reason_pattern=limits.reason_pattern,
        session=limits.session,
        sources=None if limits.sources is None else texts(limits.sources),
        caller_only=limits.caller_only,
        max_duration=_iso(limits.max_duration),
        approval_wait=_iso(limits.approval_wait),
        windows=list(map(str, limits.windows)),
        enforcement=limits.enforcement,
    )


def _length(text: str | None, field: str) -> timedelta | None:
    return None if text is None else duration.parse(text, field).length


def _iso(length: timedelta | None) -> str | None:
    return None if length is None else duration.iso(length)
