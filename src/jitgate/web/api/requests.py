"""Requests: ask for access, and ask why it would be refused."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from jitgate.service import requests
from jitgate.web.api import asking, shown
from jitgate.web.api.asking import AskForm
from jitgate.web.api.decisions import ShownDecision, decision
from jitgate.web.api.forms import Text, Wait
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.shown import ShownRequest, is_request_settled
from jitgate.web.api.waiting import until
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/requests", tags=["requests"], route_class=NativeRoute, responses=REFUSALS)


class RequestForm(AskForm):
    """An ask; with `dryRun`, the decision alone."""

    dry_run: bool = Field(default=False, description="Answer the decision, and change nothing.")


@router.post("", status_code=201, summary="Ask for access", response_model=ShownRequest | ShownDecision)
async def request_access(
    form: RequestForm,
    service: CurrentService,
    asker: CurrentAsker,
    response: Response,
    wait: Annotated[Wait, Query()] = 0,
) -> ShownRequest | ShownDecision:
    """Ask for ports of machines, from sources, for a time. All of it is granted, or nothing is.

    The request is granted when this answers; a port is open when its grant's `state` is `open`. With `wait`, the
    answer comes as soon as every port is.

    With `dryRun` nothing changes: the answer is 200 and the decision, the same that the real call would get.
    """
    asked = await asking.read(service, asker, form)
    if form.dry_run:
        response.status_code = 200
        return decision(await requests.explain(service, asker, asked.ask), asked.machines)
    made = await requests.request_access(service, asker, asked.ask)
    response.headers["Location"] = f"/api/v1/requests/{made.uid}"
    if not wait or is_request_settled(made):
        return shown.request(made)
    return await _when_settled(service, asker, made.uid, wait)


@router.post("/explain", summary="Why can't I?")
async def explain(form: AskForm, service: CurrentService, asker: CurrentAsker) -> ShownDecision:
    """What would be decided about an ask, with every reason against it and what would be allowed. Changes nothing."""
    asked = await asking.read(service, asker, form)
    return decision(await requests.explain(service, asker, asked.ask), asked.machines)


@router.get("/{request}", summary="One request")
async def get_request(
    request: Annotated[Text, Path(description="A request's id, or its first characters: four at least.")],
    service: CurrentService,
    asker: CurrentAsker,
    wait: Annotated[Wait, Query()] = 0,
) -> ShownRequest:
    """A request and its grants. With `wait`, once no firewall is still opening or shutting anything for it."""
    return await _when_settled(service, asker, request, wait)


async def _when_settled(service: CurrentService, asker: CurrentAsker, uid: str, wait: float) -> ShownRequest:
    return shown.request(await until(is_request_settled, lambda: requests.get_request(service, asker, uid), wait))
