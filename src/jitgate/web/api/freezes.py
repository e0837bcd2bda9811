"""Freezes: what is kept shut, for whom, and why."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core.freeze import LONGEST_WHY
from jitgate.service import freezes
from jitgate.service.freezes import Target
from jitgate.store.freezes import Kept
from jitgate.web.api.forms import Form, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/freezes", tags=["freezes"], route_class=NativeRoute, responses=REFUSALS)

Why = Annotated[Text, Field(max_length=LONGEST_WHY)]


class FreezeForm(Form):
    """What shall be frozen: one of `person`, `machine` and `scope`; `/` is everything. `why` is told to who asks."""

    person: Text | None = Field(default=None, examples=["mallory"])
    machine: Text | None = Field(default=None, description="Its id or any unique short name.")
    scope: Text | None = None
    why: Why


class ThawForm(Form):
    """Why a freeze may end."""

    why: Why


class ShownFreeze(Shown):
    """A freeze, in force or over."""

    id: str
    person: str | None
    scope: str | None
    why: str
    by: str
    time_utc: datetime
    thawed_time_utc: datetime | None
    thawed_by: str | None
    thaw_why: str | None


class Freezes(Shown):
    """Freezes, newest first."""

    items: list[ShownFreeze]


@router.get("", summary="What is frozen")
async def list_freezes(
    service: CurrentService,
    asker: CurrentAsker,
    ended: Annotated[bool, Query(description="Those that are over, too.")] = False,
) -> Freezes:
    """What is frozen, newest first."""
    return Freezes(items=[_show(kept) for kept in await freezes.list_freezes(service, asker, ended=ended)])


@router.post("", status_code=201, summary="Freeze")
async def freeze(form: FreezeForm, service: CurrentService, asker: CurrentAsker) -> ShownFreeze:
    """Shut all that is open for a person, for a machine or below a scope path, and refuse what is asked meanwhile."""
    target = Target(form.person, form.machine, form.scope)
    return _show(await freezes.freeze(service, asker, target, form.why))


@router.post("/{freeze}/thaw", summary="Thaw")
async def thaw(
    uid: Annotated[Text, Path(alias="freeze", description="A freeze's id, or its first characters.")],
    form: ThawForm,
    service: CurrentService,
    asker: CurrentAsker,
) -> ShownFreeze:
    """End a freeze. What it has shut stays shut; it can be asked for again."""
    return _show(await freezes.thaw(service, asker, uid, form.why))


def _show(kept: Kept) -> ShownFreeze:
    return ShownFreeze(
        id=kept.freeze.uid,
        person=kept.person_name,
        scope=kept.freeze.scope,
        why=kept.freeze.why,
        by=kept.by,
        time_utc=kept.freeze.at,
        thawed_time_utc=kept.thawed_at,
        thawed_by=kept.thawed_by,
        thaw_why=kept.thaw_why,
    )
