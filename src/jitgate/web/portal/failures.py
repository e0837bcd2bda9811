"""What went wrong outside of any page, for people at a browser: there is nothing there, or the server has failed."""

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from jitgate.core.errors import NotFound
from jitgate.web.errors import answer_http_error, internal_error
from jitgate.web.portal.pages import page, refused
from jitgate.web.sites import navigates

log = structlog.get_logger("jitgate.web")


def nowhere(scope: Scope) -> Response:
    """No page is at this path."""
    return refused(
        Request(scope), NotFound("There is no page here. Check the address, or find what you look for from Home.")
    )


def failed(scope: Scope, correlation: str) -> Response:
    """The server has failed: what is known of it stands in its log under an id, and nowhere else."""
    if not navigates(scope):
        return internal_error(correlation)
    try:
        return page(Request(scope), "failed.html", 500)
    except Exception:
        # What has failed may be what every page needs.
        log.exception("no page", correlation=correlation)
        return internal_error(correlation)


async def answer_unrouted(request: Request, error: Exception) -> Response:
    """For what the framework refuses: a page for people, who came to where only forms go, and JSON for programs."""
    assert isinstance(error, HTTPException)
    is_ours = error.__cause__ is None and error.status_code in (404, 405)
    return nowhere(request.scope) if is_ours and navigates(request.scope) else await answer_http_error(request, error)
