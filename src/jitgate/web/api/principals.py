"""People and programs: who is known, and who is let in."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from jitgate.core.roles import Kind
from jitgate.service import principals
from jitgate.service.principals import PrincipalView
from jitgate.store.principals import Account
from jitgate.web.api.forms import After, Form, Limit, Listing, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import CreatedTime, OfKind
from jitgate.web.api.whoami import ShownAssignment
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/principals", tags=["principals"], route_class=NativeRoute, responses=REFUSALS)

Who = Annotated[Text, Path(alias="principal", description="A name, in any case, or an id.")]


class PrincipalForm(Form):
    """Somebody to be added."""

    name: Text = Field(
        examples=["alice@example.com"],
        description="What it is called when it signs in. No principal or group may have the name.",
    )
    kind: Kind = Field(
        default=Kind.USER, description="`user` for a person, `service` for a program. Groups are made elsewhere."
    )


class ShownAccount(Shown):
    """A person, a program or a group."""

    id: str = Field(description="The principal's id.")
    name: str = Field(description="The principal's name.")
    kind: OfKind
    created_time_utc: CreatedTime
    disabled_time_utc: datetime | None = Field(description="Since when it is not let in, in UTC; null: it is.")
    issuer: str | None = Field(
        default=None, description="Of a claimed group: the identity provider that tells its members; else null."
    )


class ShownPrincipal(ShownAccount):
    """Somebody with their groups, and the roles that they hold while they are enabled."""

    groups: list[str] = Field(description="The names of the groups that it is in.")
    roles: list[ShownAssignment] = Field(description="The roles that it holds, its groups' included.")


@router.get("", summary="List principals")
async def list_principals(
    service: CurrentService,
    asker: CurrentAsker,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownAccount]:
    """People and programs, by name."""
    page = await principals.list_principals(service, asker, limit=limit, after=after)
    return Listing(items=[show(account) for account in page.items], after=page.after)


@router.post("", status_code=201, summary="Add a principal")
async def add_principal(form: PrincipalForm, service: CurrentService, asker: CurrentAsker) -> ShownAccount:
    """Add a person or program, without any right yet."""
    return show(await principals.add_principal(service, asker, form.name, form.kind))


@router.get("/{principal}", summary="One principal")
async def get_principal(who: Who, service: CurrentService, asker: CurrentAsker) -> ShownPrincipal:
    """Somebody, their groups and their roles."""
    return _show(await principals.get_principal(service, asker, who))


@router.post("/{principal}/disable", summary="Disable")
async def disable_principal(who: Who, service: CurrentService, asker: CurrentAsker) -> ShownAccount:
    """Let somebody in no more. What they have open closes at once."""
    return show(await principals.disable_principal(service, asker, who))


@router.post("/{principal}/enable", summary="Enable")
async def enable_principal(who: Who, service: CurrentService, asker: CurrentAsker) -> ShownAccount:
    """Let somebody in again, with the roles that they had; who does must hold these."""
    return show(await principals.enable_principal(service, asker, who))


def show(account: Account) -> ShownAccount:
    """A principal or group as it is shown."""
    return ShownAccount(**_values(account))


def _show(view: PrincipalView) -> ShownPrincipal:
    return ShownPrincipal(
        **_values(view.account),
        groups=[group.name for group in view.groups],
        roles=[ShownAssignment(role=a.role.name, scope=a.scope, via=a.via) for a in view.assignments],
    )


def _values(account: Account) -> dict[str, Any]:
    return {
        "id": account.uid,
        "name": account.name,
        "kind": account.kind,
        "created_time_utc": account.created_at,
        "disabled_time_utc": account.disabled_at,
        "issuer": account.issuer,
    }
