"""Request access: choose, see what would happen, ask; then watch it come to pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core.decide import Allowed, Decision, Denied, NeedsApproval
from jitgate.core.errors import JitgateError, Refused
from jitgate.core.roles import BREAK_GLASS, WRITE_POLICY
from jitgate.service import freezes, networks, offers, requests
from jitgate.service.base import Asker
from jitgate.service.offers import Offer
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import connection, steps, wish
from jitgate.web.portal.home import LENGTHS
from jitgate.web.portal.pages import page, problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.wish import Wish

MOST_FIELDS = 3000
"""Of a form: five for each of some hundred ports."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What asking would bring. One of these is set."""

    opens: Allowed | None = None
    waits: NeedsApproval | None = None
    refused: Sequence[str] = ()


async def choose(request: Request) -> Response:
    """The form, filled in as far as the link says; or the machines to choose from."""
    service, asker = service_of(request), asker_of(request)
    names = wish.machines_of(request.query_params)
    if not names or "add" in request.query_params:
        text = request.query_params.get("q", "")[:100]
        return await _choices(request, text=text, chosen=names, carried=_carried(request))
    try:
        offered = await offers.get_offers(service, asker, names)
    except JitgateError as error:
        return await _choices(request, status_of(error), problems=problems(error))
    wanted = wish.of_link(request.query_params, offered, asker)
    return await _form(request, offered, wanted, await _outcome(request, offered, wanted))


async def check(request: Request) -> Response:
    """The same form, with what asking would bring. Changes nothing."""
    offered, wanted = await _read(request)
    return await _form(request, offered, wanted, await _outcome(request, offered, wanted))


async def ask(request: Request) -> Response:
    """Ask; then to the page on which it comes to pass."""
    offered, wanted = await _read(request)
    try:
        asked = wish.ask_of(wanted, offered, asker_of(request))
        made = await requests.request_access(service_of(request), asker_of(request), asked)
    except JitgateError as error:
        return await _form(request, offered, wanted, Outcome(refused=problems(error)), status_of(error))
    return RedirectResponse(f"/requests/{made.uid}", 303)


async def watch(request: Request) -> Response:
    """A request from asking to open, and to shut."""
    view = await requests.get_request(service_of(request), asker_of(request), request.path_params["request"])
    return page(
        request,
        "request.html",
        asked=view,
        steps=steps.of(view),
        longest=await offers.longest_of(service_of(request), asker_of(request), view.grants),
        line=connection.line,
        known=await networks.known(service_of(request)),
        lengths=LENGTHS,
        again=wish.again,
    )


async def _choices(request: Request, status: int = 200, *, text: str = "", **more: Any) -> Response:
    """The machines to choose from."""
    asker = asker_of(request)
    return page(
        request,
        "choose.html",
        status,
        found=await offers.list_askable(service_of(request), asker, text),
        text=text,
        may_configure=bool(asker.principal.scopes(WRITE_POLICY)),
        **{"chosen": (), "carried": (), **more},
    )


async def _read(request: Request) -> tuple[Sequence[Offer], Wish]:
    form = await read_form(request, MOST_FIELDS)
    names = [value for name, value in form.items() if name.startswith("machine.")][: wish.MOST_MACHINES]
    offered = await offers.get_offers(service_of(request), asker_of(request), names)
    return offered, wish.of_form(form, offered)


async def _outcome(request: Request, offered: Sequence[Offer], wanted: Wish) -> Outcome:
    """What the decision itself would say."""
    asker = asker_of(request)
    try:
        decision = await requests.explain(service_of(request), asker, wish.ask_of(wanted, offered, asker))
    except JitgateError as error:
        return Outcome(refused=problems(error))
    return _said(decision)


def _said(decision: Decision) -> Outcome:
    if isinstance(decision, Denied):
        return Outcome(refused=problems(Refused(decision.reasons)))
    return Outcome(opens=decision) if isinstance(decision, Allowed) else Outcome(waits=decision)


async def _form(
    request: Request, offered: Sequence[Offer], wanted: Wish, outcome: Outcome, status: int = 200
) -> Response:
    ids = [offer.machine.id for offer in offered]
    here = "/request?" + urlencode([("machine", offer.machine.uuid) for offer in offered])
    return page(
        request,
        "ask.html",
        status,
        here=here,
        offers=offered,
        known=await networks.known(service_of(request)),
        frozen=await freezes.list_concerning(service_of(request), asker_of(request), ids),
        wish=wanted,
        outcome=outcome,
        key_of=wish.key_of,
        lengths=wish.lengths(wanted, offered),
        longest=wish.longest(offered),
        slider=wish.Slider,
        by_uuid={offer.machine.uuid: offer for offer in offered},
        may_break=_may_break(asker_of(request), offered),
    )


def _may_break(asker: Asker, offered: Sequence[Offer]) -> bool:
    return all(asker.principal.may(BREAK_GLASS, offer.machine.id) for offer in offered)


def _carried(request: Request) -> Sequence[tuple[str, Any]]:
    """What a link says besides the machines: kept while they are chosen."""
    return [(name, text) for name, text in request.query_params.multi_items() if name in ("port", "for", "from", "why")]


ROUTES = (
    Route("GET", "/request", choose),
    Route("POST", "/request", ask),
    Route("POST", "/request/check", check),
    Route("GET", "/requests/{request}", watch),
)
