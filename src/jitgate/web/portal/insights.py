"""Insights: figures with a chart and the table behind it, and what nobody needs."""

from datetime import timedelta

from fastapi import Request
from starlette.responses import Response

from jitgate.core.errors import Invalid
from jitgate.service import insights
from jitgate.service.insights import MOST_DAYS, USUAL_DAYS
from jitgate.web.api.insights import Table, stream
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route

_CHOICES = (7, USUAL_DAYS, MOST_DAYS)
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_MOST = 50


async def show(request: Request) -> Response:
    """The page."""
    service, asker, days = service_of(request), asker_of(request), _days(request)
    found = await insights.overview(service, asker, days)
    return page(
        request,
        "insights.html",
        days=days,
        choices=_CHOICES,
        found=found,
        total=sum(day.requests for day in found.days),
        idle=await insights.list_idle(service, asker, days, limit=_MOST, after=request.query_params.get("idle")),
        wide=await insights.list_wide(service, asker, days, limit=_MOST, after=request.query_params.get("wide")),
        shares=_SHARES,
        length=length,
    )


async def download(request: Request) -> Response:
    """A table as CSV, all of it."""
    try:
        table = Table(request.query_params.get("table", ""))
    except ValueError:
        raise Invalid("table", "there is no such table", allowed=", ".join(Table)) from None
    return await stream(table, service_of(request), asker_of(request), _days(request))


def length(taken: timedelta | None) -> str:
    """A short length for people: ``85 ms``, ``1.2 s``, ``3 min``."""
    if taken is None:
        return "–"
    seconds = taken.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _days(request: Request) -> int:
    text = request.query_params.get("days", str(USUAL_DAYS))
    if not (text.isascii() and text.isdigit()) or len(text) > 3:
        raise Invalid("days", f"{text!r:.20} is not a number of days", allowed=f"1 to {MOST_DAYS}")
    return int(text)


ROUTES = (Route("GET", "/insights", show), Route("GET", "/insights/export", download, is_page=False))
