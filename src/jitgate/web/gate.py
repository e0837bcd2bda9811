"""The gate before all routes: closed, but for a caller who is known, who meant this host, and whom no page of
another site has sent.

It stands before routing, so a route that is added tomorrow is behind it too, and a stranger cannot tell which
routes exist. The routes of agents, who are no principals, have a gate of their own: a signature.
"""

import re
from collections.abc import Collection, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from jitgate.connectors.hosts import polls
from jitgate.core.errors import JitgateError
from jitgate.core.prefixes import Network
from jitgate.service.base import Service
from jitgate.service.recognition import Caller
from jitgate.service.sessions import NotSignedIn
from jitgate.web.authentication import identify_bearer
from jitgate.web.caller import caller_address
from jitgate.web.errors import error_response
from jitgate.web.portal.session import identify_session, to_sign_in
from jitgate.web.sites import check_host, check_site

OPEN_PATHS = frozenset({"/healthz", "/openapi.json", "/docs", polls.KEYS_PATH, polls.AUTHORITIES_PATH})
"""Whether the server lives; the description of the API, which says no more than its source code does; public keys."""

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

PORTAL = ("/", "/sign-out", "/device", "/authorize")
"""What people see in a browser. Known by a cookie, which counts nowhere else."""

_DOORS = re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in DOORS), re.IGNORECASE)


def is_door(path: str) -> bool:
    """Whether somebody signs in there, and so cannot be known yet."""
    return _DOORS.fullmatch(path) is not None


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
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in OPEN_PATHS):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._admit(scope, receive, send)
        else:
            # No route speaks WebSocket.
            await send({"type": "websocket.close", "code": 1008})

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_host(scope, self._hosts)
            check_site(scope, is_page=scope["path"] in PORTAL or is_door(scope["path"]))
            state = scope["state"]
            state["address"] = caller_address(scope, self._trusted)
            await self._know(scope, Caller(state["address"], state["correlation"]))
        except NotSignedIn:
            await to_sign_in(scope)(scope, receive, send)
        except JitgateError as error:
            await error_response(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _know(self, scope: Scope, caller: Caller) -> None:
        """Find out who asks: in the portal by a cookie, elsewhere by a bearer token, at a door not at all."""
        if scope["path"] in PORTAL:
            scope["state"]["asker"] = await identify_session(self._service, scope, caller)
        elif not (is_door(scope["path"]) or scope["path"].startswith(polls.PREFIX)):
            scope["state"]["asker"] = await identify_bearer(self._service, scope, caller)
