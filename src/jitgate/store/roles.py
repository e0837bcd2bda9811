"""Roles of an installation's own, and who holds which role."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, or_, select, update

from jitgate.core.resource_id import key
from jitgate.core.roles import BUILT_IN_BY_ID, WRITE_ASSIGNMENT, Kind, Principal, Role
from jitgate.store import history
from jitgate.store.database import Tx
from jitgate.store.history import What
from jitgate.store.prepared import literal_in
from jitgate.store.principals import Given, given, load, role
from jitgate.store.schema import group_member, principal, role_assignment, role_definition


def put(tx: Tx, new: Role) -> None:
    """Write a custom role, in place of the one with its id."""
    values = {
        "name": new.name,
        "name_key": key(new.name),
        "description": new.description,
        "actions": list(new.actions),
        "not_actions": list(new.not_actions),
        "scopes": list(new.scopes),
        "updated_at": tx.now,
    }
    if tx.execute(_update.where(role_definition.c.id == new.id), values).rowcount == 0:
        tx.execute(_insert, {**values, "id": new.id, "created_at": tx.now})
    body = {"name": new.name, "actions": list(new.actions), "notActions": list(new.not_actions)}
    history.keep(tx, What.ROLE, new.id, body)


def get(tx: Tx, id: str) -> Role | None:
    """A role by its id, built in or not."""
    row = None if id in BUILT_IN_BY_ID else tx.execute(_by_id, {"id": id}).first()
    return BUILT_IN_BY_ID.get(id) or (role(row) if row else None)


def find(tx: Tx, text: str) -> Role | None:
    """A role by its id, or by its name in any case."""
    wanted = key(text)
    for one in BUILT_IN_BY_ID.values():
        if wanted in (one.id, key(one.name)):
            return one
    row = tx.execute(_by_text, {"text": wanted}).first()
    return role(row) if row else None


def list_custom(tx: Tx) -> list[Role]:
    """All custom roles, by name."""
    return [role(row) for row in tx.execute(_custom)]


def remove(tx: Tx, id: str) -> None:
    """Delete a custom role that nobody holds."""
    tx.execute(_delete, {"b_id": id})
    history.keep(tx, What.ROLE, id, None)


def assignment(tx: Tx, uid: str) -> Given | None:
    """An assignment by its uid."""
    row = tx.execute(_assignment, {"uid": uid}).first()
    return given(row) if row else None


def same_assignment(tx: Tx, holder: str, role_id: str, scope: str) -> Given | None:
    """The assignment of a role to a principal or group at a scope."""
    row = tx.execute(_same, {"holder": holder, "role": role_id, "scope_key": key(scope)}).first()
    return given(row) if row else None


def of_role(tx: Tx, role_id: str) -> list[Given]:
    """Every assignment of a role."""
    return [given(row) for row in tx.execute(_of_role, {"role": role_id})]


def of_holder(tx: Tx, uid: str) -> list[Given]:
    """The roles that were given to a principal or group itself."""
    return [given(row) for row in tx.execute(_of_holder, {"holder": uid})]


def list_assignments(
    tx: Tx, *, scope: str, below: bool = True, holders: Sequence[str] | None = None, after: str = "", most: int = 100
) -> list[Given]:
    """Assignments that hold at a scope path; with `below`, also those further down. By uid, continuing after one.

    `holders`: only those of these principals and groups, by uid.
    """
    path = key(scope).rstrip("/")
    above = ["/", *(path[:at] for at, letter in enumerate(path) if letter == "/" and at), *([path] if path else [])]
    places: list[ColumnElement[bool]] = [role_assignment.c.scope_key.in_(above)]
    if below:
        # Not LIKE: an id may hold what it takes for a wildcard. Not by order either: a database may have its own.
        places.append(func.substr(role_assignment.c.scope_key, 1, len(path) + 1) == f"{path}/")
    statement = select(role_assignment).where(or_(*places), role_assignment.c.uid > after)
    if holders is not None:
        statement = statement.where(role_assignment.c.principal.in_(list(holders)))
    return [given(row) for row in tx.execute(statement.order_by(role_assignment.c.uid).limit(most))]


def somebody_can_assign(tx: Tx) -> bool:
    """Whether an enabled principal can give roles everywhere, by itself or through a group that is kept here.

    What an identity provider says of somebody does not count: it may say something else tomorrow.
    """
    holders = [row.principal for row in tx.execute(_everywhere) if _can_assign(row)]
    return bool(holders) and tx.execute(_anybody, {"holders": holders}).first() is not None


def people_who_may(tx: Tx, action: str) -> list[Principal]:
    """Every enabled person with a role that allows an action somewhere, by itself or through a group."""
    in_use = [held for row in tx.execute(_roles_in_use) if (held := get(tx, row.role)) is not None]
    allowing = [held.id for held in in_use if held.allows(action)]
    rows = tx.execute(_who_holds, {"roles": allowing}) if allowing else ()
    return [found for row in rows if (found := load(tx, row.uid)) is not None]


def _can_assign(row: Any) -> bool:
    held = BUILT_IN_BY_ID.get(row.role) or (role(row) if row.id else None)
    return held is not None and held.allows(WRITE_ASSIGNMENT)


_roles_in_use = select(role_assignment.c.role).distinct()
_who_hold_it = select(role_assignment.c.principal).where(role_assignment.c.role.in_(bindparam("roles", expanding=True)))
_who_holds = select(principal.c.uid).where(
    principal.c.disabled_at.is_(None),
    literal_in(principal.c.kind, [Kind.USER]),
    or_(
        principal.c.uid.in_(_who_hold_it),
        principal.c.uid.in_(select(group_member.c.member).where(group_member.c.group.in_(_who_hold_it))),
    ),
)
_insert = insert(role_definition)
_update = update(role_definition)
_by_id = select(role_definition).where(role_definition.c.id == bindparam("id"))
_by_text = select(role_definition).where(
    or_(role_definition.c.id == bindparam("text"), role_definition.c.name_key == bindparam("text"))
)
_custom = select(role_definition).order_by(role_definition.c.name_key)
_delete = delete(role_definition).where(role_definition.c.id == bindparam("b_id"))
_assignment = select(role_assignment).where(role_assignment.c.uid == bindparam("uid"))
_same = select(role_assignment).where(
    role_assignment.c.principal == bindparam("holder"),
    role_assignment.c.role == bindparam("role"),
    role_assignment.c.scope_key == bindparam("scope_key"),
)
_of_role = select(role_assignment).where(role_assignment.c.role == bindparam("role"))
_of_holder = select(role_assignment).where(role_assignment.c.principal == bindparam("holder"))
_everywhere = (
    select(role_assignment.c.principal, role_assignment.c.role, *role_definition.columns)
    .outerjoin(role_definition, role_definition.c.id == role_assignment.c.role)
    .where(role_assignment.c.scope_key == "/")
)
_kept_groups = (
    select(group_member.c.member)
    .join(principal, principal.c.uid == group_member.c.group)
    .where(principal.c.kind == str(Kind.GROUP), group_member.c.group.in_(bindparam("holders", expanding=True)))
)
_anybody = (
    select(principal.c.uid)
    .where(
        principal.c.disabled_at.is_(None),
        literal_in(principal.c.kind, [kind for kind in Kind if not kind.is_group]),
        or_(
            principal.c.uid.in_(bindparam("holders", expanding=True)),
            principal.c.uid.in_(_kept_groups),
        ),
    )
    .limit(1)
)
