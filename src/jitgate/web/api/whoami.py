"""Who am I, to this server?"""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from jitgate import __version__
from jitgate.core import prefixes
from jitgate.web.api.forms import Shown
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import RoleName, ScopePath, Via
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(tags=["whoami"], route_class=NativeRoute, responses=REFUSALS)


class ShownAssignment(Shown):
    """A role, and where it holds."""

    role: RoleName
    scope: ScopePath
    via: Via


class Whoami(Shown):
    """The caller, as this server sees it."""

    id: str = Field(description="The caller's id.")
    name: str = Field(description="The caller's name.")
    address: str | None = Field(
        examples=["203.0.113.7"], description="Where the call comes from, through trusted proxies only."
    )
    roles: list[ShownAssignment] = Field(description="The roles that the caller holds, groups included.")
    subscription: str = Field(description="The GUID of the subscription that machines outside the clouds are filed in.")
    resource_group: str = Field(description="The resource group that they are filed in.")
    version: str = Field(description="The server's version.")
    time_utc: datetime = Field(description="The server's time, in UTC.")


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
