"""Every refusal on the wire, in one shape: the contract's CloudError.

::

    {"error": {"code": "TooLong", "message": "…", "target": "virtualMachines[0].ports[0].endTimeUtc",
               "details": [{"code": "…", "message": "…", "target": "…"}]}}

This is the one place where errors become status codes. What jitgate did not foresee becomes a 500 that names
the request's correlation id and nothing else.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from jitgate.core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    JitgateError,
    NotFound,
    Reason,
    Refused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)

JSON = "application/json; charset=utf-8"
MOST_DETAILS = 50

_STATUS: Mapping[type[JitgateError], int] = {
    TooLarge: 413,
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Refused: 400,
    TooMany: 429,
    Unavailable: 503,
}
_HEADERS: Mapping[type[JitgateError], Mapping[str, str]] = {
    Unauthenticated: {"WWW-Authenticate": 'Bearer realm="jitgate"'},
    Unavailable: {"Retry-After": "1"},
}


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(encode(value), status, headers, JSON)


def encode(value: object) -> bytes:
    """JSON as it goes over the wire."""
    return _encoder.encode(value).encode()


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def error_response(error: JitgateError) -> Response:
    """A refusal, as the wire knows it."""
    kind = next(kind for kind in type(error).__mro__ if kind in _STATUS)
    status, code = _STATUS[kind], error.code
    if isinstance(error, Refused) and all(reason.code == Forbidden.code for reason in error.reasons):
        status, code = 403, Forbidden.code
    headers = {"Retry-After": str(error.wait)} if isinstance(error, TooMany) else _HEADERS.get(kind)
    return json_response(cloud_error(code, error.message, error.reasons), status, headers)


def cloud_error(code: str, message: str, reasons: Sequence[Reason] = ()) -> dict[str, Any]:
    """The body of a refusal. Its target is the first failing field."""
    named = [reason for reason in reasons if reason.field]
    error: dict[str, Any] = {"code": code, "message": message}
    if named:
        error["target"] = named[0].field
    error["details"] = [_detail(reason) for reason in reasons[:MOST_DETAILS] if reason.field or len(reasons) > 1]
    return {"error": error}


def flat_error(response: Response) -> Response:
    """The same refusal as the Activity Log API writes it: code and message, and nothing around them."""
    error = json.loads(bytes(response.body))["error"]
    headers = {name: value for name, value in response.headers.items() if name.startswith(("www-", "retry-"))}
    return json_response({"code": error["code"], "message": error["message"]}, response.status_code, headers)


def internal_error(correlation: str) -> Response:
    """What went wrong inside is in the log, under this id, and nowhere else."""
    message = (
        f"Something went wrong inside jitgate. Try again; if it stays, look for {correlation} in the server's log."
    )
    return json_response(cloud_error("InternalServerError", message), 500)


# --- handlers, for what is raised below the routes --------------------------------------------------


async def answer_refusal(_request: Request, error: Exception) -> Response:
    """For JitgateError."""
    assert isinstance(error, JitgateError)
    return error_response(error)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """For what the framework refuses, and for refusals that it has wrapped."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, JitgateError):
        return error_response(error.__cause__)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _method_not_allowed(request)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return error_response(
            NotFound("There is nothing at this path. Check its spelling, and that no part is missing.")
        )
    status = HTTPStatus(error.status_code)
    code = status.phrase.title().replace(" ", "").replace("-", "")
    return json_response(cloud_error(code, f"{error.detail}."), error.status_code, error.headers)


async def answer_validation_error(_request: Request, error: Exception) -> Response:
    """For input that does not fit an endpoint's types."""
    assert isinstance(error, RequestValidationError)
    reasons = [_reason(found) for found in error.errors()]
    message = " ".join(str(reason) for reason in reasons[:MOST_DETAILS])
    return json_response(cloud_error(Invalid.code, message, reasons), 400)


def _method_not_allowed(request: Request) -> Response:
    allowed = ", ".join(sorted(_methods(request)))
    error = cloud_error("MethodNotAllowed", f"{request.method} does not work here. Allowed: {allowed}.")
    return json_response(error, 405, {"Allow": allowed})


def _methods(request: Request) -> set[str]:
    """The methods that some route takes for a path."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    return {method for method in known if _matches(request, method)}


def _matches(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)


def _detail(reason: Reason) -> dict[str, str]:
    allowed = f" Allowed: {reason.allowed}." if reason.allowed else ""
    detail = {"code": reason.code, "message": f"{reason.message}.{allowed}"}
    if reason.field:
        detail["target"] = reason.field
    return detail


def _reason(found: Mapping[str, Any]) -> Reason:
    return Reason(Invalid.code, _field(found["loc"]), str(found["msg"]))


def _field(location: Sequence[str | int]) -> str:
    """``("body", "machines", 0, "id")`` as people write it: ``machines[0].id``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location[1:]]
    return "".join(parts).lstrip(".") or str(location[0])
