"""Machines: what there is, and whether it is protected."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core.errors import Invalid
from jitgate.service import machines, policies
from jitgate.service.base import Asker, Service
from jitgate.service.views import MachineView
from jitgate.web.api import shown
from jitgate.web.api.forms import After, Form, Limit, Listing, Text, Wait
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.shown import ShownMachine
from jitgate.web.api.waiting import until
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/machines", tags=["machines"], route_class=NativeRoute, responses=REFUSALS)

MOST_MACHINES = 2000


class DisableForm(Form):
    """Which machines."""

    machines: list[Text] = Field(examples=[["web-1"]], min_length=1, max_length=MOST_MACHINES)


class EnableForm(Form):
    """Which machines to protect: those named, or all that can be."""

    machines: list[Text] | None = Field(default=None, examples=[["web-1"]], min_length=1, max_length=MOST_MACHINES)
    all: bool = False
    force: bool = Field(default=False, description="Protect a port even if that cuts off an established connection.")


@router.get("", summary="List machines")
async def list_machines(
    service: CurrentService,
    asker: CurrentAsker,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownMachine]:
    """Machines by name, whether or not a policy protects them."""
    page = await machines.list_machines(service, asker, limit=limit, after=after)
    return Listing(items=[shown.machine(view) for view in page.items], after=page.after)


@router.post("/enable", summary="Protect machines with the defaults")
async def enable_machines(
    form: EnableForm, service: CurrentService, asker: CurrentAsker, wait: Annotated[Wait, Query()] = 0
) -> list[ShownMachine]:
    """Give machines a policy with the defaults of their operating system: 22 or 3389, any source, three hours.

    With `wait`, the answer comes once the ports are really shut, or it is known why not.
    """
    if form.all == (form.machines is not None):
        raise Invalid("machines", "either some machines are named, or all are meant", allowed="machines, or all: true")
    since = service.clock.wall()
    views = await policies.enable_machines(service, asker, form.machines, force=form.force)
    return await _when(partial(_is_protected, since=since), service, asker, views, wait)


@router.post("/disable", summary="Protect machines no longer")
async def disable_machines(
    form: DisableForm, service: CurrentService, asker: CurrentAsker, wait: Annotated[Wait, Query()] = 0
) -> list[ShownMachine]:
    """Take machines out of every policy. Their live grants end; only jitgate's own rules go."""
    views = await policies.disable_machines(service, asker, form.machines)
    return await _when(_is_released, service, asker, views, wait)


# A machine's id holds slashes, so this route comes last.
@router.get("/{machine:path}", summary="One machine")
async def get_machine(
    machine: Annotated[Text, Path(description="The machine's id, or any unique short name.")],
    service: CurrentService,
    asker: CurrentAsker,
) -> ShownMachine:
    """A machine, and how its ports are held."""
    return shown.machine(await machines.get_machine(service, asker, _name(machine)))


async def _when(
    is_settled: Callable[[MachineView], bool], service: Service, asker: Asker, views: Sequence[MachineView], wait: float
) -> list[ShownMachine]:
    """Machines as they are once their firewalls have done what was asked, or when the time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    settled: list[MachineView] = []
    for view in views:
        read = partial(machines.get_machine, service, asker, view.machine.id)
        settled.append(await until(is_settled, read, deadline - loop.time()) if wait else view)
    return [shown.machine(view) for view in settled]


def _is_protected(view: MachineView, since: datetime) -> bool:
    """The firewall has answered since then: each port is shut, or there is a reason why it is not."""
    return view.verified_at is not None and view.verified_at >= since and bool(view.protected)


def _is_released(view: MachineView) -> bool:
    return not view.protected


def _name(path: str) -> str:
    """An id loses its first slash in a path."""
    return f"/{path}" if path.casefold().startswith("subscriptions/") else path
