"""Groups: who is in them. A group is a principal that can be given roles, and never asks for anything itself."""

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, insert, select

from jitgate.core.resource_id import key
from jitgate.core.roles import Kind
from jitgate.store import history
from jitgate.store.database import Tx
from jitgate.store.history import What
from jitgate.store.principals import Account, get_many
from jitgate.store.schema import group_member, principal, role_assignment


def join(tx: Tx, group: str, member: str) -> bool:
    """Put a principal into a group, both by uid. False: it is in there already."""
    if tx.execute(_membership, {"group": group, "member": member}).first():
        return False
    tx.execute(_join, {"group": group, "member": member, "since": tx.now})
    history.keep(tx, What.MEMBER, f"{group} {member}", {"group": group, "member": member})
    return True


def leave(tx: Tx, group: str, member: str) -> bool:
    """Take a principal out of a group. False: it was not in there."""
    left = tx.execute(_leave, {"b_group": group, "b_member": member}).rowcount == 1
    if left:
        history.keep(tx, What.MEMBER, f"{group} {member}", None)
    return left


def members(tx: Tx, group: str, *, after: str = "", most: int = 100) -> list[Account]:
    """Who is in a group, in the order of the keys of their names, continuing after one of these."""
    uids = tx.execute(_members, {"group": group, "after": after, "most": most}).scalars().all()
    found = get_many(tx, uids)
    return [found[uid] for uid in uids]


def of(tx: Tx, member: str) -> list[Account]:
    """The groups that a principal is in, by name."""
    uids = tx.execute(_groups_of, {"member": member}).scalars().all()
    return sorted(get_many(tx, uids).values(), key=lambda group: key(group.name))


def remove(tx: Tx, group: str) -> None:
    """Remove a group, with the roles that were given to it."""
    # What was given to a group that is gone, and who was in it, counts no more: nothing else need be written.
    history.keep(tx, What.PRINCIPAL, group, None)
    for statement in _remove:
        tx.execute(statement, {"b_group": group})


def follow_claim(tx: Tx, member: str, issuer: str, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Have a principal be in exactly those claimed groups of an issuer that it names.

    A name for which there is no claimed group of this issuer here means nothing: it is no role's, and only
    administrators make groups. Returns the uids of the groups that were joined, and of those that were left.
    """
    keys = set(map(key, names))
    wanted = {row.uid for one in keys for row in tx.execute(_claimed, {"name_key": one, "issuer": issuer})}
    present = {group.uid for group in of(tx, member) if group.kind is Kind.CLAIMED_GROUP}
    joined, left = sorted(wanted - present), sorted(present - wanted)
    for group in joined:
        join(tx, group, member)
    for group in left:
        leave(tx, group, member)
    return joined, left


_membership = select(group_member).where(
    group_member.c.group == bindparam("group"), group_member.c.member == bindparam("member")
)
_join = insert(group_member)
_leave = delete(group_member).where(
    group_member.c.group == bindparam("b_group"), group_member.c.member == bindparam("b_member")
)
_members = (
    select(principal.c.uid)
    .join(group_member, group_member.c.member == principal.c.uid)
    .where(group_member.c.group == bindparam("group"), principal.c.name_key > bindparam("after"))
    .order_by(principal.c.name_key)
    .limit(bindparam("most"))
)
_groups_of = select(group_member.c.group).where(group_member.c.member == bindparam("member"))
_claimed = select(principal.c.uid).where(
    principal.c.name_key == bindparam("name_key"),
    principal.c.kind == str(Kind.CLAIMED_GROUP),
    principal.c.issuer == bindparam("issuer"),
)
_remove = (
    delete(group_member).where(group_member.c.group == bindparam("b_group")),
    delete(role_assignment).where(role_assignment.c.principal == bindparam("b_group")),
    delete(principal).where(principal.c.uid == bindparam("b_group")),
)
