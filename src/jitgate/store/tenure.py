"""Since when somebody has held a right, and who else can act as a program."""

from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select, union_all

from jitgate.core.resource_id import covers
from jitgate.core.roles import BUILT_IN_BY_ID
from jitgate.store.database import Tx
from jitgate.store.history import What
from jitgate.store.principals import role
from jitgate.store.schema import credential, group_member, history, principal, role_assignment, role_definition


def first_principal(tx: Tx) -> datetime:
    """When the installation's first principal was made, which is its first start."""
    made: datetime = tx.execute(_first).scalar_one()
    return made


def held_since(tx: Tx, uid: str, action: str, scope: str) -> datetime | None:
    """Since when a principal holds a right at a scope path without a break; None: it does not hold it.

    No longer than its account is as it is (made, let in again, or opened by another's sign-in link), and of each way to
    the right no longer than the role was given, was last defined, and the membership in the group that it came through.
    The longest way counts.
    """
    account: datetime | None = tx.execute(
        _account_since, {"uid": uid, "kind": str(What.PRINCIPAL)}
    ).scalar_one_or_none()
    rows = tx.execute(_ways, {"uid": uid}).all()
    ways = [_way_since(row) for row in rows if _gives(row, action, scope)]
    if account is None or not ways:
        return None
    return max(account, min(ways))


def makers(tx: Tx, uid: str, at: datetime, but: str) -> set[str | None]:
    """Who made the credentials that proved a principal at a moment, by uid; but for those of one kind.

    None: there is one of which nobody knows who made it, as of every subject of an issuer. Empty: there was none.
    """
    rows = tx.execute(_credentials, {"uid": uid, "but": but, "at": at}).scalars()
    return {facts.get(MAKER) for facts in rows}


MAKER = "madeBy"
"""The fact of a secret that names who made it, by uid."""


def _gives(row: Any, action: str, scope: str) -> bool:
    held = BUILT_IN_BY_ID.get(row.role) or (role(row) if row.id else None)
    return held is not None and held.allows(action) and covers(row.scope, scope)


def _way_since(row: Any) -> datetime:
    moments: list[datetime | None] = [row.given_at, row.joined_at, row.updated_at]
    return max(moment for moment in moments if moment is not None)


_first = select(func.min(principal.c.created_at))
_account_since = (
    select(func.coalesce(func.max(history.c.at), principal.c.created_at))
    .select_from(principal)
    .outerjoin(history, and_(history.c.kind == bindparam("kind"), history.c.key == principal.c.uid))
    .where(principal.c.uid == bindparam("uid"), principal.c.disabled_at.is_(None))
    .group_by(principal.c.uid, principal.c.created_at)
)
_faces = union_all(
    select(principal.c.uid.label("face"), principal.c.created_at.label("joined_at")).where(
        principal.c.uid == bindparam("uid")
    ),
    select(group_member.c.group, group_member.c.since).where(group_member.c.member == bindparam("uid")),
).subquery("faces")
_ways = (
    select(
        _faces.c.joined_at,
        role_assignment.c.created_at.label("given_at"),
        role_assignment.c.role,
        role_assignment.c.scope,
        *(
            role_definition.c[name]
            for name in ("id", "name", "description", "actions", "not_actions", "scopes", "updated_at")
        ),
    )
    .select_from(_faces)
    .join(role_assignment, role_assignment.c.principal == _faces.c.face)
    .outerjoin(role_definition, role_definition.c.id == role_assignment.c.role)
)
_credentials = select(credential.c.facts).where(
    credential.c.principal == bindparam("uid"),
    credential.c.kind != bindparam("but"),
    credential.c.created_at <= bindparam("at"),
    or_(credential.c.revoked_at.is_(None), credential.c.revoked_at >= bindparam("at")),
    or_(credential.c.expires_at.is_(None), credential.c.expires_at >= bindparam("at")),
)
