"""One's own tokens: made and shown once, and revoked."""

from fastapi import Request
from starlette.responses import Response

from jitgate.core import duration
from jitgate.core.errors import JitgateError
from jitgate.service import credentials
from jitgate.service.credentials import Wanted
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.form import read_form
from jitgate.web.portal.acting import act
from jitgate.web.portal.pages import problems, status_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings.frame import settings_page

LIVES = {"P1D": "1 day", "P7D": "7 days", "P30D": "30 days", "P90D": "90 days", "P365D": "1 year"}


async def show(request: Request) -> Response:
    """The page."""
    return await _show(request)


async def make(request: Request) -> Response:
    """A new token, shown this once."""
    form = await read_form(request)
    try:
        life = duration.parse(form.get("life", "P30D"), "life").length
        wanted = Wanted(form.get("label", "").strip(), life)
        made = await credentials.make_token(service_of(request), asker_of(request), wanted)
    except JitgateError as error:
        return await _show(request, status_of(error), problems=problems(error))
    return await _show(request, made=made)


async def revoke(request: Request) -> Response:
    """Make a token useless at once."""
    token = request.path_params["credential"]
    work = credentials.revoke_credential(service_of(request), asker_of(request), token)
    return await act(request, work, at=f"revoke-{token}", then="/settings", said="Revoked.")


async def _show(request: Request, status: int = 200, **more: object) -> Response:
    held = await credentials.list_credentials(service_of(request), asker_of(request))
    # The page is answered to a form as well: its parts are asked for at its own place.
    place = {"here": "/settings", "path": "/settings"}
    values: dict[str, object] = {"made": None, "held": held, "lives": LIVES, **place, **more}
    return await settings_page(request, "tokens.html", status, **values)


ROUTES = (
    Route("GET", "/settings", show),
    Route("POST", "/settings/tokens", make),
    Route("POST", "/settings/tokens/{credential}/revoke", revoke),
)
