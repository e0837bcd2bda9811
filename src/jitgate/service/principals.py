"""People and programs: who is known here, and who is let in."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.resource_id import check_label, key
from jitgate.core.roles import Assignment, Kind
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.delegation import keep_somebody, require_rights_of
from jitgate.service.eligibility import close_ineligible
from jitgate.service.views import Page
from jitgate.store import grants, groups, principals
from jitgate.store.database import Tx
from jitgate.store.principals import Account

_WHERE = "/"


@dataclass(frozen=True, slots=True)
class PrincipalView:
    """Somebody with their groups, and all roles that they hold while they are enabled."""

    account: Account
    groups: Sequence[Account] = ()
    assignments: Sequence[Assignment] = ()


async def list_principals(
    service: Service, asker: Asker, *, limit: int = 100, after: str | None = None
) -> Page[Account]:
    """Everybody who is known, by name. Raises Forbidden."""
    require(asker, roles.READ_PRINCIPAL, _WHERE)
    found = await service.store.read(lambda tx: principals.list_page(tx, after=after or "", most=limit + 1))
    return page_of(found, limit)


async def get_principal(service: Service, asker: Asker, who: str) -> PrincipalView:
    """Somebody, by name in any case or by uid. Raises Forbidden, NotFound."""
    require(asker, roles.READ_PRINCIPAL, _WHERE)

    def work(tx: Tx) -> PrincipalView:
        account = find(tx, who)
        loaded = principals.load(tx, account.uid)
        return PrincipalView(account, groups.of(tx, account.uid), loaded.assignments if loaded else ())

    return await service.store.read(work)


async def add_principal(service: Service, asker: Asker, name: str, kind: Kind = Kind.USER) -> Account:
    """Add somebody, or a program; without any right yet, and without anything to sign in with.

    Raises Forbidden, Invalid, Conflict where a principal or group has that name.
    """
    check_name(name)
    if kind.is_group:
        raise Invalid("kind", f"{kind} is a group's", allowed=f"{Kind.USER} or {Kind.SERVICE}")

    def work(tx: Tx) -> Account:
        require(asker, roles.WRITE_PRINCIPAL, _WHERE)
        must_be_new(tx, name)
        made = principals.add(tx, uuid4().hex, name, kind)
        _record(tx, asker, Operation.PRINCIPAL_CREATE, made, kind=str(kind))
        return made

    return await attempt(service, asker, Operation.PRINCIPAL_CREATE, resource(name), work)


async def disable_principal(service: Service, asker: Asker, who: str) -> Account:
    """Let somebody in no more. What they have open closes at once, what they wait for ends.

    To disable twice is to disable once. Raises Forbidden, NotFound, Conflict: not oneself, which shows that
    whoever is left can sign in, and not the last who can give rights.
    """

    def work(tx: Tx) -> Account:
        require(asker, roles.DISABLE_PRINCIPAL, _WHERE)
        account = find(tx, who)
        if account.uid == asker.principal.uid:
            raise Conflict("Nobody can disable themselves: another administrator must.")
        if principals.disable(tx, account.uid):
            keep_somebody(tx)
            closed = close_ineligible(tx, grants.not_over_of(tx, [account.uid]))
            _record(tx, asker, Operation.PRINCIPAL_DISABLE, account, closed=closed)
        return find(tx, account.uid)

    return await attempt(service, asker, Operation.PRINCIPAL_DISABLE, resource(who), work)


async def enable_principal(service: Service, asker: Asker, who: str) -> Account:
    """Let somebody in again, with the roles that they had. Raises Forbidden, NotFound.

    Who enables somebody could as well give them these roles, and so must hold them.
    """

    def work(tx: Tx) -> Account:
        require(asker, roles.WRITE_PRINCIPAL, _WHERE)
        account = find(tx, who)
        require_rights_of(tx, asker, account.uid)
        if principals.enable(tx, account.uid):
            _record(tx, asker, Operation.PRINCIPAL_ENABLE, account)
        return find(tx, account.uid)

    return await attempt(service, asker, Operation.PRINCIPAL_ENABLE, resource(who), work)


# --- for other use cases ------------------------------------------------------------------------------


def find(tx: Tx, who: str) -> Account:
    """Somebody who is no group, by name or uid. Raises NotFound."""
    found = principals.find_any(tx, who)
    if found is None or found.kind.is_group:
        raise NotFound(
            f"There is nobody called {who[:100]!r} here. `jitgate principal ls` lists everybody.",
            code="PrincipalNotFound",
        )
    return found


def check_name(name: str) -> str:
    """What somebody can be called. Raises Invalid. A name stands in paths, so it holds no slash."""
    if "/" in name:
        raise Invalid("name", f"{name[:100]!r} holds a slash", allowed="any other visible characters")
    return check_label(name, "name")


def must_be_new(tx: Tx, name: str) -> None:
    """Raise Conflict where a principal or group has a name. They share their names: a role is given by name."""
    if principals.find_any(tx, name) is not None:
        raise Conflict(f"There is a principal or group called {name!r} already. Choose another name.")


def page_of(found: list[Account], limit: int) -> Page[Account]:
    """A page out of one more than it shall hold."""
    shown = tuple(found[:limit])
    return Page(shown, key(shown[-1].name) if len(found) > limit else None)


def resource(name: str) -> str:
    """What the record calls somebody."""
    return f"/principals/{name[:256]}"


def _record(tx: Tx, asker: Asker, operation: Operation, about: Account, **facts: object) -> None:
    audit.record(tx, [event(asker, operation, Outcome.SUCCEEDED, resource(about.name), {"uid": about.uid, **facts})])
