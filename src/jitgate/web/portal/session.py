"""The session that pages are asked with: a cookie for this host, over TLS, out of reach for scripts.

::

    @page
    async def machines(request: Request) -> Response:
        asker = asker_of(request)   # the gate has read the cookie already
"""

import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from jitgate.identity.credentials import NotKnown
from jitgate.service.base import Asker, Service
from jitgate.service.recognition import Caller
from jitgate.service.refusals import refuse
from jitgate.service.sessions import NotSignedIn, Session, find

COOKIE = "__Host-jitgate"
WAY_COOKIE = "__Host-jitgate-way"
LONGEST_PATH = 1000
_OWN_PATH = re.compile(r"/(?![/\\])[\w\-./~%?=&+,:]*", re.ASCII)


async def identify_session(service: Service, scope: Scope, caller: Caller) -> Asker:
    """Who asks with a cookie. Raises NotSignedIn; a session that ended is put on record when somebody uses it."""
    secret = cookie(scope, COOKIE)
    try:
        return await find(service, caller, secret)
    except NotKnown as error:
        if secret:
            await refuse(service, error, caller.address, caller.correlation)
        raise NotSignedIn from None


def to_sign_in(scope: Scope) -> Response:
    """To the sign-in page, and from there back to where somebody wanted to go."""
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "") if scope["method"] == "GET" else "/"
    return RedirectResponse(f"/sign-in?next={quote(own_path(wanted), safe='')}", 303)


def own_path(text: str) -> str:
    """A path of this server; "/" for whatever would lead elsewhere."""
    return text if len(text) <= LONGEST_PATH and _OWN_PATH.fullmatch(text) else "/"


def cookie(scope: Scope, name: str) -> str:
    """The value of a cookie; "" for none."""
    sent = [value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie"]
    try:
        found = SimpleCookie("; ".join(sent)).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def keep(response: Response, session: Session) -> None:
    """Have the browser keep a session."""
    set_cookie(response, COOKIE, session.secret, session.seconds)


def set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    """Have the browser keep a value: for this host alone, over TLS, on no other site's calls, unseen by scripts."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response, name: str) -> None:
    """Have the browser forget a value."""
    set_cookie(response, name, "", 0)
