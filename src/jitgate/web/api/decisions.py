"""Decisions as the native API shows them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from jitgate.core import duration
from jitgate.core.access import Terms
from jitgate.core.decide import Allowed, Decision, Denied, NeedsApproval
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.machine import Machine
from jitgate.web.api.forms import Shown, texts
from jitgate.web.api.words import in_our_words


class Verdict(StrEnum):
    """The decision in a word."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needsApproval"
    DENIED = "denied"


class ShownTerms(Shown):
    """One port that would open."""

    machine: str
    port: int
    protocol: Protocol
    sources: list[str]
    session: SessionEnd
    policy: str
    duration: str | None
    end_time_utc: datetime | None


class ShownReason(Shown):
    """Why not: the failing field, and what would have been accepted."""

    code: str
    field: str
    message: str
    allowed: str


class ShownDecision(Shown):
    """What would be decided."""

    decision: Verdict
    terms: list[ShownTerms] = Field(default=[])
    reasons: list[ShownReason] = Field(default=[])
    approvals: int = Field(default=0, description="How many others would have to agree.")
    approval_wait: str | None = Field(default=None, description="How long the request would wait for them, ISO 8601.")
    guardrails: list[str] = Field(default=[], description="The guardrails that ask for the approvals.")


def decision(found: Decision, machines: Mapping[str, Machine]) -> ShownDecision:
    """A decision as it is shown. `machines` by UUID, for their names."""
    if isinstance(found, Denied):
        return ShownDecision(decision=Verdict.DENIED, reasons=reasons(found))
    terms = [_terms(each, machines) for each in found.terms]
    if isinstance(found, Allowed):
        return ShownDecision(decision=Verdict.ALLOWED, terms=terms)
    return _needs_approval(found, terms)


def reasons(found: Denied) -> list[ShownReason]:
    """The reasons in the words of this API."""
    ours = map(in_our_words, found.reasons)
    return [ShownReason(code=r.code, field=r.field, message=r.message, allowed=r.allowed) for r in ours]


def _needs_approval(found: NeedsApproval, terms: list[ShownTerms]) -> ShownDecision:
    return ShownDecision(
        decision=Verdict.NEEDS_APPROVAL,
        terms=terms,
        approvals=found.approvals,
        approval_wait=duration.iso(found.wait),
        guardrails=list(found.guardrails),
    )


def _terms(terms: Terms, machines: Mapping[str, Machine]) -> ShownTerms:
    return ShownTerms(
        machine=machines[terms.machine].name,
        port=terms.port,
        protocol=terms.protocol,
        sources=texts(terms.sources),
        session=terms.session,
        policy=terms.policy,
        duration=None if terms.span.duration is None else str(terms.span.duration),
        end_time_utc=terms.span.end,
    )
