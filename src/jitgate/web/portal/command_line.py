"""Signing in the command line: pages on which a person agrees, and the doors where a code becomes a token."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from jitgate.core import duration
from jitgate.core.errors import Forbidden, Invalid, NotFound, TooMany
from jitgate.service import logins
from jitgate.service.logins import LoggedIn, NotGiven, NotYet
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.errors import json_response
from jitgate.web.form import read_form
from jitgate.web.oauth import refusal
from jitgate.web.portal.pages import page
from jitgate.web.portal.routing import Route
from jitgate.web.portal.sign_in import caller_of
from jitgate.web.sites import host_of

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CODE_GRANT = "authorization_code"
_FIELDS = ("redirect_uri", "state", "code_challenge")
_MOST_STATE = 200


async def show_device(request: Request) -> Response:
    """Where a person types what a device shows."""
    return _device(request, request.query_params.get("code", "")[:20])


async def answer_device(request: Request) -> Response:
    """The person's answer."""
    form = await read_form(request)
    allow = form.get("answer") == "allow"
    try:
        await logins.answer_device(service_of(request), asker_of(request), form.get("code", "")[:40], allow=allow)
    except (NotFound, TooMany, Forbidden) as error:
        return _device(request, "", error.message)
    said = "It goes on by itself. You can close this page." if allow else "Nobody was signed in."
    return page(request, "said.html", title="Allowed" if allow else "Denied", text=said)


async def show_authorize(request: Request) -> Response:
    """Where a person agrees that the command line on the same machine acts as them."""
    fields = _asked(request.query_params)
    return page(
        request,
        "authorize.html",
        name=asker_of(request).principal.name,
        hours=_hours(request),
        fields=fields,
        forms_to=f"'self' {_origin(fields['redirect_uri'])}",
    )


async def answer_authorize(request: Request) -> Response:
    """The person's answer, taken to the command line."""
    form = await read_form(request)
    fields = _asked(form)
    answer = {"state": fields["state"]}
    if form.get("answer") == "allow":
        redirect, challenge = fields["redirect_uri"], fields["code_challenge"]
        answer["code"] = await logins.make_code(service_of(request), asker_of(request), redirect, challenge)
    else:
        answer["error"] = "access_denied"
    return RedirectResponse(f"{fields['redirect_uri'].rstrip('/')}/?{urlencode(answer)}", 303)


async def begin_device(request: Request) -> Response:
    """Codes for a device (RFC 8628, 3.1)."""
    try:
        device = await logins.begin_device(service_of(request), caller_of(request))
    except TooMany as error:
        return refusal("slow_down", error.message, 429, {"Retry-After": str(error.wait)})
    here = f"https://{host_of(request.scope)}/device"
    return json_response(
        {
            "device_code": device.device_code,
            "user_code": device.user_code,
            "verification_uri": here,
            "verification_uri_complete": f"{here}?code={device.user_code}",
            "expires_in": device.seconds,
            "interval": device.interval,
        }
    )


async def token(request: Request) -> Response:
    """A personal token for a code (RFC 6749, 4.1.3; RFC 8628, 3.4)."""
    try:
        given = await _redeem(request, await read_form(request))
    except Invalid as error:
        return refusal("invalid_request", error.message)
    except NotYet as waiting:
        code = "slow_down" if waiting.too_fast else "authorization_pending"
        return refusal(code, "Nobody has agreed yet.")
    except NotGiven as error:
        code = "access_denied" if error.was_denied else "invalid_grant"
        return refusal(code, "The code is wrong, was used already, has expired, or was denied.")
    except TooMany as error:
        return refusal("slow_down", error.message, 429, {"Retry-After": str(error.wait)})
    return json_response({"token_type": "Bearer", "access_token": given.token, "expires_in": given.seconds})


async def _redeem(request: Request, form: Mapping[str, str]) -> LoggedIn:
    service, caller = service_of(request), caller_of(request)
    match form.get("grant_type"):
        case "authorization_code":
            verifier, redirect = form.get("code_verifier", ""), form.get("redirect_uri", "")
            return await logins.redeem_code(service, caller, form.get("code", ""), verifier, redirect)
        case str() as grant if grant == DEVICE_GRANT:
            return await logins.redeem_device(service, caller, form.get("device_code", ""))
    raise Invalid("grant_type", "this grant is not taken here", allowed=f"{CODE_GRANT} or {DEVICE_GRANT}")


def _device(request: Request, code: str, problem: str = "") -> Response:
    name = asker_of(request).principal.name
    status = 400 if problem else 200
    return page(request, "device.html", status, name=name, hours=_hours(request), code=code, problem=problem)


def _asked(given: Mapping[str, str]) -> Mapping[str, str]:
    """What the command line asks for. Raises Invalid."""
    fields = {name: given.get(name, "") for name in _FIELDS}
    logins.check_redirect(fields["redirect_uri"])
    logins.check_challenge(fields["code_challenge"])
    if not 0 < len(fields["state"]) <= _MOST_STATE:
        raise Invalid("state", "there is none, or it is too long", allowed=f"1 to {_MOST_STATE} characters")
    return fields


def _origin(redirect: str) -> str:
    return f"http://{urlsplit(redirect).netloc}"


def _hours(request: Request) -> str:
    return duration.describe(service_of(request).settings.sign_in.command_line)


ROUTES = (
    Route("GET", "/device", show_device),
    Route("POST", "/device", answer_device),
    Route("GET", "/authorize", show_authorize),
    Route("POST", "/authorize", answer_authorize),
    Route("POST", "/login/device", begin_device, is_page=False),
    Route("POST", "/login/token", token, is_page=False),
)
