"""The application: all faces behind one gate.

::

    Farewell ─> Exchange ─> Gate ─> BodyLimit ─> routes: ARM (jitgate.web.arm), native (jitgate.web.api),
                           portal (jitgate.web.portal), agents (jitgate.web.agents), /healthz, /readyz, /docs,
                           /metrics
"""

from collections.abc import Collection, Sequence
from functools import cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from jitgate import __version__
from jitgate.connectors.hosts.polls import POLL_PATH
from jitgate.core.errors import JitgateError
from jitgate.core.prefixes import Network
from jitgate.service.base import Service
from jitgate.web import agents, api, arm, errors, metrics, portal
from jitgate.web.agents import AgentLink
from jitgate.web.application import Application
from jitgate.web.docs import docs
from jitgate.web.errors import json_response
from jitgate.web.exchange import Exchange, templates
from jitgate.web.gate import Gate
from jitgate.web.limits import MOST_BODY, BodyLimit
from jitgate.web.metrics import Watched
from jitgate.web.portal import failures
from jitgate.web.readiness import Farewell, Readiness


def create_app(
    service: Service,
    link: AgentLink | None = None,
    *,
    trusted_proxies: Sequence[Network],
    allowed_hosts: Collection[str],
    max_body: int = MOST_BODY,
    clients: bool = True,
    polls: bool = True,
    watched: Watched | None = None,
) -> FastAPI:
    """The application, ready to be served over TLS.

    `link`             what agents on hosts elsewhere reach; None: they reach another server
    `trusted_proxies`  whose forwarding headers are believed
    `allowed_hosts`    the names and addresses, without ports, by which clients may call this server
    `max_body`         bytes
    `clients`, `polls` whether people and programs are answered, and the agents of `link`
    `watched`          what metrics tell, and to whom; None: to nobody
    """
    app = Application(
        title="jitgate",
        version=__version__,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # Its own spans hold the whole path and query of a request: codes that people sign in with.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.service = service
    app.state.agents = link
    readiness = app.state.readiness = Readiness(service)
    if link is not None and polls:
        # First, because routes are tried one after the other, and most calls are polls.
        agents.add_routes(app)
    if clients:
        arm.add_routes(app)
        app.objects = arm.OBJECTS
        app.router.routes.extend(_native_routes())
        portal.add_routes(app)
        app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)
    app.add_api_route("/healthz", healthz, methods=["GET"], include_in_schema=False)
    app.add_api_route("/readyz", readyz, methods=["GET"], include_in_schema=False)
    metrics.add_routes(app, service, watched or Watched())
    app.state.templates = templates(app)
    app.add_exception_handler(JitgateError, errors.answer_refusal)
    app.add_exception_handler(HTTPException, failures.answer_unrouted)
    app.add_exception_handler(RequestValidationError, errors.answer_validation_error)
    # The last that is added is the outermost.
    app.add_middleware(BodyLimit, most=max_body, besides=[POLL_PATH])
    app.add_middleware(Gate, service=service, trusted_proxies=trusted_proxies, allowed_hosts=allowed_hosts)
    app.add_middleware(Exchange)
    app.add_middleware(Farewell, readiness=readiness)
    return app


@cache
def _native_routes() -> Sequence[BaseRoute]:
    """The native face's, the same for every application: working out their models takes most of making one."""
    outer = APIRouter()
    outer.include_router(api.router)
    return outer.routes


async def healthz() -> Response:
    """The server lives: it answers. Ending it because the database is away would help nobody."""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether requests should come here. Why not is in the log: who asks is a stranger."""
    if await request.app.state.readiness.is_ready():
        return json_response({"status": "ready"})
    return json_response({"status": "not ready"}, 503)
