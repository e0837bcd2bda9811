"""Hosts elsewhere: tokens by which they join, who has joined, and who waits."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field

from jitgate.core import duration, prefixes
from jitgate.core.machine import Joins
from jitgate.service import hosts
from jitgate.service.hosts import HostView
from jitgate.store.hosts import Membership
from jitgate.trust import pins
from jitgate.web.agents import link_of
from jitgate.web.api.forms import Form, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import ResourceGroup
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/hosts", tags=["hosts"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="host", description="The host's name, or its UUID.")]


class TokenForm(Form):
    """How long a join token lasts, how many hosts may join by it, and where their machines are filed."""

    lifetime: Text = Field(
        default="PT1H", examples=["PT1H"], description="How long it can be used, ISO 8601, PT1M to P30D."
    )
    uses: int = Field(default=1, ge=1, le=hosts.MOST_USES, description="How many hosts may join by it.")
    resource_group: Text | None = Field(
        default=None, description="Where their machines are filed. Left out: in this installation's own resource group."
    )


class ShownToken(Shown):
    """A join token, shown this once, and the pin that proves the server to the host."""

    token: str = Field(description="The join token. It is secret, and shown this once.")
    ca_pin: str = Field(
        description="What the host compares the server's certificate authority with: `sha256:` and 64 digits."
    )
    resource_group: ResourceGroup
    uses: int = Field(description="How many hosts may join by it.")
    expires_time_utc: datetime = Field(description="Until when it can be used, in UTC.")


class ShownHost(Shown):
    """A host that has joined, or waits for an administrator because its name is another's."""

    uuid: str = Field(description="The host's UUID; its machine's, too.")
    name: str = Field(description="The name that it joined by.")
    kind: Joins = Field(description="A host that holds its own firewall, or a gateway in front of machines.")
    resource_group: ResourceGroup
    machine_id: str | None = Field(
        description="The id of the machine that it is; null while it waits, and for a gateway."
    )
    state: Membership = Field(description="`joined`; `waiting`, for an administrator; `removed`, for ever.")
    verified: bool = Field(description="Whether it was heard of within the last minute.")
    heard_time_utc: datetime | None = Field(description="When it was last heard of, in UTC; null: never yet.")
    asked_time_utc: datetime = Field(description="When it asked to join, in UTC.")
    asked_from: str | None = Field(description="The address that it asked from; null: that was not known.")
    public_key: str = Field(description="The public key that it signs with.")
    addresses: list[str] = Field(description="Where people are told to connect to.")
    reported_addresses: list[str] = Field(
        description="Addresses that it told and nobody has confirmed; nobody is told to connect there."
    )
    refused: list[str] = Field(description="Machines that a gateway told, and why they are not taken in.")


@router.post("/tokens", summary="Make a join token", status_code=201)
async def make_token(form: TokenForm, request: Request, service: CurrentService, asker: CurrentAsker) -> ShownToken:
    """Make a token by which hosts join: `jitgate agent join URL --token … --ca-pin …`."""
    lifetime = duration.parse(form.lifetime, "lifetime").length
    made = await hosts.make_join_token(
        service, asker, lifetime=lifetime, uses=form.uses, resource_group=form.resource_group
    )
    return ShownToken(
        token=made.token.text,
        ca_pin=pins.fingerprint(link_of(request).authority()),
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
        kind=host.kind,
        resource_group=host.resource_group,
        machine_id=machine.id if machine else None,
        state=host.state,
        verified=not view.silent,
        heard_time_utc=host.heard_at,
        asked_time_utc=host.asked_at,
        asked_from=None if host.asked_from is None else prefixes.text(prefixes.Prefix(host.asked_from)),
        public_key=host.public_key,
        addresses=list(view.addresses),
        reported_addresses=list(view.reported),
        refused=list(view.refused),
    )
