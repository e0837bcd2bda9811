"""What is one's own: who one is, and how one's pages look."""

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.web.form import read_form
from jitgate.web.portal import session
from jitgate.web.portal.pages import THEME_COOKIE, THEMES, page
from jitgate.web.portal.routing import Route

_A_YEAR = 365 * 24 * 3600


async def account(request: Request) -> Response:
    """Who one is, and which roles one holds."""
    return page(request, "account.html")


async def choose_theme(request: Request) -> Response:
    """Light or dark from now on in this browser; else as the system has it."""
    form = await read_form(request)
    answer = RedirectResponse(session.own_path(form.get("then", "/")), 303)
    theme = form.get("theme", "")
    if theme in THEMES:
        session.set_cookie(answer, THEME_COOKIE, theme, _A_YEAR)
    else:
        session.drop_cookie(answer, THEME_COOKIE)
    return answer


ROUTES = (Route("GET", "/account", account), Route("POST", "/theme", choose_theme))
