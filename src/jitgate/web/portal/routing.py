"""What the portal answers: its routes as a list, and what holds for each of them.

A form is taken from this server's own pages only. What the service refuses is told as a page. ::

    ROUTES = (Route("GET", "/insights", show), Route("POST", "/insights/hide", hide))
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from jitgate.core.errors import JitgateError
from jitgate.service import activity
from jitgate.web.dependencies import service_of
from jitgate.web.portal.pages import refused
from jitgate.web.sites import check_own_page

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path with one method. `is_page` is false for what programs call, or a page loads: it speaks for itself."""

    method: str
    path: str
    endpoint: Endpoint
    is_page: bool = True

    def add_to(self, app: FastAPI) -> None:
        """Have an application answer it."""
        answer = self._answer if self.is_page else self.endpoint
        # FastAPI reads an endpoint's signature, and takes a request for one only if it is said to be.
        app.add_api_route(
            self.path, _of_request(answer), methods=[self.method], include_in_schema=False, response_class=Response
        )

    async def _answer(self, request: Request) -> Response:
        try:
            if self.method != "GET":
                check_own_page(request.scope)
            await _note_how_far_the_record_is(request)
            return await self.endpoint(request)
        except JitgateError as error:
            return refused(request, error)


async def _note_how_far_the_record_is(request: Request) -> None:
    """Before a page reads what it shows: its connection goes on from there, however long it takes to be made."""
    state = request.scope["state"]
    if state.get("asker"):
        state["live_from"] = await activity.last_sealed(service_of(request))


def _of_request(answer: Endpoint) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await answer(request)

    return endpoint
