"""Giving roles, and taking them away."""

from collections.abc import Sequence
from dataclasses import dataclass

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.resource_id import check_scope, covers, key
from jitgate.core.roles import Role
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.delegation import keep_somebody, require_no_more
from jitgate.service.eligibility import close_ineligible
from jitgate.service.roles import not_found
from jitgate.service.views import Page
from jitgate.store import grants, groups, principals
from jitgate.store import roles as rows
from jitgate.store.database import Tx
from jitgate.store.principals import Account, Given


@dataclass(frozen=True, slots=True)
class AssignmentView:
    """A role that was given, and to whom."""

    given: Given
    role: Role
    holder: Account


async def list_assignments(
    service: Service,
    asker: Asker,
    scope: str,
    *,
    below: bool = True,
    holder: str | None = None,
    through_groups: bool = False,
    limit: int = 100,
    after: str | None = None,
) -> Page[AssignmentView]:
    """Roles that hold at a scope path because they were given there or above; with `below`, also further down.

    `holder`: only those of a principal or group; with `through_groups`, those of its groups too. Raises Forbidden.
    """
    require(asker, roles.READ_ASSIGNMENT, check_scope(scope))

    def work(tx: Tx) -> Page[AssignmentView]:
        found = rows.list_assignments(
            tx,
            scope=scope,
            below=below,
            holders=None if holder is None else _faces(tx, holder, through_groups),
            after=after or "",
            most=limit + 1,
        )
        shown = found[:limit]
        return Page(_views(tx, shown), shown[-1].uid if len(found) > limit else None)

    return await service.store.read(work)


async def get_assignment(service: Service, asker: Asker, uid: str, scope: str) -> AssignmentView:
    """One of these, at exactly this scope path. Raises Forbidden, NotFound."""
    require(asker, roles.READ_ASSIGNMENT, check_scope(scope))

    def work(tx: Tx) -> AssignmentView:
        given = rows.assignment(tx, uid)
        if given is None or key(given.scope) != key(check_scope(scope)):
            raise NotFound(
                f"There is no role assignment {uid[:64]} at {scope}. List those that there are.",
                code="RoleAssignmentNotFound",
            )
        return _views(tx, [given])[0]

    return await service.store.read(work)


async def assign_role(
    service: Service, asker: Asker, uid: str, *, role: str, holder: str, scope: str, description: str = ""
) -> AssignmentView:
    """Give a role (by name or id) to a principal or group (by name or uid) at a scope path, and below.

    `uid`: the assignment's own. The same again changes nothing. Raises Invalid, NotFound, Conflict where the role is
    given there already or the uid is another's, and Forbidden where the role holds more than the asker does.
    """
    place = check_scope(scope)

    def work(tx: Tx) -> AssignmentView:
        require(asker, roles.WRITE_ASSIGNMENT, place)
        found, account = _role(tx, role, place), _holder(tx, holder)
        require_no_more(asker, found, place)
        same = rows.same_assignment(tx, account.uid, found.id, place)
        if same is not None and same.uid == uid:
            return AssignmentView(same, found, account)
        _check_new(tx, uid, same)
        given = principals.assign(
            tx, uid, account.uid, found.id, place, by=asker.principal.uid, description=description
        )
        view = AssignmentView(given, found, account)
        audit.record(tx, [event(asker, Operation.ROLE_ASSIGN, Outcome.SUCCEEDED, resource(given), _facts(view))])
        return view

    return await attempt(service, asker, Operation.ROLE_ASSIGN, place, work)


async def unassign_role(service: Service, asker: Asker, uid: str, scope: str | None = None) -> AssignmentView | None:
    """Take a role away. What it allowed closes at once. None: there was no such assignment (at `scope`, if given).

    Raises Forbidden, and Conflict for the last that lets somebody give roles everywhere.
    """

    def work(tx: Tx) -> AssignmentView | None:
        given = _to_take(tx, asker, uid, scope)
        if given is None:
            return None
        view = _views(tx, [given])[0]
        principals.unassign(tx, uid)
        keep_somebody(tx)
        closed = close_ineligible(tx, grants.not_over_of(tx, [given.principal]))
        facts = {**_facts(view), "closed": closed}
        audit.record(tx, [event(asker, Operation.ROLE_UNASSIGN, Outcome.SUCCEEDED, resource(given), facts)])
        return view

    return await attempt(service, asker, Operation.ROLE_UNASSIGN, f"{scope or ''}{_PROVIDER}/{uid[:64]}", work)


def resource(given: Given) -> str:
    """The ARM id of an assignment."""
    return f"{given.scope.rstrip('/')}{_PROVIDER}/{given.uid}"


# --- parts of these ----------------------------------------------------------------------------------

_PROVIDER = "/providers/Microsoft.Authorization/roleAssignments"
_UNKNOWN = "a role that this version does not know"


def _to_take(tx: Tx, asker: Asker, uid: str, scope: str | None) -> Given | None:
    """An assignment that the asker may take away. Who may not is not told whether it is there. Raises Forbidden."""
    found = rows.assignment(tx, uid)
    given = found if found and (scope is None or key(check_scope(scope)) == key(found.scope)) else None
    if given is None or not asker.principal.may(roles.DELETE_ASSIGNMENT, given.scope):
        require(asker, roles.DELETE_ASSIGNMENT, scope or "/")
    return given


def _role(tx: Tx, name: str, scope: str) -> Role:
    found = rows.find(tx, name)
    if found is None:
        raise not_found(name)
    if not any(covers(place, scope) for place in found.scopes):
        allowed = "at or below " + " or ".join(found.scopes[:5])
        raise Invalid("scope", f"{found.name} cannot be assigned at {scope}", allowed=allowed)
    return found


def _holder(tx: Tx, name: str) -> Account:
    found = principals.find_any(tx, name)
    if found is None:
        raise NotFound(
            f"There is no principal or group {name[:100]!r} here. `jitgate principal ls` lists them.",
            code="PrincipalNotFound",
        )
    return found


def _faces(tx: Tx, holder: str, through_groups: bool) -> list[str]:
    found = principals.find_any(tx, holder)
    if found is None:
        return []
    return [found.uid, *(group.uid for group in groups.of(tx, found.uid) if through_groups)]


def _check_new(tx: Tx, uid: str, same: Given | None) -> None:
    if same is not None:
        raise Conflict(f"The role is assigned there already, as {same.uid}.", code="RoleAssignmentExists")
    if rows.assignment(tx, uid) is not None:
        raise Conflict(
            f"{uid} is another assignment, and those are never changed: remove it, and make a new one.",
            code="RoleAssignmentUpdateNotPermitted",
        )


def _views(tx: Tx, given: Sequence[Given]) -> tuple[AssignmentView, ...]:
    holders = principals.get_many(tx, sorted({one.principal for one in given}))
    known = {one.role: rows.get(tx, one.role) or Role(_UNKNOWN, (), id=one.role) for one in given}
    return tuple(AssignmentView(one, known[one.role], holders[one.principal]) for one in given)


def _facts(view: AssignmentView) -> dict[str, object]:
    return {
        "role": view.role.name,
        "roleId": view.role.id,
        "holder": view.holder.name,
        "kind": str(view.holder.kind),
        "scope": view.given.scope,
    }
