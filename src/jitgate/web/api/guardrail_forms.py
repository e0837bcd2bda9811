"""A guardrail as a plain document, and back."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from jitgate.core import duration, guardrail, policy, prefixes, resource_id
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.guardrail import Enforcement, Guardrail, Limits, Selector
from jitgate.store.guardrails import Proposal
from jitgate.web.api.forms import Form, Shown, Text, texts

MOST_TAGS = 50


class SelectorForm(Form):
    """Which machines and ports: everything below `scope`, with all of `tags`; all ports if `ports` is empty."""

    scope: Text = "/"
    tags: Mapping[Text, Text] = Field(default={}, max_length=MOST_TAGS)
    ports: list[int] = Field(default=[], max_length=policy.MOST_PORTS)


class LimitsForm(Form):
    """What it demands. What is left out, it says nothing about."""

    approvals: int = Field(default=0, description="How many others have to agree.")
    reason_required: bool = False
    reason_pattern: Text | None = Field(
        None, examples=["INC-#*"], description="The whole justification must match; `*` any text, `#` digits."
    )
    session: SessionEnd | None = Field(default=None, description="`end`: established sessions are cut at the deadline.")
    sources: list[Text] | None = Field(default=None, description="A request must stay inside these.")
    caller_only: bool = Field(default=False, description="A request may open for the caller's own address only.")
    max_duration: Text | None = Field(default=None, examples=["PT1H"])
    approval_wait: Text | None = Field(default=None, description="How long a request may wait for its approvals.")
    enforcement: Enforcement | None = None


class GuardrailForm(Form):
    """What a guardrail says."""

    selector: SelectorForm = SelectorForm()
    limits: LimitsForm


class ShownGuardrail(GuardrailForm):
    """A guardrail. Its `selector` and `limits` can be put back as they are."""

    name: str


class ShownProposal(Shown):
    """A change that waits for a second administrator. `guardrail`: what it would be; null: it would be removed."""

    name: str
    guardrail: ShownGuardrail | None
    proposed_time_utc: datetime
    proposed_by: str


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
        name=waiting.name,
        guardrail=None if waiting.guardrail is None else show(waiting.guardrail),
        proposed_time_utc=waiting.at,
        proposed_by=waiting.by,
    )


def _limits(form: LimitsForm) -> Limits:
    return Limits(
        approvals=form.approvals,
        reason_required=form.reason_required,
        reason_pattern=form.reason_pattern,
        session=form.session,
        sources=None if form.sources is None else prefixes.parse_all(form.sources, "limits.sources"),
        caller_only=form.caller_only,
        max_duration=_length(form.max_duration, "limits.maxDuration"),
        approval_wait=_length(form.approval_wait, "limits.approvalWait"),
        enforcement=form.enforcement,
    )


def _show_limits(limits: Limits) -> LimitsForm:
    return LimitsForm(
        approvals=limits.approvals,
        reason_required=limits.reason_required,
        reason_pattern=limits.reason_pattern,
        session=limits.session,
        sources=None if limits.sources is None else texts(limits.sources),
        caller_only=limits.caller_only,
        max_duration=_iso(limits.max_duration),
        approval_wait=_iso(limits.approval_wait),
        enforcement=limits.enforcement,
    )


def _length(text: str | None, field: str) -> timedelta | None:
    return None if text is None else duration.parse(text, field).length


def _iso(length: timedelta | None) -> str | None:
    return None if length is None else duration.iso(length)
