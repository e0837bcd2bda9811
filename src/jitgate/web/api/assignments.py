"""Assignments: who holds which role, and where."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from jitgate.core.errors import NotFound
from jitgate.core.role_definition import LONGEST_DESCRIPTION
from jitgate.service import assignments
from jitgate.service.assignments import AssignmentView
from jitgate.web.api.forms import After, Form, Limit, Listing, Shown, Text
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.roles import ScopeQuery, place
from jitgate.web.api.values import CreatedTime, OfKind, PrincipalName, RoleName, ScopePath
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/role-assignments", tags=["roles"], route_class=NativeRoute, responses=REFUSALS)


class AssignmentForm(Form):
    """A role to be given."""

    role: Text = Field(examples=["JIT Requester"], description="The role's name, in any case, or its id.")
    principal: Text = Field(examples=["on call"], description="The name or id of a person, a program or a group.")
    scope: Text = Field(description="`/`, or the id of a subscription, a resource group or a machine.")
    description: Text = Field(
        default="",
        max_length=LONGEST_DESCRIPTION,
        description="What it is given for, for people. Left out: nothing is said.",
    )


class ShownGiven(Shown):
    """A role that was given."""

    id: str = Field(description="The assignment's id, a GUID.")
    role: RoleName
    role_id: str = Field(description="The role's id, a GUID.")
    principal: PrincipalName
    principal_id: str = Field(description="The id of that principal.")
    kind: OfKind
    scope: ScopePath
    description: str = Field(description="What it was given for; may be empty.")
    created_time_utc: CreatedTime


@router.get("", summary="List assignments")
async def list_assignments(
    service: CurrentService,
    asker: CurrentAsker,
    scope: ScopeQuery = None,
    principal: Annotated[Text | None, Query(description="Of this person, program or group, groups included.")] = None,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownGiven]:
    """The roles that were given at a scope path, above and below it."""
    page = await assignments.list_assignments(
        service, asker, place(service, scope), holder=principal, through_groups=True, limit=limit, after=after
    )
    return Listing(items=[_show(view) for view in page.items], after=page.after)


@router.post("", status_code=201, summary="Assign a role")
async def assign_role(form: AssignmentForm, service: CurrentService, asker: CurrentAsker) -> ShownGiven:
    """Give a role. Nobody gives one that holds more than they do there."""
    view = await assignments.assign_role(
        service,
        asker,
        str(uuid4()),
        role=form.role,
        holder=form.principal,
        scope=form.scope,
        description=form.description,
    )
    return _show(view)


@router.delete("/{assignment}", status_code=204, summary="Take a role away")
async def unassign_role(
    uid: Annotated[Text, Path(alias="assignment", description="The assignment's id.")],
    service: CurrentService,
    asker: CurrentAsker,
) -> Response:
    """Take a role away. What it allowed closes at once."""
    if await assignments.unassign_role(service, asker, uid) is None:
        raise NotFound(
            f"There is no role assignment {uid[:64]}. `jitgate role assignments` lists them.",
            code="RoleAssignmentNotFound",
        )
    return Response(status_code=204)


def _show(view: AssignmentView) -> ShownGiven:
    return ShownGiven(
        id=view.given.uid,
        role=view.role.name,
        role_id=view.role.id,
        principal=view.holder.name,
        principal_id=view.holder.uid,
        kind=view.holder.kind,
        scope=view.given.scope,
        description=view.given.description,
        created_time_utc=view.given.created_at,
    )
