"""Machines: what there is, and whether it is protected."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from jitgate.core.catalogue import Order, Sought, Standing
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.service import catalogue, machines, policies
from jitgate.service.base import Asker, Service
from jitgate.service.plans import read_scope
from jitgate.service.views import MachineView
from jitgate.web.api import shown
from jitgate.web.api.forms import After, Form, Limit, Listing, Shown, Text, Wait
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.shown import ShownMachine
from jitgate.web.api.waiting import until
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/machines", tags=["machines"], route_class=NativeRoute, responses=REFUSALS)

# Not below /machines: there a machine may have any name.
counts = APIRouter(prefix="/machine-counts", tags=["machines"], route_class=NativeRoute, responses=REFUSALS)

MOST_MACHINES = 2000


class DisableForm(Form):
    """Which machines."""

    machines: list[Text] = Field(
        examples=[["web-1"]],
        min_length=1,
        max_length=MOST_MACHINES,
        description="Their ids, or any unique short names.",
    )


class EnableForm(Form):
    """Which machines to protect: those named, or all that can be."""

    machines: list[Text] | None = Field(
        default=None,
        examples=[["web-1"]],
        min_length=1,
        max_length=MOST_MACHINES,
        description="Their ids, or any unique short names. Left out: `all` says which.",
    )
    all: bool = Field(default=False, description="All that can be protected and are not yet, in place of `machines`.")
    force: bool = Field(default=False, description="Protect a port even if that cuts off an established connection.")


async def _sought(
    service: CurrentService,
    standing: Annotated[Standing | None, Query(description="Whether they have just-in-time access.")] = None,
    scope: Annotated[Text | None, Query(description="A subscription or resource group: path, GUID or name.")] = None,
    connector: Annotated[Text, Query(description="Found by the connector of this name. Left out: by any.")] = "",
    os: Annotated[OperatingSystem | None, Query(description="With this operating system. Left out: any.")] = None,
    tag: Annotated[list[Text] | None, Query(description="`name` or `name=value`, in any case. Several: all.")] = None,
    search: Annotated[Text, Query(description="Stands in the name, an address or a tag, in any case.")] = "",
) -> Sought:
    """What of the machines is meant: everything, but for what is said here. Raises Invalid."""
    place = read_scope(service, scope) if scope else "/"
    return Sought(standing, place, connector, os, tuple(tag or ()), search)


SoughtMachines = Annotated[Sought, Depends(_sought)]


class ShownCounts(Shown):
    """How many machines stand how."""

    configured: int = Field(description="With just-in-time access.")
    not_configured: int = Field(description="Without it, though they can have it.")
    unsupported: int = Field(description="That cannot have it.")


@router.get("", summary="List machines")
async def list_machines(
    service: CurrentService,
    asker: CurrentAsker,
    sought: SoughtMachines,
    order: Annotated[
        Order,
        Query(description="By what they are sorted: `name`, the most exposed first, or the latest accessed first."),
    ] = Order.NAME,
    reverse: Annotated[bool, Query(description="The other way round.")] = False,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownMachine]:
    """Machines, whether or not a policy protects them. An `after` is good for the order that it was given out for."""
    page = await catalogue.find_machines(service, asker, sought, order=order, reverse=reverse, limit=limit, after=after)
    return Listing(items=[shown.machine(view) for view in page.items], after=page.after)


@counts.get("", summary="Count machines")
async def count_machines(service: CurrentService, asker: CurrentAsker, sought: SoughtMachines) -> ShownCounts:
    """How many machines stand how, of what is sought. Of each at most 10,000 are counted; 10,001 stands for more."""
    found = await catalogue.count_machines(service, asker, sought)
    return ShownCounts(
        configured=found[Standing.CONFIGURED],
        not_configured=found[Standing.NOT_CONFIGURED],
        unsupported=found[Standing.UNSUPPORTED],
    )


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
