"""Home: what is open for me, what waits, and what I had lately; on top what waits for my decision."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from fastapi import Request
from starlette.responses import Response

from jitgate.core import duration, prefixes
from jitgate.core.access import Span, State
from jitgate.core.errors import Invalid
from jitgate.core.roles import APPROVE, INITIATE
from jitgate.service import approvals, freezes, grants, networks, offers
from jitgate.service.base import Asker, Service
from jitgate.service.views import GrantView, Page, WaitingView
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import connection, wish
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route

_MOST, _MOST_RECENT, _MOST_WAITING = 200, 6, 5
LENGTHS = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 60, 120, 180, 240, 480, 720, 1440))


async def home(request: Request) -> Response:
    """The page."""
    service, asker = service_of(request), asker_of(request)
    mine = await grants.list_grants(service, asker, mine=True, limit=_MOST)
    over = await grants.list_grants(service, asker, state=[State.CLOSED], mine=True, limit=4 * _MOST_RECENT)
    seen = {view.machine_id for view in (*mine.items, *over.items)}
    live = [view for view in mine.items if view.grant.state in (State.OPEN, State.OPENING, State.CLOSING)]
    return page(
        request,
        "home.html",
        live=live,
        longest=await offers.longest_of(service, asker, live),
        waiting=_by_request(view for view in mine.items if view.grant.state in (State.PENDING, State.SCHEDULED)),
        recent=_each_once(over.items)[:_MOST_RECENT],
        inbox=await _inbox(service, asker),
        line=connection.line,
        known=await networks.known(service),
        frozen=await freezes.list_concerning(service, asker, sorted(seen)),
        lengths=LENGTHS,
        again=wish.again,
        may_ask=bool(asker.principal.scopes(INITIATE)),
    )


async def close(request: Request) -> Response:
    """I'm done: shut a port early."""
    uid = request.path_params["grant"]
    work = grants.close_grant(service_of(request), asker_of(request), uid)
    return await act(request, work, at=f"close-{uid}", then="/", said="It is being shut.")


async def extend(request: Request) -> Response:
    """Let a port stay open for longer, counted from now."""
    form = await read_form(request)
    uid = request.path_params["grant"]
    work = _extend(service_of(request), asker_of(request), uid, form.get("length", ""))
    return await act(request, work, at=f"extend-{uid}", then="/", said=_extended)


async def move(request: Request) -> Response:
    """Open a port for another source, and shut it for the one that it was opened for."""
    form = await read_form(request)
    uid, source = request.path_params["grant"], form.get("source", "")
    work = _move(service_of(request), asker_of(request), uid, source)
    return await act(request, work, at=f"move-{uid}", then="/", said=_moved)


async def withdraw(request: Request) -> Response:
    """Take back what waits."""
    uid = request.path_params["request"]
    work = approvals.withdraw(service_of(request), asker_of(request), uid)
    return await act(request, work, at=f"withdraw-{uid}", then="/", said="Withdrawn.")


async def _extend(service: Service, asker: Asker, uid: str, length: str) -> GrantView:
    return await grants.extend_grant(service, asker, uid, Span(duration=duration.parse(length, "length")))


def _extended(view: GrantView) -> str:
    """What became of extending: where others have to agree, a new grant waits for them."""
    if view.grant.state is State.PENDING:
        return "Others have to agree first. Until then it ends when it would have."
    return "It stays open for longer."


async def _move(service: Service, asker: Asker, uid: str, source: str) -> GrantView:
    if source == "*":
        raise Invalid("source", "a port is moved to one source", allowed="an address or a prefix")
    return await grants.move_grant(service, asker, uid, prefixes.parse_all([source], "source"))


def _moved(view: GrantView) -> str:
    """What became of moving: where others have to agree, the old source stays open meanwhile."""
    source = ", ".join(map(prefixes.text, view.grant.sources))
    if view.grant.state is State.PENDING:
        return f"Others have to agree to {source} first. Until then it stays open for where it was."
    return f"It is being opened for {source}."


async def _inbox(service: Service, asker: Asker) -> Page[WaitingView]:
    """What the asker can decide now."""
    if not asker.principal.scopes(APPROVE):
        return Page(())
    found = await approvals.list_waiting(service, asker, limit=_MOST_WAITING)
    return Page(tuple(view for view in found.items if view.is_mine and not view.refused), found.after)


def _by_request(views: Iterable[GrantView]) -> Sequence[Sequence[GrantView]]:
    """Grants gathered by their request."""
    found: dict[str, list[GrantView]] = {}
    for view in views:
        found.setdefault(view.request, []).append(view)
    return list(found.values())


def _each_once(views: Sequence[GrantView]) -> Sequence[GrantView]:
    """The newest of those that asked for the same port."""
    found: dict[object, GrantView] = {}
    for view in views:
        found.setdefault((view.machine_id.casefold(), view.grant.port, view.grant.protocol), view)
    return list(found.values())


ROUTES = (
    Route("GET", "/", home),
    Route("POST", "/grants/{grant}/close", close),
    Route("POST", "/grants/{grant}/extend", extend),
    Route("POST", "/grants/{grant}/move", move),
    Route("POST", "/requests/{request}/withdraw", withdraw),
)
