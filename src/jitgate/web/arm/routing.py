"""Routes as ARM matches them: without regard to case, and with a version that the client names."""

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from jitgate.core.errors import Invalid

API_VERSIONS = ("2020-01-01", "2015-06-01-preview")
"""Two names for one contract."""

_VERSION = "api-version"


class ArmRoute(APIRoute):
    """A route of the contract. Its endpoint takes the request and gives the whole response."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            check_version(request)
            response: Response = await self.endpoint(request)
            return response

        return handle


def check_version(request: Request) -> str:
    """The version that the client asks for. Raises Invalid for none, and for one that is not spoken here."""
    version = query(request, _VERSION)
    allowed = " or ".join(API_VERSIONS)
    if not version:
        raise Invalid(_VERSION, "the query parameter is missing", allowed=allowed, code="MissingApiVersionParameter")
    if version.lower() not in API_VERSIONS:
        what = f"{version[:40]!r} is not a version of this API"
        raise Invalid(_VERSION, what, allowed=allowed, code="InvalidApiVersionParameter")
    return version


def query(request: Request, name: str) -> str:
    """A query parameter by its name in any case; "" where it is left out."""
    return next((value for key, value in request.query_params.multi_items() if key.lower() == name), "")
