"""Roles: built in, and of an installation's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from jitgate.core.patterns import MOST_PATTERNS
from jitgate.core.resource_id import check_scope
from jitgate.core.role_definition import MOST_SCOPES
from jitgate.core.roles import Role
from jitgate.service import roles
from jitgate.service.base import Service
from jitgate.web.api.forms import Form, Listing, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import RoleName
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/roles", tags=["roles"], route_class=NativeRoute, responses=REFUSALS)

Name = Annotated[Text, Path(alias="role", description="The role's name, in any case, or its id.")]
ScopeQuery = Annotated[
    Text | None,
    Query(alias="scope", description="A scope path. Left out: the subscription of the machines outside the clouds."),
]


class RoleForm(Form):
    """What a custom role says. What is left out of it, it no longer says."""

    actions: list[Text] = Field(
        examples=[["Microsoft.Security/*/read"]],
        max_length=MOST_PATTERNS,
        description="Action patterns that it allows; `*` stands for any part.",
    )
    not_actions: list[Text] = Field(
        default=[],
        max_length=MOST_PATTERNS,
        description="Action patterns that are taken out of these again. Left out: none.",
    )
    assignable_scopes: list[Text] = Field(
        examples=[["/subscriptions/11111111-2222-3333-4444-555555555555"]],
        max_length=MOST_SCOPES,
        description="The scope paths at and below which it can be given.",
    )
    description: Text = Field(default="", description="What it is for, for people. Left out: nothing is said.")


class ShownRole(Shown):
    """A role."""

    id: str = Field(description="The role's id, a GUID.")
    name: RoleName
    custom: bool = Field(description="Whether it is of this installation's own; false: it is built in.")
    description: str = Field(description="What it is for; may be empty.")
    actions: list[str] = Field(description="Action patterns that it allows.")
    not_actions: list[str] = Field(description="Action patterns that are taken out of these again.")
    assignable_scopes: list[str] = Field(description="The scope paths at and below which it can be given.")


@router.get("", summary="List roles")
async def list_roles(service: CurrentService, asker: CurrentAsker, scope: ScopeQuery = None) -> Listing[ShownRole]:
    """The roles that can be assigned at a scope path, above or below it: built-in ones first."""
    return Listing(items=[show(role) for role in await roles.list_roles(service, asker, place(service, scope))])


@router.get("/{role}", summary="One role")
async def get_role(name: Name, service: CurrentService, asker: CurrentAsker, scope: ScopeQuery = None) -> ShownRole:
    """A role."""
    return show(await roles.get_role(service, asker, name, place(service, scope)))


@router.put("/{role}", summary="Define a role")
async def put_role(name: Name, form: RoleForm, service: CurrentService, asker: CurrentAsker) -> ShownRole:
    """Make a custom role say this and nothing else; there is one by this name afterwards.

    What it does not allow any more closes at once. Nobody defines a role that holds more than they do.
    """
    role = Role(
        name,
        tuple(form.actions),
        tuple(form.not_actions),
        form.description,
        scopes=tuple(form.assignable_scopes),
        is_custom=True,
    )
    return show(await roles.put_role(service, asker, role))


@router.delete("/{role}", status_code=204, summary="Remove a role")
async def delete_role(name: Name, service: CurrentService, asker: CurrentAsker) -> Response:
    """Remove a custom role that nobody holds. To remove what is not there is no error."""
    await roles.delete_role(service, asker, name)
    return Response(status_code=204)


def show(role: Role) -> ShownRole:
    """A role as it is shown."""
    return ShownRole(
        id=role.id,
        name=role.name,
        custom=role.is_custom,
        description=role.description,
        actions=list(role.actions),
        not_actions=list(role.not_actions),
        assignable_scopes=list(role.scopes),
    )


def place(service: Service, scope: str | None) -> str:
    """A scope path out of a query. Raises Invalid."""
    return check_scope(scope if scope is not None else f"/subscriptions/{service.settings.subscription}")
