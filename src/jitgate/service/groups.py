"""Groups: given roles, which their members hold while they are in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.resource_id import check_label
from jitgate.core.roles import Kind
from jitgate.service import principals as people
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.delegation import keep_somebody, require_rights_of
from jitgate.service.eligibility import close_ineligible
from jitgate.service.views import Page
from jitgate.store import grants, groups, principals
from jitgate.store import roles as role_rows
from jitgate.store.database import Tx
from jitgate.store.principals import Account, Given

_WHERE = "/"


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with its roles, and a page of its members."""

    group: Account
    assignments: Sequence[Given]
    members: Page[Account]


async def list_groups(service: Service, asker: Asker, *, limit: int = 100, after: str | None = None) -> Page[Account]:
    """All groups, by name. Raises Forbidden."""
    require(asker, roles.READ_GROUP, _WHERE)
    found = await service.store.read(
        lambda tx: principals.list_page(tx, groups=True, after=after or "", most=limit + 1)
    )
    return people.page_of(found, limit)


async def get_group(
    service: Service, asker: Asker, name: str, *, limit: int = 100, after: str | None = None
) -> GroupView:
    """A group by name or uid, and who is in it. Raises Forbidden, NotFound."""
    require(asker, roles.READ_GROUP, _WHERE)

    def work(tx: Tx) -> GroupView:
        group = find(tx, name)
        members = groups.members(tx, group.uid, after=after or "", most=limit + 1)
        return GroupView(group, role_rows.of_holder(tx, group.uid), people.page_of(members, limit))

    return await service.store.read(work)


async def add_group(service: Service, asker: Asker, name: str, *, claimed: bool = False, issuer: str = "") -> Account:
    """Make a group. `claimed`: who is in it, one identity provider says at each sign-in, by this very name.

    `issuer`: which one, by its name or address; "": the only one where people sign in.
    Raises Forbidden, Invalid, Conflict where a principal or group has that name.
    """
    check_label(name, "name")

    def work(tx: Tx) -> Account:
        require(asker, roles.WRITE_GROUP, _WHERE)
        teller = _issuer(service, issuer) if claimed else None
        people.must_be_new(tx, name)
        made = principals.add(tx, uuid4().hex, name, Kind.CLAIMED_GROUP if claimed else Kind.GROUP, teller)
        _record(tx, asker, Operation.GROUP_WRITE, made, claimed=claimed, issuer=teller)
        return made

    return await attempt(service, asker, Operation.GROUP_WRITE, resource(name), work)


async def remove_group(service: Service, asker: Asker, name: str) -> None:
    """Remove a group with the roles that it was given. What these allowed closes at once.

    Raises Forbidden, NotFound, Conflict.
    """

    def work(tx: Tx) -> None:
        require(asker, roles.WRITE_GROUP, _WHERE)
        group = find(tx, name)
        for one in role_rows.of_holder(tx, group.uid):
            require(asker, roles.DELETE_ASSIGNMENT, one.scope)
        at_risk = grants.not_over_of(tx, [group.uid])
        groups.remove(tx, group.uid)
        keep_somebody(tx)
        closed = close_ineligible(tx, at_risk)
        _record(tx, asker, Operation.GROUP_DELETE, group, closed=closed)

    await attempt(service, asker, Operation.GROUP_DELETE, resource(name), work)


async def join_group(service: Service, asker: Asker, name: str, who: str) -> None:
    """Put somebody into a group. Who does could as well give them its roles, and so must hold them.

    To join twice is to join once. Raises Forbidden, NotFound, Conflict for a claimed group.
    """

    def work(tx: Tx) -> None:
        group, member = _group_and_member(tx, asker, name, who)
        require_rights_of(tx, asker, group.uid)
        if groups.join(tx, group.uid, member.uid):
            _record(tx, asker, Operation.GROUP_JOIN, group, member=member.name)

    await attempt(service, asker, Operation.GROUP_JOIN, resource(name), work)


async def leave_group(service: Service, asker: Asker, name: str, who: str) -> None:
    """Take somebody out of a group. What it allowed them closes at once. Who is not in it stays so.

    Raises Forbidden, NotFound, Conflict for a claimed group.
    """

    def work(tx: Tx) -> None:
        group, member = _group_and_member(tx, asker, name, who)
        if groups.leave(tx, group.uid, member.uid):
            keep_somebody(tx)
            closed = close_ineligible(tx, grants.not_over_of(tx, [member.uid]))
            _record(tx, asker, Operation.GROUP_LEAVE, group, member=member.name, closed=closed)

    await attempt(service, asker, Operation.GROUP_LEAVE, resource(name), work)


def follow_claim(tx: Tx, asker: Asker, issuer: str, names: Iterable[str]) -> None:
    """Have somebody who signs in be in those claimed groups of an issuer that it names, and in no other.

    Part of the sign-in, in its transaction. What a group allowed that they left closes at once.
    """
    joined, left = groups.follow_claim(tx, asker.principal.uid, issuer, names)
    closed = close_ineligible(tx, grants.not_over_of(tx, [asker.principal.uid])) if left else []
    known = principals.get_many(tx, [*joined, *left])
    for uid in joined:
        _record(tx, asker, Operation.GROUP_JOIN, known[uid], member=asker.principal.name, claimed=True)
    for uid in left:
        facts = {"member": asker.principal.name, "claimed": True, "closed": closed}
        _record(tx, asker, Operation.GROUP_LEAVE, known[uid], **facts)


# --- parts of these ----------------------------------------------------------------------------------


def find(tx: Tx, name: str) -> Account:
    """A group by name or uid. Raises NotFound."""
    found = principals.find_any(tx, name)
    if found is None or not found.kind.is_group:
        raise NotFound(f"There is no group {name[:100]!r}. `jitgate group ls` lists them.", code="GroupNotFound")
    return found


def resource(name: str) -> str:
    """What the record calls a group."""
    return f"/groups/{name[:256]}"


def _issuer(service: Service, name: str) -> str:
    """The address of a trusted issuer. Raises Invalid."""
    trusted = service.bearers.issuers
    found = [each.issuer.url for each in trusted.providers if name in (each.issuer.name, each.issuer.url)]
    found = found if name else [each.issuer.url for each in trusted.for_people]
    if len(found) == 1:
        return found[0]
    allowed = ", ".join(each.issuer.name for each in trusted.providers) or "none: none is configured"
    raise Invalid("issuer", "it must say which trusted issuer tells who is in the group", allowed=allowed)


def _group_and_member(tx: Tx, asker: Asker, name: str, who: str) -> tuple[Account, Account]:
    """A group whose members are kept here, and somebody to join or leave it."""
    require(asker, roles.WRITE_GROUP, _WHERE)
    group = find(tx, name)
    if group.kind is Kind.CLAIMED_GROUP:
        raise Conflict(f"Who is in {group.name}, the identity provider says at each sign-in. Change it there.")
    return group, people.find(tx, who)


def _record(tx: Tx, asker: Asker, operation: Operation, group: Account, **facts: object) -> None:
    audit.record(tx, [event(asker, operation, Outcome.SUCCEEDED, resource(group.name), {"uid": group.uid, **facts})])
