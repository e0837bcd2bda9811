"""Freezing a person, a machine, everything below a scope path or everything; and thawing it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.access import CloseReason, Grant
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.freeze import EVERYTHING, LONGEST_WHY, Freeze
from jitgate.core.resource_id import LONGEST_ID
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.closing import close_all
from jitgate.service.machines import readable
from jitgate.store import freezes, grants, principals
from jitgate.store.database import Tx
from jitgate.store.freezes import Kept

MOST_LISTED = 1000
_MOST_TOLD = 100
_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Target:
    """What shall be frozen: one of a person (by name), a machine (id or short name) and a scope path."""

    person: str | None = None
    machine: str | None = None
    scope: str | None = None


async def list_freezes(service: Service, asker: Asker, *, ended: bool = False) -> Sequence[Kept]:
    """What is frozen, newest first; with `ended` also what was. Raises Forbidden."""
    require(asker, roles.READ_FREEZE, EVERYTHING)
    return await service.store.read(lambda tx: freezes.list_all(tx, most=MOST_LISTED, ended=ended))


async def list_concerning(service: Service, asker: Asker, machine_ids: Sequence[str] = ()) -> Sequence[Freeze]:
    """What is frozen of the asker, of everything, or at some machines: whoever is held up by it is told why."""
    who = asker.principal
    found = await service.store.read(lambda tx: freezes.over(tx, who.uid, machine_ids))
    everywhere = [one for one in found if one.person == who.uid or one.scope == EVERYTHING]
    return everywhere or [one for one in found if any(one.holds(who, each) for each in machine_ids)]


async def freeze(service: Service, asker: Asker, target: Target, why: str) -> Kept:
    """Shut everything that is open for a target, and refuse what is asked, until it is thawed.

    `why` is told to whoever asks meanwhile. Raises Forbidden, Invalid, NotFound, and Conflict for what is frozen.
    """
    _check(target, why)

    def work(tx: Tx) -> Kept:
        new = _freeze(tx, asker, target, why.strip())
        require(asker, roles.FREEZE, new.scope or EVERYTHING)
        if freezes.in_force(tx, new.key):
            raise Conflict("It is frozen already; `jitgate freezes` shows since when and why.")
        freezes.add(tx, new, asker.principal.uid)
        closed = close_all(tx, _open_under(tx, new), CloseReason.REVOKED, f"frozen: {new.why}")
        facts = {"freeze": new.uid, "why": new.why, "closed": len(closed), "grants": closed[:_MOST_TOLD]}
        audit.record(tx, [event(asker, Operation.FREEZE, Outcome.SUCCEEDED, _resource(new), facts)])
        return _kept(tx, new.uid)

    return await attempt(service, asker, Operation.FREEZE, target.scope or "/", work)


async def thaw(service: Service, asker: Asker, uid: str, why: str) -> Kept:
    """End a freeze; what it shut stays shut. Nobody thaws themselves. Raises Forbidden, Invalid, NotFound, Conflict."""
    _check_why(why)

    def work(tx: Tx) -> Kept:
        held = _find(tx, asker, uid).freeze
        require(asker, roles.THAW, held.scope or EVERYTHING)
        if not freezes.thaw(tx, held.uid, asker.principal.uid, why.strip()):
            raise Conflict(f"Freeze {held.uid[:8]} is over already.")
        facts = {"freeze": held.uid, "why": why.strip()}
        audit.record(tx, [event(asker, Operation.THAW, Outcome.SUCCEEDED, _resource(held), facts)])
        return _kept(tx, held.uid)

    return await attempt(service, asker, Operation.THAW, f"freeze/{uid[:40]}", work)


def _freeze(tx: Tx, asker: Asker, target: Target, why: str) -> Freeze:
    if target.person is not None:
        require(asker, roles.FREEZE, EVERYTHING)
        account = principals.find(tx, target.person)
        if account is None:
            raise NotFound(f"There is nobody named {target.person[:100]!r}. `jitgate principal ls` lists everybody.")
        if account.uid == asker.principal.uid:
            raise Forbidden("Nobody freezes themselves: they could not thaw it. Another administrator can freeze you.")
        return Freeze(uuid4().hex, why, tx.now, person=account.uid)
    scope = readable(tx, asker, target.machine).id if target.machine is not None else target.scope
    return Freeze(uuid4().hex, why, tx.now, scope=(scope or EVERYTHING).rstrip("/") or EVERYTHING)


def _open_under(tx: Tx, new: Freeze) -> list[Grant]:
    if new.person is not None:
        return grants.not_over_of(tx, [new.person])
    return grants.live_below(tx, new.scope or EVERYTHING)


def _find(tx: Tx, asker: Asker, uid: str) -> Kept:
    """A freeze by its uid or the beginning of it. Who may not thaw it is not told whether there is one."""
    wanted = uid.strip().lower()
    found = freezes.find(tx, wanted, 2) if wanted.isalnum() and len(wanted) >= _SHORTEST_PREFIX else []
    if len(found) != 1:
        require(asker, roles.THAW, EVERYTHING)
        raise NotFound(
            f"There is no freeze {uid[:40]!r}, or it is the beginning of several. `jitgate freezes` lists them."
        )
    return found[0]


def _kept(tx: Tx, uid: str) -> Kept:
    found = freezes.get(tx, uid)
    assert found is not None
    return found


def _resource(held: Freeze) -> str:
    return f"principal/{held.person}" if held.person is not None else held.scope or EVERYTHING


def _check(target: Target, why: str) -> None:
    given = [one for one in (target.person, target.machine, target.scope) if one is not None]
    if len(given) != 1:
        raise Invalid("person", "one thing is frozen at a time", allowed="one of person, machine and scope")
    if target.scope is not None and not (target.scope.startswith("/") and len(target.scope) <= LONGEST_ID):
        raise Invalid("scope", "this is not a scope path", allowed="/, or /subscriptions/… or any id below")
    _check_why(why)


def _check_why(why: str) -> None:
    if not 0 < len(why.strip()) <= LONGEST_WHY:
        raise Invalid("why", "no reason is given, or too long a one", allowed=f"1 to {LONGEST_WHY} characters")
