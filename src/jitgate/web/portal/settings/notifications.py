"""Notifications: who is told, and whether they have been."""

from fastapi import Request
from starlette.responses import Response

from jitgate.service import notifications
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.portal.routing import Route
from jitgate.web.portal.settings.frame import settings_page


async def show(request: Request) -> Response:
    """The page."""
    found = await notifications.list_receivers(service_of(request), asker_of(request))
    return await settings_page(request, "notifications.html", receivers=found)


ROUTES = (Route("GET", "/settings/notifications", show),)
