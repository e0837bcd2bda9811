"""Principals, the credentials that prove them, and the roles that they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, insert, literal_column, select, union_all, update
from sqlalchemy import delete as delete_from

from jitgate.core.resource_id import key
from jitgate.core.roles import BUILT_IN, BUILT_IN_BY_ID, Assignment, Kind, Principal, Role
from jitgate.store import history
from jitgate.store.database import Tx
from jitgate.store.history import What
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import credential, group_member, principal, role_assignment, role_definition


@dataclass(frozen=True, slots=True)
class Account:
    """A principal as it is kept. `issuer`: of a claimed group, by whose claims its members are told."""

    uid: str
    name: str
    kind: Kind
    created_at: datetime
    disabled_at: datetime | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves a principal. The secret itself is not kept, only `secret_hash`.

    `principal`  None: nobody has agreed to it yet
    `used_at`    when it was last used, to the minute, and `used_from` where
    `facts`      what its kind keeps beside
    """

    id: str
    principal: str | None
    kind: str
    label: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    used_from: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """A credential with whom it proves. Whether it is still good is for the caller to say."""

    credential: Credential
    principal: Principal
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Given:
    """A role (by id) that was given to a principal or group (by uid), by another (by uid)."""

    uid: str
    principal: str
    role: str
    scope: str
    created_at: datetime
    created_by: str | None = None
    description: str = ""


def add(tx: Tx, uid: str, name: str, kind: str = Kind.USER, issuer: str | None = None) -> Account:
    """Add a principal. Its name must be new, in any case, among groups too."""
    values = {"uid": uid, "name": name, "name_key": key(name), "kind": str(kind), "created_at": tx.now}
    tx.execute(_insert, {**values, "issuer": issuer})
    return remember(tx, Account(uid, name, Kind(kind), tx.now, issuer=issuer))


def find(tx: Tx, name: str) -> Account | None:
    """A principal that is no group, by its name, in any case."""
    row = tx.execute(_by_name, {"name_key": key(name)}).first()
    return _account(row) if row else None


def find_any(tx: Tx, text: str) -> Account | None:
    """A principal or group by its uid, or by its name in any case."""
    rows = tx.execute(_by_text, {"uid": text, "name_key": key(text)}).all()
    exact = [row for row in rows if row.uid == text]
    return next(map(_account, exact or rows), None)


def get_many(tx: Tx, uids: Sequence[str]) -> dict[str, Account]:
    """Principals and groups by uid; those that do not exist are left out."""
    return {row.uid: _account(row) for row in tx.execute(_by_uids, {"uids": list(uids)})} if uids else {}


def list_all(tx: Tx) -> list[Account]:
    """Every principal that is no group, by name."""
    return [_account(row) for row in tx.execute(_list)]


def list_page(tx: Tx, *, groups: bool = False, after: str = "", most: int = 100) -> list[Account]:
    """Principals, or groups, in the order of the keys of their names, continuing after one of these."""
    return [_account(row) for row in tx.execute(_pages[groups], {"after": after, "most": most})]


def disable(tx: Tx, uid: str) -> bool:
    """Let a principal in no more. False: there is none, or it is disabled already."""
    return _changed(tx, uid, tx.execute(_disable, {"b_uid": uid, "b_at": tx.now}).rowcount == 1)


def enable(tx: Tx, uid: str) -> bool:
    """Let a disabled principal in again. False: there is none, or it is not disabled."""
    return _changed(tx, uid, tx.execute(_enable, {"b_uid": uid}).rowcount == 1)


def remember(tx: Tx, account: Account) -> Account:
    """Keep how an account is in history, also where it is as before and somebody else was given a way into it."""
    disabled = account.disabled_at is not None
    body = {"name": account.name, "kind": str(account.kind), "disabled": disabled}
    history.keep(tx, What.PRINCIPAL, account.uid, body)
    return account


def prove(tx: Tx, credential_id: str) -> Proof | None:
    """A credential by its id, with its principal and all roles that it holds."""
    found, held = tx.ask(_prove, {"id": credential_id}), tx.ask(_held_by_owner, {"id": credential_id})
    rows = found()
    if not rows:
        return None
    [row] = rows
    return Proof(credential_of(row), _principal(row.principal, row.name, held()), row.disabled_at)


def load(tx: Tx, uid: str) -> Principal | None:
    """A principal with all roles that it holds, by itself and through its groups.

    None for one that is disabled, for a group, and for one that is not there.
    """
    found, held = tx.ask(_load, {"uid": uid}), tx.ask(_held, {"uid": uid})
    rows = found()
    return _principal(uid, rows[0].name, held()) if rows else None


def holder(tx: Tx, account: Account) -> Principal:
    """A principal with all roles that it holds, disabled or not."""
    return _principal(account.uid, account.name, tx.fetch(_held, {"uid": account.uid}))


def assign(
    tx: Tx, uid: str, principal_uid: str, role: str, scope: str, *, by: str | None = None, description: str = ""
) -> Given:
    """Give a role to a principal or group at a scope path. `uid` is the assignment's own.

    `role`: its id; one that is built in may be given by its name.
    """
    role_id = BUILT_IN[role].id if role in BUILT_IN else role
    new = Given(uid, principal_uid, role_id, scope, tx.now, by, description)
    tx.execute(_assign, {**{name: getattr(new, name) for name in Given.__slots__}, "scope_key": key(scope)})
    body = {"principal": principal_uid, "role": role_id, "scope": scope}
    history.keep(tx, What.ASSIGNMENT, uid, body, principal=by)
    return new


def unassign(tx: Tx, uid: str) -> bool:
    """Take a role away. False: there is no such assignment."""
    taken = tx.execute(_unassign, {"uid": uid}).rowcount == 1
    if taken:
        history.keep(tx, What.ASSIGNMENT, uid, None)
    return taken


def list_assignments(tx: Tx) -> list[Given]:
    """Every role that was given, oldest first."""
    return [given(row) for row in tx.execute(_assignments)]


def given(row: Row[Any]) -> Given:
    """An assignment out of its row."""
    return Given(**{name: getattr(row, name) for name in Given.__slots__})


def role(row: Row[Any]) -> Role:
    """A custom role out of its row."""
    return Role(
        row.name, tuple(row.actions), tuple(row.not_actions), row.description, row.id, tuple(row.scopes), is_custom=True
    )


def _changed(tx: Tx, uid: str, changed: bool) -> bool:
    if changed:
        remember(tx, get_many(tx, [uid])[uid])
    return changed


def _account(row: Row[Any]) -> Account:
    return Account(row.uid, row.name, Kind(row.kind), row.created_at, row.disabled_at, row.issuer)


def credential_of(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        principal=row.principal,
        kind=row.kind,
        label=row.label,
        secret_hash=row.secret_hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
        used_from=row.used_from,
        facts=row.facts,
    )


def _principal(uid: str, name: str, rows: Sequence[Any]) -> Principal:
    assignments = tuple(assignment for row in rows if (assignment := _assignment(row)))
    return Principal(uid, name, assignments, groups=frozenset(key(row.via) for row in rows if row.via))


def _assignment(row: Any) -> Assignment | None:
    """A role that nobody knows gives nothing."""
    held = BUILT_IN_BY_ID.get(row.role) or (role(row) if row.id else None)
    return Assignment(held, row.scope, row.via) if held else None


_is_group = literal_in(principal.c.kind, [kind for kind in Kind if kind.is_group])
_insert = insert(principal)
_by_name = select(principal).where(principal.c.name_key == bindparam("name_key"), ~_is_group)
_by_text = select(principal).where(
    (principal.c.uid == bindparam("uid")) | (principal.c.name_key == bindparam("name_key"))
)
_by_uids = select(principal).where(principal.c.uid.in_(bindparam("uids", expanding=True)))
_list = select(principal).where(~_is_group).order_by(principal.c.name_key)
_pages = {
    groups: select(principal)
    .where(_is_group if groups else ~_is_group, principal.c.name_key > bindparam("after"))
    .order_by(principal.c.name_key)
    .limit(bindparam("most"))
    for groups in (False, True)
}
_disable = (
    update(principal)
    .where(principal.c.uid == bindparam("b_uid"), principal.c.disabled_at.is_(None), ~_is_group)
    .values(disabled_at=bindparam("b_at"))
)
_enable = (
    update(principal)
    .where(principal.c.uid == bindparam("b_uid"), principal.c.disabled_at.is_not(None))
    .values(disabled_at=None)
)
_prove = Prepared(
    select(credential, principal.c.name, principal.c.disabled_at)
    .join(principal, principal.c.uid == credential.c.principal)
    .where(credential.c.id == bindparam("id"))
)
_load = Prepared(
    select(principal.c.name).where(principal.c.uid == bindparam("uid"), principal.c.disabled_at.is_(None), ~_is_group)
)


def _held_by(uid: ColumnElement[str]) -> Prepared:
    """The roles that a principal holds, by itself and through its groups."""
    # Who it is when roles are looked for: itself, and each of its groups, by whose name a role came.
    faces = union_all(
        select(principal.c.uid.label("face"), literal_column("''").label("via")).where(principal.c.uid == uid),
        select(group_member.c.group, principal.c.name)
        .join(principal, principal.c.uid == group_member.c.group)
        .where(group_member.c.member == uid),
    ).subquery("faces")
    return Prepared(
        select(
            faces.c.via,
            role_assignment.c.role,
            role_assignment.c.scope,
            *(role_definition.c[name] for name in ("id", "name", "description", "actions", "not_actions", "scopes")),
        )
        .select_from(faces)
        .outerjoin(role_assignment, role_assignment.c.principal == faces.c.face)
        .outerjoin(role_definition, role_definition.c.id == role_assignment.c.role)
    )


_held = _held_by(bindparam("uid"))
_held_by_owner = _held_by(select(credential.c.principal).where(credential.c.id == bindparam("id")).scalar_subquery())
_assign = insert(role_assignment)
_unassign = delete_from(role_assignment).where(role_assignment.c.uid == bindparam("uid"))
_assignments = select(role_assignment).order_by(role_assignment.c.created_at, role_assignment.c.uid)
