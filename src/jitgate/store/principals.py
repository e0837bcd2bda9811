"""Principals, the credentials that prove them, and the roles that they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy import delete as delete_from

from jitgate.core.resource_id import key
from jitgate.core.roles import BUILT_IN, Assignment, Principal
from jitgate.store.database import Tx
from jitgate.store.schema import credential, principal, role_assignment


@dataclass(frozen=True, slots=True)
class Account:
    """A principal as it is kept. `kind` is user or service."""

    uid: str
    name: str
    kind: str
    created_at: datetime
    disabled_at: datetime | None = None


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
    """A role that was given to a principal (by uid)."""

    uid: str
    principal: str
    role: str
    scope: str
    created_at: datetime


def add(tx: Tx, uid: str, name: str, kind: str = "user") -> Account:
    """Add a principal. Its name must be new, in any case."""
    values = {"uid": uid, "name": name, "name_key": key(name), "kind": kind, "created_at": tx.now}
    tx.execute(_insert, values)
    return Account(uid, name, kind, tx.now)


def find(tx: Tx, name: str) -> Account | None:
    """A principal by its name, in any case."""
    row = tx.execute(_by_name, {"name_key": key(name)}).first()
    return _account(row) if row else None


def list_all(tx: Tx) -> list[Account]:
    """Every principal, by name."""
    return [_account(row) for row in tx.execute(_list)]


def disable(tx: Tx, uid: str) -> bool:
    """Let a principal in no more. False: there is none, or it is disabled already."""
    return tx.execute(_disable, {"b_uid": uid, "b_at": tx.now}).rowcount == 1


def prove(tx: Tx, credential_id: str) -> Proof | None:
    """A credential by its id, with its principal and all roles that it holds."""
    rows = tx.execute(_prove, {"id": credential_id}).all()
    if not rows:
        return None
    return Proof(credential_of(rows[0]), _principal(rows), rows[0].disabled_at)


def load(tx: Tx, uid: str) -> Principal | None:
    """A principal with all roles that it holds; None for one that is disabled, or that is not there."""
    rows = tx.execute(_load, {"uid": uid}).all()
    return _principal(rows) if rows else None


def assign(tx: Tx, uid: str, principal_uid: str, role: str, scope: str) -> None:
    """Give a role to a principal at a scope path. `uid` is the assignment's own."""
    values = {"uid": uid, "principal": principal_uid, "role": role, "scope": scope, "created_at": tx.now}
    tx.execute(_assign, values)


def unassign(tx: Tx, uid: str) -> bool:
    """Take a role away. False: there is no such assignment."""
    return tx.execute(_unassign, {"uid": uid}).rowcount == 1


def list_assignments(tx: Tx) -> list[Given]:
    """Every role that was given, oldest first."""
    return [Given(row.uid, row.principal, row.role, row.scope, row.created_at) for row in tx.execute(_assignments)]


def _account(row: Row[Any]) -> Account:
    return Account(row.uid, row.name, row.kind, row.created_at, row.disabled_at)


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


def _principal(rows: Sequence[Row[Any]]) -> Principal:
    """A principal out of one row for each of its roles. A role that nobody knows gives nothing."""
    assignments = [Assignment(BUILT_IN[row.role], row.scope) for row in rows if row.role in BUILT_IN]
    return Principal(rows[0].principal_uid, rows[0].principal_name, tuple(assignments))


_with_roles = (
    principal.c.uid.label("principal_uid"),
    principal.c.name.label("principal_name"),
    principal.c.disabled_at,
    role_assignment.c.role,
    role_assignment.c.scope,
)
_insert = insert(principal)
_by_name = select(principal).where(principal.c.name_key == bindparam("name_key"))
_list = select(principal).order_by(principal.c.name_key)
_disable = (
    update(principal)
    .where(principal.c.uid == bindparam("b_uid"), principal.c.disabled_at.is_(None))
    .values(disabled_at=bindparam("b_at"))
)
_prove = (
    select(credential, *_with_roles)
    .join(principal, principal.c.uid == credential.c.principal)
    .outerjoin(role_assignment, role_assignment.c.principal == principal.c.uid)
    .where(credential.c.id == bindparam("id"))
)
_load = (
    select(*_with_roles)
    .select_from(principal)
    .outerjoin(role_assignment, role_assignment.c.principal == principal.c.uid)
    .where(principal.c.uid == bindparam("uid"), principal.c.disabled_at.is_(None))
)
_assign = insert(role_assignment)
_unassign = delete_from(role_assignment).where(role_assignment.c.uid == bindparam("uid"))
_assignments = select(role_assignment).order_by(role_assignment.c.created_at, role_assignment.c.uid)
