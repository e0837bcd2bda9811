"""The sign-in page and its ways: a link, or an OpenID Connect provider; and sign-out."""

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core.errors import NotFound
from jitgate.identity import people
from jitgate.identity.credentials import NotKnown
from jitgate.identity.issuers import Provider
from jitgate.identity.people import WAY_LIFE, Way
from jitgate.service import sessions
from jitgate.service.base import Service
from jitgate.service.recognition import Caller
from jitgate.service.sessions import NotSignedIn, Session
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal import session
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route
from jitgate.web.portal.session import COOKIE, WAY_COOKIE, cookie, own_path
from jitgate.web.sites import host_of

_AWAY = "The sign-in with {} did not come to its end. Try again."


async def sign_in(request: Request) -> Response:
    """The ways to sign in. Looking at the page uses nothing up."""
    return _show(request, own_path(request.query_params.get("next", "/")))


async def use_link(request: Request) -> Response:
    """A session for a sign-in link's secret."""
    form = await read_form(request)
    next_path = own_path(form.get("next", "/"))
    try:
        began = await sessions.use_link(service_of(request), caller_of(request), form.get("link", "").strip())
    except NotSignedIn as error:
        return _show(request, next_path, error.message, 401)
    return _signed_in(began, next_path)


async def go_to_provider(request: Request) -> Response:
    """Away to an OpenID Connect provider, with what is needed on the way back in a signed cookie."""
    service, provider = service_of(request), _provider(request)
    back = f"https://{host_of(request.scope)}/sign-in/callback"
    way = Way.begin(provider.issuer.name, back, own_path(request.query_params.get("next", "/")))
    try:
        away = RedirectResponse(await people.address_of(provider, way), 303)
    except NotKnown:
        return _show(request, way.next, _AWAY.format(provider.issuer.name), 503)
    sealed = way.seal(service.bearers.signer, service.clock.wall())
    session.set_cookie(away, WAY_COOKIE, sealed, int(WAY_LIFE.total_seconds()))
    return away


async def come_back(request: Request) -> Response:
    """Back from the provider: a session, if it has signed somebody in and this browser began it."""
    service = service_of(request)
    try:
        way = Way.read(service.bearers.signer, cookie(request.scope, WAY_COOKIE), service.clock.wall())
        provider = _named(service, way.provider)
        began = await sessions.finish_way(service, caller_of(request), provider, way, dict(request.query_params))
    except (NotKnown, NotSignedIn, NotFound):
        answer = _show(request, "/", _AWAY.format("the provider"), 401)
    else:
        answer = _signed_in(began, way.next)
    session.drop_cookie(answer, WAY_COOKIE)
    return answer


async def sign_out(request: Request) -> Response:
    """End the session, here and in the database."""
    await sessions.sign_out(service_of(request), asker_of(request))
    answer = RedirectResponse("/sign-in", 303)
    session.drop_cookie(answer, COOKIE)
    return answer


def caller_of(request: Request) -> Caller:
    """Who knocks, as the gate has found out."""
    state = request.scope["state"]
    return Caller(state["address"], state["correlation"])


def _show(request: Request, next_path: str, problem: str = "", status: int = 200) -> Response:
    names = [provider.issuer.name for provider in service_of(request).bearers.issuers.for_people]
    return page(request, "sign_in.html", status, providers=names, next=next_path, problem=problem)


def _signed_in(began: Session, next_path: str) -> Response:
    answer = RedirectResponse(next_path, 303)
    session.keep(answer, began)
    return answer


def _provider(request: Request) -> Provider:
    return _named(service_of(request), request.path_params["provider"])


def _named(service: Service, name: str) -> Provider:
    for provider in service.bearers.issuers.for_people:
        if provider.issuer.name == name:
            return provider
    raise NotFound("There is no such way to sign in. Choose one on the sign-in page.")


ROUTES = (
    Route("GET", "/sign-in", sign_in),
    Route("POST", "/sign-in/link", use_link),
    Route("GET", "/sign-in/with/{provider}", go_to_provider),
    Route("GET", "/sign-in/callback", come_back),
    Route("POST", "/sign-out", sign_out),
)
