"""Grants: what is open, and what can be done about it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core.access import MOST_SOURCES, State
from jitgate.service import grants
from jitgate.service.views import GrantView
from jitgate.web.api import asking, shown
from jitgate.web.api.asking import SpanForm
from jitgate.web.api.forms import After, Form, Limit, Listing, Text, Wait
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.shown import ShownGrant
from jitgate.web.api.waiting import until
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/grants", tags=["grants"], route_class=NativeRoute, responses=REFUSALS)

Uid = Annotated[Text, Path(alias="grant", description="A grant's id, or its first characters: four at least.")]
WaitQuery = Annotated[Wait, Query()]


class MoveForm(Form):
    """Where a grant shall move to."""

    sources: list[Text] | None = Field(
        default=None, examples=[["203.0.113.7"]], description=asking.SOURCES, max_length=MOST_SOURCES
    )


@router.get("", summary="List grants")
async def list_grants(
    service: CurrentService,
    asker: CurrentAsker,
    state: Annotated[
        list[State] | None, Query(description="In one of these states. Left out: in any but `closed`.")
    ] = None,
    machine: Annotated[Text | None, Query(description="Of one machine: its id or any unique short name.")] = None,
    mine: Annotated[bool, Query(description="Those that the caller asked for.")] = False,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownGrant]:
    """Grants, newest first."""
    page = await grants.list_grants(service, asker, state=state, machine=machine, mine=mine, limit=limit, after=after)
    return Listing(items=[shown.grant(view) for view in page.items], after=page.after)


@router.get("/{grant}", summary="One grant")
async def get_grant(uid: Uid, service: CurrentService, asker: CurrentAsker, wait: WaitQuery = 0) -> ShownGrant:
    """A grant. With `wait`, once no firewall is still opening or shutting anything for it."""
    return shown.grant(await until(shown.is_settled, lambda: grants.get_grant(service, asker, uid), wait))


@router.post("/{grant}/close", summary="Close early")
async def close_grant(uid: Uid, service: CurrentService, asker: CurrentAsker, wait: WaitQuery = 0) -> ShownGrant:
    """Shut the port now, unless another grant covers it. Established sessions are cut. To close twice is no error."""
    return await _when_settled(service, asker, await grants.close_grant(service, asker, uid), wait)


@router.post("/{grant}/extend", summary="Extend")
async def extend_grant(
    uid: Uid, form: SpanForm, service: CurrentService, asker: CurrentAsker, wait: WaitQuery = 0
) -> ShownGrant:
    """Give a grant a later end. A duration counts from now. This is a new decision: the policy must allow it."""
    span = asking.needed_span(form)
    return await _when_settled(service, asker, await grants.extend_grant(service, asker, uid, span), wait)


@router.post("/{grant}/shorten", summary="Shorten")
async def shorten_grant(
    uid: Uid, form: SpanForm, service: CurrentService, asker: CurrentAsker, wait: WaitQuery = 0
) -> ShownGrant:
    """Give a grant an earlier end. A duration counts from now."""
    span = asking.needed_span(form)
    return await _when_settled(service, asker, await grants.shorten_grant(service, asker, uid, span), wait)


@router.post("/{grant}/move", summary="Move to another source")
async def move_grant(
    uid: Uid, form: MoveForm, service: CurrentService, asker: CurrentAsker, wait: WaitQuery = 0
) -> ShownGrant:
    """Open the port for other sources until the same end, and shut it for the old ones once that stands.

    Answers the new grant. Where a guardrail asks for approval it is `pending`, of a request of its own, and the old
    sources stay open until it opens or the time is over.
    """
    sources = asking.sources(form.sources, "sources", asker.address)
    return await _when_settled(service, asker, await grants.move_grant(service, asker, uid, sources), wait)


async def _when_settled(service: CurrentService, asker: CurrentAsker, view: GrantView, wait: float) -> ShownGrant:
    if not wait:
        return shown.grant(view)
    return shown.grant(await until(shown.is_settled, lambda: grants.get_grant(service, asker, view.grant.uid), wait))
