"""The session that pages are asked with: a cookie for this host, over TLS, out of reach for scripts."""

import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

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
    """To the sign-in page, and from there back to where somebody wanted to go. A script is told to lead there."""
    headers = dict(scope["headers"])
    if headers.get(b"accept") == b"text/event-stream":
        return Response(status_code=401)
    if b"hx-request" in headers:
        shown = urlsplit(headers.get(b"hx-current-url", b"").decode("latin-1"))
        return Response(status_code=401, headers={"HX-Redirect": _sign_in_for(_path(shown.path or "/", shown.query))})
    wanted = _path(scope["path"], scope.get("query_string", b"").decode("latin-1"))
    return RedirectResponse(_sign_in_for(wanted if scope["method"] == "GET" else "/"), 303)


def _path(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _sign_in_for(wanted: str) -> str:
    return f"/sign-in?next={quote(own_path(wanted), safe='')}"


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
