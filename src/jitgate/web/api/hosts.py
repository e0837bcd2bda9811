"""Hosts elsewhere: tokens by which they join, who has joined, and who waits."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field

from jitgate.core import duration, prefixes
from jitgate.service import hosts
from jitgate.service.hosts import HostView
from jitgate.store.hosts import Membership
from jitgate.trust import pins
from jitgate.web.agents import link_of
from jitgate.web.api.forms import Form, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/hosts", tags=["hosts"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="host", description="The host's name, or its UUID.")]


class TokenForm(Form):
    """How long a join token lasts, how many hosts may join by it, and where their machines are filed."""

    lifetime: Text = Field(default="PT1H", examples=["PT1H"])
    uses: int = Field(default=1, ge=1, le=hosts.MOST_USES)
    resource_group: Text | None = None


class ShownToken(Shown):
    """A join token, shown this once, and the pin that proves the server to the host."""

    token: str
    ca_pin: str
    resource_group: str
    uses: int
    expires_time_utc: datetime


class ShownHost(Shown):
    """A host that has joined, or waits for an administrator because its name is another's."""

    uuid: str
    name: str
    resource_group: str
    machine_id: str | None
    state: Membership
    verified: bool = Field(description="Whether it was heard of within the last minute.")
    heard_time_utc: datetime | None
    asked_time_utc: datetime
    asked_from: str | None
    public_key: str
    addresses: list[str]
    reported_addresses: list[str] = Field(description="What the host told, where nobody has confirmed it.")


@router.post("/tokens", summary="Make a join token", status_code=201)
async def make_token(form: TokenForm, request: Request, service: CurrentService, asker: CurrentAsker) -> ShownToken:
    """Make a token by which hosts join: `jitgate agent join URL --token … --ca-pin …`."""
    lifetime = duration.parse(form.lifetime, "lifetime").length
    made = await hosts.make_join_token(
        service, asker, lifetime=lifetime, uses=form.uses, resource_group=form.resource_group
    )
    return ShownToken(
        token=made.token.text,
        ca_pin=pins.fingerprint(link_of(request).authorities()),
        resource_group=made.resource_group,
        uses=made.uses,
        expires_time_utc=made.expires_at,
    )


@router.get("", summary="List hosts")
async def list_hosts(service: CurrentService, asker: CurrentAsker) -> list[ShownHost]:
    """Hosts that have joined, and those that wait."""
    return [_shown(view) for view in await hosts.list_hosts(service, asker)]


@router.post("/{host}/approve", summary="Let a waiting host in")
async def approve_host(name: Name, service: CurrentService, asker: CurrentAsker) -> ShownHost:
    """Let the host that waits under a name take it. The former one is removed, and its grants end."""
    return _shown(await hosts.approve_host(service, asker, name))


@router.post("/{host}/confirm", summary="Confirm a host's addresses")
async def confirm_addresses(name: Name, service: CurrentService, asker: CurrentAsker) -> ShownHost:
    """Have people be told the addresses that a host has reported."""
    return _shown(await hosts.confirm_addresses(service, asker, name))


@router.delete("/{host}", summary="Remove a host")
async def remove_host(name: Name, request: Request, service: CurrentService, asker: CurrentAsker) -> ShownHost:
    """Have a host be a member no more. Its grants end; its agent keeps shut what it protects, until it is released."""
    view = await hosts.remove_host(service, asker, name)
    link_of(request).fleet.forget(view.host.scope, view.host.uuid)
    return _shown(view)


def _shown(view: HostView) -> ShownHost:
    host, machine = view.host, view.machine
    return ShownHost(
        uuid=host.uuid,
        name=host.name,
        resource_group=host.resource_group,
        machine_id=machine.id if machine else None,
        state=host.state,
        verified=not view.silent,
        heard_time_utc=host.heard_at,
        asked_time_utc=host.asked_at,
        asked_from=None if host.asked_from is None else prefixes.text(prefixes.Prefix(host.asked_from)),
        public_key=host.public_key,
        addresses=list(machine.addresses) if machine else [],
        reported_addresses=list(view.reported),
    )
