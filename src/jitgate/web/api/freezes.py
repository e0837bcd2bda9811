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

    person: Text | None = Field(
        default=None,
        examples=["mallory"],
        description="The name of a person or program. Left out: a machine or a scope path is meant.",
    )
    machine: Text | None = Field(
        default=None,
        description="A machine's id or any unique short name. Left out: a person or a scope path is meant.",
    )
    scope: Text | None = Field(
        default=None,
        description="A scope path: everything below it; `/` is everything. Left out: a person or a machine is meant.",
    )
    why: Why = Field(description="Why. It is told to whoever asks for what is frozen.")


class ThawForm(Form):
    """Why a freeze may end."""

    why: Why = Field(description="Why it may end. It goes on record.")


class ShownFreeze(Shown):
    """A freeze, in force or over."""

    id: str = Field(description="The freeze's id. Its first four characters do, while they are unique.")
    person: str | None = Field(
        description="The name of the person or program that it holds for; null: it holds for a scope path."
    )
    scope: str | None = Field(
        description="The scope path that it holds for, a machine's id for a machine; null: it holds for a person."
    )
    why: str = Field(description="Why, as it is told to whoever asks.")
    by: str = Field(description="The name of who froze it.")
    time_utc: datetime = Field(description="Since when, in UTC.")
    thawed_time_utc: datetime | None = Field(description="When it ended, in UTC; null: it is in force.")
    thawed_by: str | None = Field(description="The name of who ended it; null: it is in force.")
    thaw_why: str | None = Field(description="Why it was ended; null: it is in force.")


class Freezes(Shown):
    """Freezes, newest first."""

    items: list[ShownFreeze] = Field(description="A thousand at most.")


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
    uid: Annotated[Text, Path(alias="freeze", description="A freeze's id, or its first characters: four at least.")],
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
