"""The application: all faces behind one gate.

::

    Exchange ─> Gate ─> BodyLimit ─> routes: ARM (jitgate.web.arm), native (jitgate.web.api),
                           portal (jitgate.web.portal), agents (jitgate.web.agents), /healthz, /docs
"""

from collections.abc import Collection, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from jitgate import __version__
from jitgate.connectors.hosts import polls
from jitgate.core.errors import JitgateError
from jitgate.core.prefixes import Network
from jitgate.service.base import Service
from jitgate.web import agents, api, arm, errors, portal
from jitgate.web.agents import AgentLink
from jitgate.web.dependencies import service_of
from jitgate.web.docs import docs
from jitgate.web.errors import json_response
from jitgate.web.exchange import Exchange
from jitgate.web.gate import Gate
from jitgate.web.limits import MOST_BODY, BodyLimit


def create_app(
    service: Service,
    link: AgentLink | None = None,
    *,
    trusted_proxies: Sequence[Network],
    allowed_hosts: Collection[str],
    max_body: int = MOST_BODY,
) -> FastAPI:
    """The application, ready to be served over TLS.

    `link`             what agents on hosts elsewhere reach; None: they reach another server
    `trusted_proxies`  whose forwarding headers are believed
    `allowed_hosts`    the names and addresses, without ports, by which clients may call this server
    `max_body`         bytes
    """
    app = FastAPI(title="jitgate", version=__version__, redirect_slashes=False, docs_url=None, redoc_url=None)
    app.state.service = service
    app.state.agents = link
    if link is not None:
        # First, because routes are tried one after the other, and most calls are polls.
        agents.add_routes(app)
    arm.add_routes(app)
    app.include_router(api.router)
    portal.add_routes(app)
    app.add_api_route("/healthz", healthz, methods=["GET"], include_in_schema=False)
    app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)
    app.add_exception_handler(JitgateError, errors.answer_refusal)
    app.add_exception_handler(HTTPException, errors.answer_http_error)
    app.add_exception_handler(RequestValidationError, errors.answer_validation_error)
    # The last that is added is the outermost.
    app.add_middleware(BodyLimit, most=max_body, besides=[polls.POLL_PATH])
    app.add_middleware(Gate, service=service, trusted_proxies=trusted_proxies, allowed_hosts=allowed_hosts)
    app.add_middleware(Exchange)
    return app


async def healthz(request: Request) -> Response:
    """Whether the server lives and its database answers."""
    await service_of(request).store.read(lambda tx: tx.now)
    return json_response({"status": "ok"})
