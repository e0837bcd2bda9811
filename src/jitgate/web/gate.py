"""The gate before all routes: closed, but for a caller who is known, who meant this host, and whom no page of
another site has sent.

It stands before routing, so a route that is added tomorrow is behind it too, and a stranger cannot tell which
routes exist. The routes of agents, who are no principals, have a gate of their own: a signature.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from jitgate.connectors.hosts import polls
from jitgate.core.errors import JitgateError
from jitgate.core.prefixes import Network
from jitgate.service.base import Service
from jitgate.service.recognition import Caller
from jitgate.service.sessions import NotSignedIn
from jitgate.web import metrics, portal
from jitgate.web.authentication import identify_bearer
from jitgate.web.caller import caller_address
from jitgate.web.errors import error_response
from jitgate.web.nul import check_address
from jitgate.web.portal import assets
from jitgate.web.portal.failures import nowhere
from jitgate.web.portal.pages import refused
from jitgate.web.portal.session import identify_session, to_sign_in
from jitgate.web.sites import check_host, check_site, navigates

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", polls.KEYS_PATH, polls.AUTHORITIES_PATH})
"""Whether the server lives and is ready; the description of the API, which says no more than its source code does;
public keys."""

DOORS = (
    "/metadata/endpoints",
    "/{tenant}/v2.0/.well-known/openid-configuration",
    "/{tenant}/discovery/v2.0/keys",
    "/{tenant}/oauth2/v2.0/token",
    "/sign-in",
    "/sign-in/link",
    "/sign-in/with/{provider}",
    "/sign-in/callback",
    "/login/device",
    "/login/token",
)
"""Where people and programs sign in, and what they have to know for it."""

PORTAL = tuple({route.path: None for route in portal.ROUTES if route.path not in (*DOORS, assets.PATH)})
"""What people see in a browser. Known by a cookie, which counts nowhere else."""


def _any_of(paths: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    return re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in paths), flags)


_DOORS, _PORTAL = _any_of(DOORS, re.IGNORECASE), _any_of(PORTAL)


def is_door(path: str) -> bool:
    """Whether somebody signs in there, and so cannot be known yet."""
    return _DOORS.fullmatch(path) is not None


def is_page(path: str) -> bool:
    """Whether people see it in a browser, or a page loads it, by their cookie."""
    return _PORTAL.fullmatch(path) is not None


def is_open(path: str) -> bool:
    """Whether it is there for everybody: nothing in it is secret, and nothing can be done there."""
    return path in OPEN_PATHS or path.startswith(assets.PREFIX)


def _passes(path: str) -> bool:
    """Whether the gate is not for it. Metrics have one of their own, a token that no browser sends by itself, and are
    read from each replica by whatever name a monitor finds it under."""
    return is_open(path) or path == metrics.PATH


def is_stray(scope: Scope) -> bool:
    """Whether a person's browser goes to where no page is. They are told so once they are known, as of any page; a
    cookie opens nothing there."""
    path = scope["path"]
    return navigates(scope) and not (is_page(path) or is_door(path) or path.startswith(polls.PREFIX))


class Gate:
    """Lets through who may ask, and says who it is: ``scope["state"]["asker"]``."""

    def __init__(
        self, app: ASGIApp, service: Service, trusted_proxies: Sequence[Network], allowed_hosts: Collection[str]
    ) -> None:
        self._app = app
        self._service = service
        self._trusted = tuple(trusted_proxies)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and _passes(scope["path"])):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._admit(scope, receive, send)
        else:
            # No route speaks WebSocket.
            await send({"type": "websocket.close", "code": 1008})

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_host(scope, self._hosts)
            check_address(scope)
            check_site(scope, is_page=is_page(scope["path"]) or is_door(scope["path"]))
            state = scope["state"]
            state["address"] = caller_address(scope, self._trusted)
            await self._know(scope, Caller(state["address"], state["correlation"]))
        except NotSignedIn:
            await to_sign_in(scope)(scope, receive, send)
        except JitgateError as error:
            answer = refused(Request(scope), error) if navigates(scope) else error_response(error)
            await answer(scope, receive, send)
        else:
            answers = nowhere(scope) if is_stray(scope) else self._app
            await answers(scope, receive, send)

    async def _know(self, scope: Scope, caller: Caller) -> None:
        """Find out who asks: in the portal by a cookie, elsewhere by a bearer token, at a door not at all."""
        if is_page(scope["path"]) or is_stray(scope):
            scope["state"]["asker"] = await identify_session(self._service, scope, caller)
        elif not (is_door(scope["path"]) or scope["path"].startswith(polls.PREFIX)):
            scope["state"]["asker"] = await identify_bearer(self._service, scope, caller)
