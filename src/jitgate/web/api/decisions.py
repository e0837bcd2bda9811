"""Decisions as the native API shows them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from jitgate.core import duration
from jitgate.core.access import Terms
from jitgate.core.decide import Allowed, Decision, Denied, NeedsApproval
from jitgate.core.desired import SessionEnd
from jitgate.core.machine import Machine
from jitgate.web.api.forms import Shown, texts
from jitgate.web.api.values import Length, MachineName, OfProtocol, PortNumber, Session, Sources
from jitgate.web.api.words import in_our_words


class DecisionWord(StrEnum):
    """The decision in a word."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needsApproval"
    DENIED = "denied"


class ShownTerms(Shown):
    """One port that would open."""

    machine: MachineName
    port: PortNumber
    protocol: OfProtocol
    sources: Sources
    session: Session
    session_note: str = Field(
        description="Why sessions that shall end with the grant go on here all the same; empty: they do not."
    )
    policy: str = Field(description="The id of the policy that allows it.")
    duration: Length
    end_time_utc: datetime | None = Field(
        description="When it would end, in UTC; null: it has a duration, which begins to run at its opening."
    )


class ShownReason(Shown):
    """Why not: the failing field, and what would have been accepted."""

    code: str = Field(description="What kind of reason it is, for programs.")
    field: str = Field(description="The failing field, as the caller wrote it; empty: none is to blame.")
    message: str = Field(description="What is wrong, for people.")
    allowed: str = Field(description="What would have been accepted; empty: nothing would.")


class ShownDecision(Shown):
    """What would be decided."""

    decision: DecisionWord = Field(description="Whether it would be granted, at once or after approval.")
    terms: list[ShownTerms] = Field(default=[], description="What would open, port by port; empty where it is denied.")
    reasons: list[ShownReason] = Field(default=[], description="Each reason against it; empty where there is none.")
    approvals: int = Field(default=0, description="How many others would have to agree.")
    approval_wait: str | None = Field(
        default=None, description="How long the request would wait for them, ISO 8601; null: none are needed."
    )
    guardrails: list[str] = Field(default=[], description="The guardrails that ask for the approvals.")


def decision(found: Decision, machines: Mapping[str, Machine]) -> ShownDecision:
    """A decision as it is shown. `machines` by UUID, for their names."""
    if isinstance(found, Denied):
        return ShownDecision(decision=DecisionWord.DENIED, reasons=reasons(found))
    terms = [_terms(each, machines) for each in found.terms]
    if isinstance(found, Allowed):
        return ShownDecision(decision=DecisionWord.ALLOWED, terms=terms)
    return _needs_approval(found, terms)


def reasons(found: Denied) -> list[ShownReason]:
    """The reasons in the words of this API."""
    ours = map(in_our_words, found.reasons)
    return [ShownReason(code=r.code, field=r.field, message=r.message, allowed=r.allowed) for r in ours]


def _needs_approval(found: NeedsApproval, terms: list[ShownTerms]) -> ShownDecision:
    return ShownDecision(
        decision=DecisionWord.NEEDS_APPROVAL,
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
        # What cannot be promised, said before anything is asked for.
        session_note=machines[terms.machine].sessions_go_on if terms.session is SessionEnd.END else "",
        policy=terms.policy,
        duration=None if terms.span.duration is None else str(terms.span.duration),
        end_time_utc=terms.span.end,
    )
