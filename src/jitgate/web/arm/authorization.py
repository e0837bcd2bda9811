"""``Microsoft.Authorization``: role definitions and role assignments, as Azure's clients manage them.

A scope path stands in front of the provider; none stands for everything.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response

from jitgate.core.errors import Invalid
from jitgate.core.resource_id import check_scope, is_guid
from jitgate.core.role_definition import LONGEST_DESCRIPTION, MOST_SCOPES
from jitgate.core.roles import Kind, Role
from jitgate.service import assignments, roles
from jitgate.service.assignments import AssignmentView
from jitgate.web import body
from jitgate.web.arm import description, filters
from jitgate.web.arm.around_schemas import ASSIGNMENT, ASSIGNMENTS, PUT_ASSIGNMENT, PUT_ROLE, ROLE, ROLES
from jitgate.web.arm.fields import Fields
from jitgate.web.arm.paging import next_link, skip_token
from jitgate.web.arm.render import render_time
from jitgate.web.arm.routing import add, query
from jitgate.web.arm.schemas import Schema
from jitgate.web.dependencies import asker_of, service_of
from jitgate.web.errors import json_response

Json = dict[str, Any]

PAGE = 200
_PROVIDER = "/providers/Microsoft.Authorization"
_ROLES = f"{_PROVIDER}/roleDefinitions"
_ASSIGNMENTS = f"{_PROVIDER}/roleAssignments"
_GUID = "a GUID"
_SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+", re.IGNORECASE)
_ROLES_QUERY = {"$filter": "`roleName eq '…'`, `type eq '…'`, `atScopeAndBelow()`, joined by `and`. Left out: all."}
_ASSIGNMENTS_QUERY = {
    "$filter": "`atScope()` leaves out what is below; `principalId eq '…'`, or with groups `assignedTo('…')`; "
    "joined by `and`. Left out: all.",
    "$skiptoken": description.PAGE_BEGINS,
}
_TYPES: Mapping[Kind, str] = {Kind.USER: "User", Kind.SERVICE: "ServicePrincipal"}


def add_routes(app: FastAPI) -> None:
    """Add the operations to an application."""
    for scope in ("", "/{scope:path}"):
        role, assignment = f"{scope}{_ROLES}/{{roleDefinitionId}}", f"{scope}{_ASSIGNMENTS}/{{roleAssignmentName}}"
        _add(app, "GET", scope + _ROLES, list_roles, {200: ROLES}, query=_ROLES_QUERY)
        _add(app, "GET", role, get_role, {200: ROLE})
        _add(app, "PUT", role, put_role, {201: ROLE}, body=PUT_ROLE)
        _add(app, "DELETE", role, delete_role, {200: ROLE, 204: "There was none."})
        _add(app, "GET", scope + _ASSIGNMENTS, list_assignments, {200: ASSIGNMENTS}, query=_ASSIGNMENTS_QUERY)
        _add(app, "GET", assignment, get_assignment, {200: ASSIGNMENT})
        _add(app, "PUT", assignment, put_assignment, {201: ASSIGNMENT}, body=PUT_ASSIGNMENT)
        _add(app, "DELETE", assignment, delete_assignment, {200: ASSIGNMENT, 204: "It was not given here."})


# --- role definitions --------------------------------------------------------------------------------


async def list_roles(request: Request) -> Response:
    """The roles that can be assigned around a scope path."""
    scope = _scope(request)
    wanted = filters.read(query(request, "$filter"), ("roleName", "type", "atScopeAndBelow"))
    found = await roles.list_roles(service_of(request), asker_of(request), scope)
    shown = [_role(role, scope) for role in found if _is_wanted(role, wanted)]
    return json_response({"value": shown})


async def get_role(request: Request) -> Response:
    """One role."""
    scope = _scope(request)
    return json_response(
        _role(await roles.get_role(service_of(request), asker_of(request), _role_id(request), scope), scope)
    )


async def put_role(request: Request) -> Response:
    """Define a custom role, or change one."""
    scope = _scope(request)
    wanted = _parse_role(body.parse(await request.body(), fold_names=True), _role_id(request), scope)
    return json_response(_role(await roles.put_role(service_of(request), asker_of(request), wanted), scope), 201)


async def delete_role(request: Request) -> Response:
    """Remove a custom role that nobody holds; 204 if there was none."""
    scope = _scope(request)
    removed = await roles.delete_role(service_of(request), asker_of(request), _role_id(request))
    return Response(status_code=204) if removed is None else json_response(_role(removed, scope))


# --- role assignments --------------------------------------------------------------------------------


async def list_assignments(request: Request) -> Response:
    """Who holds which role at a scope path, above and below it."""
    scope = _scope(request)
    wanted = filters.read(query(request, "$filter"), ("atScope", "principalId", "assignedTo"))
    holder = wanted.get("principalid", wanted.get("assignedto"))
    page = await assignments.list_assignments(
        service_of(request),
        asker_of(request),
        scope,
        below="atscope" not in wanted,
        holder=None if holder is None else _uid(holder),
        through_groups="principalid" not in wanted,
        limit=PAGE,
        after=skip_token(request),
    )
    listed: Json = {"value": [_assignment(view, scope) for view in page.items]}
    return json_response(listed if page.after is None else {**listed, "nextLink": next_link(request, page.after)})


async def get_assignment(request: Request) -> Response:
    """One assignment, at exactly this scope path."""
    scope = _scope(request)
    view = await assignments.get_assignment(service_of(request), asker_of(request), _assignment_id(request), scope)
    return json_response(_assignment(view, scope))


async def put_assignment(request: Request) -> Response:
    """Give a role to a person, a program or a group. The same again changes nothing."""
    scope = _scope(request)
    uid = _assignment_id(request)
    wanted = _parse_assignment(body.parse(await request.body(), fold_names=True))
    view = await assignments.assign_role(service_of(request), asker_of(request), uid, scope=scope, **wanted)
    return json_response(_assignment(view, scope), 201)


async def delete_assignment(request: Request) -> Response:
    """Take a role away; 204 if it was not given at this scope path."""
    scope = _scope(request)
    view = await assignments.unassign_role(service_of(request), asker_of(request), _assignment_id(request), scope)
    return Response(status_code=204) if view is None else json_response(_assignment(view, scope))


# --- reading -----------------------------------------------------------------------------------------


def _scope(request: Request) -> str:
    return check_scope(f"/{request.path_params.get('scope', '')}")


def _role_id(request: Request) -> str:
    return _guid_of(request.path_params["roleDefinitionId"], "roleDefinitionId")


def _assignment_id(request: Request) -> str:
    return _guid_of(request.path_params["roleAssignmentName"], "roleAssignmentName")


def _guid_of(text: str, field: str) -> str:
    """A GUID in its one spelling. Raises Invalid."""
    if not is_guid(text):
        raise Invalid(field, f"{text[:60]!r} is not a GUID", allowed=_GUID)
    return text.lower()


def _parse_role(value: object, id: str, scope: str) -> Role:
    fields = Fields(Fields(value, "").need("properties", "an object with roleName and permissions"), "properties")
    permissions = list(fields.objects("permissions", 1))
    allowed = permissions[0] if permissions else Fields({}, fields.field("permissions[0]"))
    for unknown in ("dataActions", "notDataActions"):
        if allowed.get(unknown):
            raise Invalid(allowed.field(unknown), "there are no data actions here", allowed="an empty list")
    scopes = _texts(fields, "assignableScopes", MOST_SCOPES)
    return Role(
        fields.text("roleName") or "",
        _texts(allowed, "actions"),
        _texts(allowed, "notActions"),
        fields.text("description") or "",
        id,
        scopes or (scope,),
        is_custom=True,
    )


def _parse_assignment(value: object) -> dict[str, str]:
    fields = Fields(
        Fields(value, "").need("properties", "an object with roleDefinitionId and principalId"), "properties"
    )
    if fields.get("condition") is not None:
        # Left out silently, it would give more than was asked for.
        raise Invalid(fields.field("condition"), "conditions are not understood here", allowed="no condition")
    role, principal = fields.text("roleDefinitionId") or "", fields.text("principalId") or ""
    text = fields.text("description") or ""
    if len(text) > LONGEST_DESCRIPTION:
        raise Invalid(fields.field("description"), "it is too long", allowed=f"{LONGEST_DESCRIPTION} characters")
    return {
        "role": _guid_of(role.rpartition("/")[2], fields.field("roleDefinitionId")),
        "holder": _uid(principal),
        "description": text,
    }


def _texts(fields: Fields, name: str, most: int = 1000) -> tuple[str, ...]:
    """A list of texts; empty where it is left out. Raises Invalid."""
    found = fields.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or len(found) > most or not all(isinstance(one, str) for one in found):
        raise Invalid(fields.field(name), "this is not a list of texts", allowed=f"a list of at most {most} texts")
    return tuple(found)


def _uid(principal_id: str) -> str:
    """A principal's id, which goes over the wire as a GUID, as it is kept."""
    try:
        return UUID(principal_id).hex
    except ValueError:
        return principal_id


# --- writing -----------------------------------------------------------------------------------------


def _is_wanted(role: Role, wanted: Mapping[str, str]) -> bool:
    by_name, by_type = wanted.get("rolename"), wanted.get("type")
    return (by_name is None or by_name.lower() == role.name.lower()) and (
        by_type is None or by_type.lower() == _type(role).lower()
    )


def _type(role: Role) -> str:
    return "CustomRole" if role.is_custom else "BuiltInRole"


def _role_path(role: Role, scope: str) -> str:
    """A role's id as clients compare it: at the subscription that was asked about."""
    found = _SUBSCRIPTION.match(scope)
    return f"{found[0] if found else ''}{_ROLES}/{role.id}"


def _role(role: Role, scope: str) -> Json:
    return {
        "id": _role_path(role, scope),
        "type": _ROLES.removeprefix("/providers/"),
        "name": role.id,
        "properties": {
            "roleName": role.name,
            "type": _type(role),
            "description": role.description,
            "assignableScopes": list(role.scopes),
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": [],
                    "notDataActions": [],
                }
            ],
        },
    }


def _assignment(view: AssignmentView, scope: str) -> Json:
    given = view.given
    at = render_time(given.created_at)
    return {
        "id": assignments.resource(given),
        "type": _ASSIGNMENTS.removeprefix("/providers/"),
        "name": given.uid,
        "properties": {
            "roleDefinitionId": _role_path(view.role, scope),
            "principalId": _principal_id(given.principal),
            "principalType": _TYPES.get(view.holder.kind, "Group"),
            "scope": given.scope,
            "description": given.description or None,
            "condition": None,
            "conditionVersion": None,
            "createdOn": at,
            "updatedOn": at,
            "createdBy": _principal_id(given.created_by or ""),
            "updatedBy": _principal_id(given.created_by or ""),
            "delegatedManagedIdentityResourceId": None,
        },
    }


def _principal_id(uid: str) -> str:
    try:
        return str(UUID(uid))
    except ValueError:
        return uid


def _add(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: description.Endpoint,
    answers: Mapping[int, Schema | str],
    **more: Any,
) -> None:
    operation_id = f"{endpoint.__name__}_{'scoped' if 'scope' in path else 'everywhere'}"
    described = description.around(path, answers, **more)
    add(app, method, path, endpoint, operation_id, described, status=next(iter(answers)))
