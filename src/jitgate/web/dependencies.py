"""What endpoints are given: who asks, and the house to ask.

::

    @router.get("/api/machines")
    async def machines(service: CurrentService, asker: CurrentAsker) -> ...
"""

from typing import Annotated, cast

from fastapi import Depends, Request

from jitgate.service.base import Asker, Service


def service_of(request: Request) -> Service:
    """The house that this application opens its doors to."""
    return cast("Service", request.app.state.service)


def asker_of(request: Request) -> Asker:
    """Who asks, as `jitgate.web.authentication` found out before any route was looked at."""
    return cast("Asker", request.scope["state"]["asker"])


async def _service(request: Request) -> Service:
    return service_of(request)


async def _asker(request: Request) -> Asker:
    return asker_of(request)


# Coroutines: FastAPI runs a plain function in a thread, which costs more than the whole look-up.
CurrentService = Annotated[Service, Depends(_service)]
CurrentAsker = Annotated[Asker, Depends(_asker)]
