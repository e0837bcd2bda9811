"""Who is notified, and how far each has got."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from jitgate.service import notifications
from jitgate.web.api.forms import Shown
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=NativeRoute, responses=REFUSALS)


class ShownReceiver(Shown):
    """One receiver of notifications."""

    name: str = Field(description="Its name in the settings.")
    behind: int = Field(description="How many lines of the record it has not been told of, or not been asked about.")
    attempts: int = Field(description="Failures in a row with the next one.")
    next_time_utc: datetime = Field(description="When it is told next, in UTC.")
    error: str = Field(description="Why the last attempt failed; empty if it did not.")


class ShownReceivers(Shown):
    """Receivers, by name."""

    items: list[ShownReceiver] = Field(description="One for each in the settings.")


@router.get("", summary="Who is notified")
async def list_receivers(service: CurrentService, asker: CurrentAsker) -> ShownReceivers:
    """The receivers of notifications, and how far each has got."""
    found = await notifications.list_receivers(service, asker)
    return ShownReceivers(
        items=[
            ShownReceiver(
                name=one.name, behind=one.behind, attempts=one.attempts, next_time_utc=one.due_at, error=one.error
            )
            for one in found
        ]
    )
