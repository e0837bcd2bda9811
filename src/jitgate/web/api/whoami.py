"""Who am I, to this server?"""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from jitgate import __version__
from jitgate.core import prefixes
from jitgate.web.api.forms import Shown
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(tags=["whoami"], route_class=NativeRoute, responses=REFUSALS)


class ShownAssignment(Shown):
    """A role, and where it holds."""

    role: str
    scope: str
    via: str = Field(description="The group that it was given to; empty: to the caller alone.")


class Whoami(Shown):
    """The caller, as this server sees it."""

    id: str
    name: str
    address: str | None = Field(
        examples=["203.0.113.7"], description="Where the call comes from, through trusted proxies only."
    )
    roles: list[ShownAssignment]
    subscription: str = Field(description="Where machines outside the clouds are filed.")
    resource_group: str
    version: str
    time_utc: datetime


@router.get("/whoami", summary="Who am I?")
async def whoami(service: CurrentService, asker: CurrentAsker) -> Whoami:
    """The caller's name, address and roles."""
    return Whoami(
        id=asker.principal.uid,
        name=asker.principal.name,
        address=None if asker.address is None else prefixes.text(asker.address),
        roles=[ShownAssignment(role=a.role.name, scope=a.scope, via=a.via) for a in asker.principal.assignments],
        subscription=service.settings.subscription,
        resource_group=service.settings.resource_group,
        version=__version__,
        time_utc=service.clock.wall(),
    )
