"""The first half of a pass: take the lease, let time move what is due, work out what the scope must hold."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jitgate import audit, reconsideration
from jitgate.audit import Event, Operation, Outcome
from jitgate.core.access import Grant, State
from jitgate.core.desired import AccessKey, Desired, union
from jitgate.core.progress import due
from jitgate.reconcile import protection, story
from jitgate.store import alterations, grants, lease, machines, previews, scopes, wants
from jitgate.store.database import Tx
from jitgate.store.previews import Preview

BATCH = 1000
"""The most grants that one pass opens or closes."""

CUT_FOR = timedelta(days=5)
"""How long a revoked source stays cut: as long as Linux keeps an idle established connection."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One look at one scope: what it must hold, and the grants whose fate depends on it.

    `attempts`  failures in a row before this look, the last one with `error`
    `until`     when the look must be over
    `alters`    something that others made is altered for this scope, is to be, or is to be put back
    `previews`  what somebody wants to know before protecting ports here
    """

    desired: Desired
    grants: Sequence[Grant]
    connector: str
    memory: Mapping[str, Any]
    attempts: int
    error: str
    until: datetime
    alters: bool = False
    previews: Sequence[Preview] = ()

    @property
    def scope(self) -> str:
        return self.desired.scope

    @property
    def correlation(self) -> str:
        return f"{self.scope}#{self.desired.generation}"

    @property
    def has_work(self) -> bool:
        return bool(self.grants) or self.desired.complete


def claim(tx: Tx, scope: str, owner: str, length: timedelta, whole_ports: Collection[str] = ()) -> Pass | None:
    """Begin a pass. None: somebody else holds the scope, or there is no such scope.

    `whole_ports`: the connectors that are told all of a port when a part of it changes.
    """
    state = scopes.get(tx, scope)
    generation = lease.claim(tx, scope, owner, length) if state and scopes.is_for(tx, state, owner) else None
    if state is None or generation is None:
        return None
    until = tx.now + length
    scopes.begin(tx, scope, until)
    before = grants.ask_changed(tx, scope, BATCH)
    changed = grants.changed(tx, scope, BATCH) if _let_time_move(tx, scope) else before()
    closing = [grant for grant in changed if grant.state is State.CLOSING]
    if closing and state.attempts % 2:
        # The last attempt failed, maybe for what was to be opened: every other one shuts, and does nothing else.
        changed = closing
        desired = _changes(tx, scope, generation, changed, whole=state.connector in whole_ports)
    elif state.sweep_at is None or state.sweep_at <= tx.now:
        scopes.begin_sweep(tx, scope)
        desired = _everything(tx, scope, generation, changed)
    else:
        desired = _changes(tx, scope, generation, changed, whole=state.connector in whole_ports)
    begun = Pass(desired, changed, state.connector, state.memory, state.attempts, state.error, until)
    if desired.complete:
        begun = _with_what_others_made(tx, begun)
    if changed:
        audit.record(tx, [_started(begun)])
    return begun


def is_current(tx: Tx, begun: Pass) -> bool:
    """Whether nobody has begun another look since. If somebody has, what this one saw counts no more."""
    state = scopes.get(tx, begun.scope)
    return state is not None and state.generation == begun.desired.generation


def previewed(tx: Tx, begun: Pass, asked: Preview) -> Desired:
    """What the scope would have to hold if some ports of a machine were protected as well."""
    desired = begun.desired
    machine = machines.present(tx, [asked.machine]).get(asked.machine)
    more = protection.of_ports(tx, machine, asked.ports) if machine else {}
    return replace(desired, protected={**more, **desired.protected}, machines=desired.machines | {asked.machine})


def _let_time_move(tx: Tx, scope: str) -> bool:
    """Expire, start and time out what is due; if it is very much, the next pass goes on, and others get a turn.

    Whether anything was.
    """
    moves = [move for grant in grants.due(tx, scope, BATCH) if (move := due(grant, tx.now)) is not None]
    moves = [reconsideration.check(tx, move) for move in moves]
    starts = [move for move in moves if move.state is State.OPENING]
    grants.move(tx, [move for move in moves if move.state is not State.OPENING])
    for start in starts:
        # One after the other: of two that start at once, the later asked takes the other's place, not each the other's.
        grants.move(tx, [start])
        grants.supersede(tx, start.grant)
    story.tell(tx, moves)
    return bool(moves)


def _changes(tx: Tx, scope: str, generation: int, changed: Sequence[Grant], *, whole: bool) -> Desired:
    """The truth of the keys that changed grants name, from all grants that name them; `whole`: of their ports."""
    keys = {key for grant in changed for key in grant.keys()}
    if whole:
        keys |= wants.keys_of(tx, {(key.machine, key.port) for key in keys})
    access = union(keys, wants.of_keys(tx, keys), tx.now)
    return Desired(
        scope=scope,
        generation=generation,
        at=tx.now,
        machines=frozenset(),
        protected={},
        access=access,
        cut={key: tx.now + CUT_FOR for key in _revoked(changed) if access[key] is None},
    )


def _everything(tx: Tx, scope: str, generation: int, changed: Sequence[Grant]) -> Desired:
    """The whole truth of a scope."""
    keys = {key for grant in changed for key in grant.keys()}
    access = union(keys, wants.of_scope(tx, scope), tx.now)
    machines, protected = protection.of_scope(tx, scope)
    cut = dict.fromkeys(_revoked(changed), tx.now + CUT_FOR)
    for grant in grants.cut_since(tx, scope, tx.now - CUT_FOR):
        assert grant.closed_at is not None
        cut |= dict.fromkeys(grant.keys(), grant.closed_at + CUT_FOR)
    return Desired(
        scope=scope,
        generation=generation,
        at=tx.now,
        machines=machines,
        protected=protected,
        access=access,
        cut={key: until for key, until in cut.items() if access.get(key) is None},
        complete=True,
    )


def _with_what_others_made(tx: Tx, begun: Pass) -> Pass:
    """A look at everything is also about what is altered of others', and what somebody wants to know beforehand."""
    altered = alterations.standing(tx, begun.connector)
    return replace(
        begun,
        desired=replace(begun.desired, altered=altered),
        alters=bool(alterations.needed_by(tx, begun.scope) or alterations.to_restore(tx, begun.scope)),
        previews=previews.waiting(tx, begun.scope),
    )


def _revoked(changed: Sequence[Grant]) -> set[AccessKey]:
    return {
        key
        for grant in changed
        if grant.state is State.CLOSING and grant.reason is not None and grant.reason.cuts_sessions
        for key in grant.keys()
    }


def _started(begun: Pass) -> Event:
    opening = sum(grant.state is State.OPENING for grant in begun.grants)
    closing = sum(grant.state is State.CLOSING for grant in begun.grants)
    return Event(
        Operation.FIREWALL_APPLY,
        Outcome.STARTED,
        begun.scope,
        correlation=begun.correlation,
        properties={"opening": opening, "closing": closing, "complete": begun.desired.complete},
    )
