"""Approvals: what waits for one's decision, one decision on a page with what matters, and what broke the glass."""

from datetime import datetime, timedelta

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core import duration
from jitgate.core.errors import Invalid
from jitgate.core.roles import APPROVE
from jitgate.service import approvals, deciding, reviews
from jitgate.service.base import Asker, Service
from jitgate.service.views import ConsideredView, GrantView, RequestView
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route

LENGTHS = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 120, 240, 480, 720))
_MOST = 50


async def inbox(request: Request) -> Response:
    """What waits."""
    service, asker = service_of(request), asker_of(request)
    waiting = await approvals.list_waiting(service, asker, limit=_MOST, after=request.query_params.get("after"))
    return page(
        request,
        "approvals.html",
        waiting=waiting,
        reviews=await reviews.list_reviews(service, asker),
        is_approver=bool(asker.principal.scopes(APPROVE)),
    )


async def decide(request: Request) -> Response:
    """One request, to be decided; or what became of it."""
    view = await deciding.consider(service_of(request), asker_of(request), request.path_params["request"])
    now = service_of(request).clock.wall()
    return page(
        request,
        "approval.html",
        view=view,
        asked=view.request,
        lengths=_shorter(view, now),
        length_of=lambda grant: _length(grant, now),
    )


async def approve(request: Request) -> Response:
    """Agree, for as long as was asked for or for less."""
    form, uid = await read_form(request), request.path_params["request"]
    work = _approve(service_of(request), asker_of(request), uid, form.get("note", ""), form.get("length", ""))
    return await act(request, work, at=f"approve-{uid}", then=f"/approvals/{uid}", said="Approved.")


async def deny(request: Request) -> Response:
    """Refuse, and say why."""
    form, uid = await read_form(request), request.path_params["request"]
    work = _deny(service_of(request), asker_of(request), uid, form.get("note", "").strip())
    return await act(request, work, at=f"deny-{uid}", then=f"/approvals/{uid}", said="Denied.")


async def review(request: Request) -> Response:
    """Close the review of what broke the glass."""
    form, uid = await read_form(request), request.path_params["request"]
    work = reviews.review(service_of(request), asker_of(request), uid, form.get("note", ""))
    return await act(request, work, at=f"review-{uid}", then="/approvals", said="Reviewed.")


async def show_link(request: Request) -> Response:
    """Where the link of a notification leads. Its secret is behind the "#", for a script to hand on."""
    return page(request, "approve.html", problem="")


async def follow_link(request: Request) -> Response:
    """On to the request that a link is about. Looking at it decides nothing."""
    form = await read_form(request)
    uid = approvals.follow_link(service_of(request), asker_of(request), form.get("link", "").strip())
    if uid is None:
        problem = "This link is not good, or it was made for somebody else. Your inbox shows all that waits for you."
        return page(request, "approve.html", 400, problem=problem)
    return RedirectResponse(f"/approvals/{uid}", 303)


async def _approve(service: Service, asker: Asker, uid: str, note: str, length: str) -> RequestView:
    most = duration.parse(length, "length") if length else None
    return await approvals.approve(service, asker, uid, note, most)


async def _deny(service: Service, asker: Asker, uid: str, note: str) -> RequestView:
    if not note:
        raise Invalid("note", "a reason is needed: who asked will read it", allowed="a few words")
    return await approvals.deny(service, asker, uid, note)


def _length(view: GrantView, now: datetime) -> timedelta:
    """How long a grant would last if it were agreed to now."""
    grant = view.grant
    begins = grant.start if grant.start is not None and grant.start > now else now
    return max(grant.span.end_from(begins) - begins, timedelta(0)) if grant.duration or grant.end else timedelta(0)


def _shorter(view: ConsideredView, now: datetime) -> list[timedelta]:
    """The lengths that are less than what was asked for."""
    longest = max(_length(one, now) for one in view.request.grants)
    return [length for length in LENGTHS if length < longest]


ROUTES = (
    Route("GET", "/approvals", inbox),
    Route("GET", "/approvals/{request}", decide),
    Route("POST", "/approvals/{request}/approve", approve),
    Route("POST", "/approvals/{request}/deny", deny),
    Route("POST", "/approvals/{request}/review", review),
    Route("GET", "/approve", show_link),
    Route("POST", "/approve", follow_link),
)
