"""Routes as ARM matches them: without regard to case, and with a version that the client names."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import request_response

from jitgate.core.errors import Invalid

API_VERSIONS = ("2020-01-01", "2015-06-01-preview")
"""Two names for one contract."""

_VERSION = "api-version"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z]{1,20})?", re.ASCII | re.IGNORECASE)


class ArmRoute(APIRoute):
    """A route of the contract. Its endpoint takes the request and gives the whole response."""

    versions: ClassVar[Collection[str]] = API_VERSIONS

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)
        # Not FastAPI's own way to the endpoint, which first lays out what dependencies would need.
        self.app = request_response(self._answer)

    async def _answer(self, request: Request) -> Response:
        check_version(request, self.versions)
        response: Response = await self.endpoint(request)
        return response


class AzureRoute(ArmRoute):
    """A route of what stands around the contract: read in whatever version a client asks for, as those agree on the
    few fields that are there."""

    versions: ClassVar[Collection[str]] = ()


def add(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Callable[[Request], Awaitable[Response]],
    operation_id: str,
    described: Mapping[str, Any],
    *,
    route: type[ArmRoute] = AzureRoute,
    status: int = 200,
) -> None:
    """Add one route that Azure's clients call. `described`: what the description of the API says of it."""
    app.router.add_api_route(
        path,
        endpoint,
        methods=[method],
        status_code=status,
        # FastAPI would describe an answer in JSON, which the description does where there is one.
        response_class=Response,
        tags=["Azure-compatible"],
        route_class_override=route,
        name=endpoint.__name__,
        operation_id=operation_id,
        openapi_extra=dict(described),
    )


def check_version(request: Request, versions: Collection[str] = API_VERSIONS) -> str:
    """The version that the client asks for. `versions`: those that are spoken; none: any that is a date.

    Raises Invalid for none, and for one that is not spoken here.
    """
    version = query(request, _VERSION)
    allowed = " or ".join(versions) or "a date, such as 2022-12-01"
    if not version:
        raise Invalid(_VERSION, "the query parameter is missing", allowed=allowed, code="MissingApiVersionParameter")
    if not (version.lower() in versions if versions else _DATED.fullmatch(version)):
        what = f"{version[:40]!r} is not a version of this API"
        raise Invalid(_VERSION, what, allowed=allowed, code="InvalidApiVersionParameter")
    return version


def query(request: Request, name: str) -> str:
    """A query parameter by its name in any case; "" where it is left out."""
    return next((value for key, value in request.query_params.multi_items() if key.lower() == name), "")
