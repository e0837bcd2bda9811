"""Roles: those that are built in, and those that an installation defines for itself."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.resource_id import covers, key
from jitgate.core.role_definition import check_role
from jitgate.core.roles import BUILT_IN, BUILT_IN_BY_ID, Role
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.delegation import keep_somebody, require_no_more
from jitgate.service.eligibility import close_ineligible
from jitgate.store import grants
from jitgate.store import roles as rows
from jitgate.store.database import Tx

MOST_ROLES = 1000


async def list_roles(service: Service, asker: Asker, scope: str) -> Sequence[Role]:
    """The roles that matter at a scope path: assignable there, above or below. Raises Forbidden."""
    require(asker, roles.READ_ROLE, scope)
    custom = await service.store.read(rows.list_custom)
    return [*BUILT_IN.values(), *(role for role in custom if is_about(role, scope))]


async def get_role(service: Service, asker: Asker, name: str, scope: str) -> Role:
    """One of these, by its name in any case or its id. Raises Forbidden, NotFound."""
    require(asker, roles.READ_ROLE, scope)
    found = await service.store.read(lambda tx: rows.find(tx, name))
    if found is None or not is_about(found, scope):
        raise not_found(name)
    return found


async def put_role(service: Service, asker: Asker, role: Role) -> Role:
    """Define a role, or change one. `role.id`: a GUID; "": that of the role with this name, or a new one.

    What it does not allow any more closes at once. Raises Invalid, Forbidden, and Conflict where another role has
    the name, or where it would end somewhere that it is assigned.
    """
    check_role(role)

    def work(tx: Tx) -> Role:
        old = _old(tx, role)
        for scope in {key(scope): scope for scope in (*role.scopes, *(old.scopes if old else ()))}.values():
            require(asker, roles.WRITE_ROLE, scope)
        for scope in role.scopes:
            require_no_more(asker, role, scope)
        new = replace(role, id=role.id or (old.id if old else str(uuid4())), is_custom=True)
        _check_place(tx, new, old)
        rows.put(tx, new)
        closed = _take_away(tx, new) if old else []
        facts = {"role": facts_of(new), "before": facts_of(old) if old else None, "closed": closed}
        audit.record(tx, [event(asker, Operation.ROLE_WRITE, Outcome.SUCCEEDED, resource(new.id), facts)])
        return new

    return await attempt(service, asker, Operation.ROLE_WRITE, resource(role.id or role.name), work)


async def delete_role(service: Service, asker: Asker, name: str) -> Role | None:
    """Remove a custom role that nobody holds, by name or id. None: there was none.

    Raises Forbidden, Invalid for one that is built in, Conflict while somebody holds it.
    """

    def work(tx: Tx) -> Role | None:
        role = rows.find(tx, name)
        _may_delete(asker, role)
        if role is None:
            return None
        if not role.is_custom:
            raise Invalid("role", f"{role.name} is built in, and stays", allowed="a custom role")
        given = rows.of_role(tx, role.id)
        if given:
            places = ", ".join(sorted({one.scope for one in given})[:5])
            raise Conflict(f"{role.name} is assigned at {places}. Take it away there first.", code="RoleInUse")
        rows.remove(tx, role.id)
        facts = {"role": facts_of(role)}
        audit.record(tx, [event(asker, Operation.ROLE_DELETE, Outcome.SUCCEEDED, resource(role.id), facts)])
        return role

    return await attempt(service, asker, Operation.ROLE_DELETE, resource(name), work)


# --- for other use cases, and parts of these ----------------------------------------------------------


def is_about(role: Role, scope: str) -> bool:
    """Whether a role can be assigned at a scope path, above or below it."""
    return any(covers(one, scope) or covers(scope, one) for one in role.scopes)


def not_found(name: str) -> NotFound:
    """What is said of a role that does not exist."""
    return NotFound(
        f"There is no role {name[:128]!r} here. `jitgate role ls` lists them.", code="RoleDefinitionDoesNotExist"
    )


def resource(id: str) -> str:
    """What the record calls a role."""
    return f"/providers/Microsoft.Authorization/roleDefinitions/{id[:128]}"


def facts_of(role: Role) -> dict[str, object]:
    """A role, for the record."""
    return {
        "name": role.name,
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "assignableScopes": list(role.scopes),
    }


def _old(tx: Tx, role: Role) -> Role | None:
    """The custom role that a new definition takes the place of."""
    found = rows.get(tx, role.id) if role.id else rows.find(tx, role.name)
    return None if found is None or found.id in BUILT_IN_BY_ID else found


def _check_place(tx: Tx, new: Role, old: Role | None) -> None:
    """Raise Conflict where a definition cannot stand beside what there is."""
    named = rows.find(tx, new.name)
    if named is not None and named.id != new.id:
        raise Conflict(f"There is another role called {new.name!r}. Names are unique, in any case: choose another one.")
    if old is None and len(rows.list_custom(tx)) >= MOST_ROLES:
        raise Conflict(f"There are {MOST_ROLES} custom roles already, and that is the limit. Remove one first.")
    lost = [one.scope for one in rows.of_role(tx, new.id) if not any(covers(scope, one.scope) for scope in new.scopes)]
    if lost:
        raise Conflict(
            f"{new.name} is assigned at {lost[0]}, where it could not be any more. Take it away there first.",
            code="RoleInUse",
        )


def _take_away(tx: Tx, role: Role) -> list[str]:
    """What follows from a change of a role for those who hold it."""
    keep_somebody(tx)
    holders = sorted({one.principal for one in rows.of_role(tx, role.id)})
    return close_ineligible(tx, grants.not_over_of(tx, holders))


def _may_delete(asker: Asker, role: Role | None) -> None:
    """Who may not delete a role is not told whether there is one. Raises Forbidden."""
    places = role.scopes if role else ()
    if not places or not all(asker.principal.may(roles.DELETE_ROLE, scope) for scope in places):
        require(asker, roles.DELETE_ROLE, "/")
