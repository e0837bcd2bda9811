"""What auditors take away: who could open what, who holds which right and uses it, how policies changed.

Each is an export, so it needs the right to export and is on record.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from jitgate import audit
from jitgate.audit import Operation, Outcome
from jitgate.core import audit_report, roles
from jitgate.core.audit_report import Change, Could, Use
from jitgate.core.resource_id import key
from jitgate.service.attempt import event, require
from jitgate.service.base import Asker, Service
from jitgate.store import history, policies, principals, standing
from jitgate.store.database import Tx
from jitgate.store.history import State, What

_PAGE = 500
_READS = (roles.READ_ACTIVITY, roles.READ_POLICY, roles.READ_ASSIGNMENT, roles.EXPORT_ACTIVITY)


@dataclass(frozen=True, slots=True)
class Held:
    """A right that somebody holds, and when they last used it. `via`: the group that it came by; `seen`: anything."""

    person: str
    is_disabled: bool
    role: str
    scope: str
    via: str
    used: Use | None
    seen: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """One write of a policy, or its removal."""

    at: datetime
    caller: str
    policy: str
    is_removed: bool
    changes: tuple[Change, ...]


async def who_could(service: Service, asker: Asker, at: datetime) -> AsyncIterator[Sequence[Could]]:
    """Every port that somebody could ask for at a moment, person by person. Raises Forbidden."""
    await _put_on_record(service, asker, "whoCould", {"at": at.isoformat()})
    held = await service.store.read(lambda tx: standing.at(tx, at))
    rows = audit_report.who_could(held)
    while page := list(islice(rows, _PAGE)):
        yield page


async def access_review(service: Service, asker: Asker) -> AsyncIterator[Sequence[Held]]:
    """Every right that somebody holds now, and when they last used it. Raises Forbidden."""
    await _put_on_record(service, asker, "accessReview", {})
    after = ""
    while page := await service.store.read(partial(principals.list_page, after=after, most=_PAGE)):
        for account in page:
            held = await service.store.read(partial(_held, uid=account.uid))
            if held:
                yield held
        after = key(page[-1].name)


async def policy_history(service: Service, asker: Asker, policy: str | None = None) -> AsyncIterator[Sequence[Written]]:
    """How policies changed, oldest first; of one by its id or name, or of all. Raises Forbidden."""
    await _put_on_record(service, asker, "policyHistory", {"policy": policy})
    after = 0
    while page := await service.store.read(partial(_states, after=after)):
        yield [_written(state) for state in page if policy is None or _is_meant(policy, state)]
        after = page[-1].id


async def _put_on_record(service: Service, asker: Asker, report: str, facts: dict[str, str | None]) -> None:
    for action in _READS:
        require(asker, action, "/")
    exported = event(asker, Operation.ACTIVITY_EXPORT, Outcome.SUCCEEDED, "/", {"report": report, **facts})
    await service.store.write(lambda tx: audit.record(tx, [exported]))


def _held(tx: Tx, uid: str) -> list[Held]:
    account = principals.get_many(tx, [uid]).get(uid)
    if account is None:
        return []
    done = standing.uses(tx, uid)
    seen = max((use.at for use in done), default=None)
    return [
        Held(
            person=account.name,
            is_disabled=account.disabled_at is not None,
            role=one.role.name,
            scope=one.scope,
            via=one.via,
            used=audit_report.last_use(one, done),
            seen=seen,
        )
        for one in principals.holder(tx, account).assignments
    ]


def _states(tx: Tx, after: int) -> list[State]:
    return history.states(tx, What.POLICY, after=after, most=_PAGE)


def _is_meant(policy: str, state: State) -> bool:
    return key(policy).rstrip("/") in (state.key, state.key.rpartition("/")[2])


def _written(state: State) -> Written:
    before = policies.from_description(state.before) if state.before else None
    after = policies.from_description(state.body) if state.body else None
    named = after or before
    return Written(
        at=state.at,
        caller=state.caller,
        policy=named.id.text if named else state.key,
        is_removed=after is None,
        changes=tuple(audit_report.changes(before, after)),
    )
