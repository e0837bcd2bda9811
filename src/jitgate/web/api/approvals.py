"""Approvals: what waits for the caller, and what they say to it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core.duration import Duration, parse
from jitgate.service import approvals, deciding, reviews
from jitgate.service.approvals import LONGEST_NOTE
from jitgate.service.views import WaitingView
from jitgate.store.approvals import Verdict
from jitgate.web.api import shown
from jitgate.web.api.forms import After, Form, Limit, Listing, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.shown import ShownRequest
from jitgate.web.api.values import WaitUntil
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(tags=["approvals"], route_class=NativeRoute, responses=REFUSALS)

Uid = Annotated[Text, Path(alias="request", description="A request's id, or its first characters: four at least.")]


class NoteForm(Form):
    """What is said with a decision; it goes on record, and the requester can read it."""

    note: Text = Field(default="", max_length=LONGEST_NOTE, description="What to say. Left out: nothing.")


class ApprovalForm(NoteForm):
    """What is said with an approval, and how long access may last at most."""

    duration: Text | None = Field(
        default=None,
        description="The longest that access may last, ISO 8601; no longer than asked for. Left out: as asked for.",
        examples=["PT30M"],
    )

    @property
    def most(self) -> Duration | None:
        """The time as the use case takes it. Raises Invalid."""
        return None if self.duration is None else parse(self.duration, "duration")


class FindingForm(Form):
    """What a review has found."""

    note: Text = Field(max_length=LONGEST_NOTE, description="What was found. It goes on record.")


class LinkForm(ApprovalForm):
    """What the link of a notification says, and what its approver says."""

    link: Text = Field(examples=["jga_…"], description="What stands behind `#` in the link; it is secret.")
    verdict: Verdict = Field(description="What is decided.")


class ShownWaiting(Shown):
    """A request that waits, as one of its approvers sees it."""

    request: ShownRequest = Field(description="The request, with its grants.")
    missing: str = Field(description="Which approvals it lacks, for people.")
    wait_until_utc: WaitUntil
    is_mine: bool = Field(description="Whether the caller may decide it now, or only at a later step.")
    refused: str = Field(description="Why it would not be granted any more; empty if it would.")


class ShownLongest(Shown):
    """How long one grant could last, by policies and guardrails as they are now."""

    grant: str = Field(description="The grant's id.")
    duration: str = Field(description="The longest that it could last, ISO 8601.")


class ShownConsidered(Shown):
    """A request with what matters to whoever decides it."""

    request: ShownRequest = Field(description="The request, with its grants.")
    waiting: ShownWaiting | None = Field(
        description="What it lacks; null: it waits no more, or is not for the caller to decide."
    )
    longest: list[ShownLongest] = Field(description="Grant by grant; empty: it would be granted no more.")
    earlier: list[ShownRequest] = Field(description="What the same person asked for last, of what the caller may read.")


class Reviews(Shown):
    """Requests that broke the glass."""

    items: list[ShownRequest] = Field(description="The oldest first.")


@router.get("/approvals", summary="What waits for me")
async def list_waiting(
    service: CurrentService,
    asker: CurrentAsker,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownWaiting]:
    """The requests that wait for approval and that the caller may decide, now or at a later step, the oldest first."""
    page = await approvals.list_waiting(service, asker, limit=limit, after=after)
    return Listing(items=[_waiting(view) for view in page.items], after=page.after)


@router.get("/approvals/{request}", summary="One request, to decide it")
async def consider(uid: Uid, service: CurrentService, asker: CurrentAsker) -> ShownConsidered:
    """A request with what matters to whoever decides it; once it is decided, what became of it."""
    view = await deciding.consider(service, asker, uid)
    return ShownConsidered(
        request=shown.request(view.request),
        waiting=None if view.waiting is None else _waiting(view.waiting),
        longest=[ShownLongest(grant=grant, duration=str(length)) for grant, length in view.longest.items()],
        earlier=[shown.request(one) for one in view.earlier],
    )


@router.post("/approvals/link", summary="Decide by the link of a notification")
async def decide_by_link(form: LinkForm, service: CurrentService, asker: CurrentAsker) -> ShownRequest:
    """Approve or deny with a link. It is good once, for the approver that it was sent to, who signs in all the same."""
    return shown.request(await approvals.decide_by_link(service, asker, form.link, form.verdict, form.note, form.most))


@router.post("/requests/{request}/approve", summary="Approve")
async def approve(uid: Uid, form: ApprovalForm, service: CurrentService, asker: CurrentAsker) -> ShownRequest:
    """Agree to somebody else's request. Its grants' `state` says whether that was the last approval it needed."""
    return shown.request(await approvals.approve(service, asker, uid, form.note, form.most))


@router.post("/requests/{request}/deny", summary="Deny")
async def deny(uid: Uid, form: NoteForm, service: CurrentService, asker: CurrentAsker) -> ShownRequest:
    """Refuse somebody else's request, which ends it."""
    return shown.request(await approvals.deny(service, asker, uid, form.note))


@router.post("/requests/{request}/withdraw", summary="Withdraw")
async def withdraw(uid: Uid, service: CurrentService, asker: CurrentAsker) -> ShownRequest:
    """Take back one's own request that has not opened yet."""
    return shown.request(await approvals.withdraw(service, asker, uid))


@router.get("/reviews", summary="What broke the glass and was not reviewed")
async def list_reviews(service: CurrentService, asker: CurrentAsker) -> Reviews:
    """The requests that broke the glass and that nobody has looked at yet, the oldest first."""
    return Reviews(items=[shown.request(view) for view in await reviews.list_reviews(service, asker)])


@router.post("/requests/{request}/review", summary="Review")
async def review(uid: Uid, form: FindingForm, service: CurrentService, asker: CurrentAsker) -> ShownRequest:
    """Close the review of somebody else's request that broke the glass, with what was found."""
    return shown.request(await reviews.review(service, asker, uid, form.note))


def _waiting(view: WaitingView) -> ShownWaiting:
    return ShownWaiting(
        request=shown.request(view.request),
        missing=view.missing,
        wait_until_utc=view.wait_until,
        is_mine=view.is_mine,
        refused=view.refused,
    )
