"""Connectors: the cloud accounts that machines are found in."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.service import connectors
from jitgate.service.connectors import ConnectorView, Draft
from jitgate.web.api import waiting
from jitgate.web.api.forms import Form, Shown, Text, Wait
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import CreatedTime, ResourceGroup, Subscription
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/connectors", tags=["connectors"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="connector", description="The connector's name.")]
Settings = Annotated[dict[Text, Any], Field(max_length=40)]


class ConnectorForm(Form):
    """A cloud account. `settings` are those of its kind; secrets are named by their files, never sent."""

    kind: Text = Field(
        examples=["azure"],
        description="What it connects to: `azure`, `aws`, or the kind of a connector package that is installed.",
    )
    subscription: Text | None = Field(default=None, description="A GUID; else this installation's own.")
    resource_group: Text | None = Field(
        default=None, description="Where machines outside Azure are filed; else this installation's."
    )
    settings: Settings = Field(default_factory=dict, description="The settings of its kind. Left out: none.")


class ShownConnector(Shown):
    """A connector, and how it fares."""

    name: str = Field(description="Its name.")
    kind: str = Field(description="What it connects to.")
    subscription: Subscription
    resource_group: ResourceGroup
    settings: dict[str, Any] = Field(
        description="The settings of its kind, as they were given; secrets are never among them."
    )
    machines: int = Field(description="How many machines it has found.")
    created_time_utc: CreatedTime
    removed_time_utc: datetime | None = Field(
        description="When it was removed, in UTC: its firewalls are being let go of. Null: it was not."
    )
    discovered_time_utc: datetime | None = Field(
        description="When its machines were last listed, in UTC; null: never yet."
    )
    failed_time_utc: datetime | None = Field(
        description="Since when its machines cannot be listed, in UTC; null: they can."
    )
    error: str = Field(description="Why its machines cannot be listed; empty where they can.")
    test_asked_time_utc: datetime | None = Field(description="When a test was last asked for, in UTC; null: never.")
    tested_time_utc: datetime | None = Field(
        description="When a test was last made, in UTC; null: never. One that was asked for later is still to come."
    )
    missing_permissions: list[str] = Field(description="What it may not do and needs to, by the last test.")
    test_error: str = Field(description="Why the last test could not be made; empty where it could.")


@router.get("", summary="List connectors")
async def list_connectors(service: CurrentService, asker: CurrentAsker) -> list[ShownConnector]:
    """The connectors, and how they fare."""
    return [_shown(view) for view in await connectors.list_connectors(service, asker)]


@router.get("/{connector}", summary="One connector")
async def get_connector(name: Name, service: CurrentService, asker: CurrentAsker) -> ShownConnector:
    """One connector, and how it fares."""
    return _shown(await connectors.get_connector(service, asker, name))


@router.put("/{connector}", summary="Add a connector, or change its settings")
async def put_connector(
    name: Name, form: ConnectorForm, service: CurrentService, asker: CurrentAsker
) -> ShownConnector:
    """Add a connector, or give it other settings. Its machines are listed within a minute."""
    own = service.settings
    draft = Draft(
        name,
        form.kind,
        form.subscription or own.subscription,
        form.resource_group or own.resource_group,
        form.settings,
    )
    return _shown(await connectors.put_connector(service, asker, draft))


@router.post("/{connector}/test", summary="Test a connector's permissions")
async def have_tested(
    name: Name, service: CurrentService, asker: CurrentAsker, wait: Annotated[Wait, Query()] = 0
) -> ShownConnector:
    """Try what the connector needs, and name each permission that it lacks."""
    asked = await connectors.ask_for_test(service, asker, name)
    found = await waiting.until(
        lambda view: not view.connector.awaits_test,
        lambda: connectors.get_connector(service, asker, asked.connector.name),
        wait,
    )
    return _shown(found)


@router.delete("/{connector}", summary="Remove a connector")
async def remove_connector(name: Name, service: CurrentService, asker: CurrentAsker) -> ShownConnector:
    """End its grants, forget its machines, and take away what it made in firewalls. Then it is listed no more."""
    return _shown(await connectors.remove_connector(service, asker, name))


def _shown(view: ConnectorView) -> ShownConnector:
    one = view.connector
    return ShownConnector(
        name=one.name,
        kind=one.kind,
        subscription=one.subscription,
        resource_group=one.resource_group,
        settings=dict(one.settings),
        machines=view.machines,
        created_time_utc=one.created_at,
        removed_time_utc=one.removed_at,
        discovered_time_utc=one.discovered_at,
        failed_time_utc=one.failed_at,
        error=one.error,
        test_asked_time_utc=one.test_asked_at,
        tested_time_utc=one.tested_at,
        missing_permissions=list(one.missing),
        test_error=one.test_error,
    )
