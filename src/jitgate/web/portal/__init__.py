"""The portal: what people see in a browser. Its pages work before their few scripts have loaded, and load nothing from
elsewhere. docs/how-to/add-a-page.md shows how one is added."""

from fastapi import FastAPI

from jitgate.web.portal import (
    activity,
    approvals,
    asking,
    assets,
    command_line,
    configure,
    home,
    hosts,
    insights,
    live,
    machine,
    machines,
    own,
    pricing,
    settings,
    sign_in,
)
from jitgate.web.portal.routing import Route

ROUTES = (
    *home.ROUTES,
    *asking.ROUTES,
    *machines.ROUTES,
    *machine.ROUTES,
    *configure.ROUTES,
    *pricing.ROUTES,
    *approvals.ROUTES,
    *activity.ROUTES,
    *insights.ROUTES,
    *hosts.ROUTES,
    *settings.ROUTES,
    *own.ROUTES,
    *sign_in.ROUTES,
    *command_line.ROUTES,
    Route("GET", "/live", live.listen, is_page=False),
    Route("GET", assets.PATH, assets.serve, is_page=False),
)


def add_routes(app: FastAPI) -> None:
    """Add the pages to an application that knows its service."""
    live.add_to(app)
    for route in ROUTES:
        route.add_to(app)


__all__ = ["ROUTES", "add_routes"]
