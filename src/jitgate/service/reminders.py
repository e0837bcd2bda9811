"""What time alone brings about, and people want to hear of: a grant ends soon, others may decide a step by now."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from jitgate import audit, reconsideration
from jitgate.audit import Event, Operation, Outcome
from jitgate.core.access import State
from jitgate.core.decide import NeedsApproval
from jitgate.service.base import Service
from jitgate.store import approvals, cursors, guardrails, requests
from jitgate.store.database import Tx
from jitgate.store.requests import Granted

LOOK_EVERY_SECONDS = 5.0
_WATERMARK = "reminded"
_MOST_WAITING = 1000
"""So many requests at most that were made within the same few seconds."""
_AT_LEAST_EVERY = timedelta(minutes=1)

_log = structlog.get_logger(__name__)


async def remind_for_ever(service: Service) -> None:
    """Look every few seconds, until cancelled."""
    while True:
        try:
            await remind(service)
        except Exception as error:  # noqa: BLE001 - the next look makes up for it
            _log.error("reminding failed; trying again", exc_info=error)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def remind(service: Service) -> int:
    """Put on record what has come near since the last look; returns how many lines. Each is told once."""
    if not await service.store.read(lambda tx: _is_due(tx, service)):
        return 0
    return await service.store.write(lambda tx: _remind(tx, service))


def _is_due(tx: Tx, service: Service) -> bool:
    """Whether there is something to tell, or nothing has been for so long that this is worth a note."""
    since = cursors.watermark(tx, _WATERMARK)
    return since is None or tx.now - since > _AT_LEAST_EVERY or bool(_near(tx, service, since))


def _remind(tx: Tx, service: Service) -> int:
    since = cursors.watermark(tx, _WATERMARK)
    found = [] if since is None else _near(tx, service, since)
    audit.record(tx, found)
    cursors.set_watermark(tx, _WATERMARK, tx.now)
    return len(found)


def _near(tx: Tx, service: Service, since: datetime) -> list[Event]:
    return [*map(_ends_soon, _ending(tx, service, since)), *_escalated(tx, since)]


def _ending(tx: Tx, service: Service, since: datetime) -> Sequence[Granted]:
    before = service.settings.remind_before
    return requests.ending(tx, since + before, tx.now + before) if before else ()


def _ends_soon(given: Granted) -> Event:
    grant = given.grant
    assert grant.end is not None
    facts = {
        "grant": grant.uid,
        "request": grant.request,
        "requestor": given.asked.requestor,
        "port": grant.port,
        "endTimeUtc": grant.end.isoformat(timespec="milliseconds"),
        "extend": f"jitgate extend {grant.uid[:8]} --for 1h",
    }
    return Event(
        Operation.GRANT_ENDS_SOON, Outcome.SUCCEEDED, given.machine_id, correlation=grant.request, properties=facts
    )


def _escalated(tx: Tx, since: datetime) -> list[Event]:
    """The requests of which others may decide a step since the last look: those that were made that long before."""
    steps = [step for rail in guardrails.list_all(tx) for step in rail.limits.asked_steps]
    waits = {step.escalate_after for step in steps if step.escalate_after is not None}
    found = [uid for wait in waits for uid in approvals.waiting_since(tx, since - wait, tx.now - wait, _MOST_WAITING)]
    return [event for uid in dict.fromkeys(found) for event in _escalation(tx, uid, since)]


def _escalation(tx: Tx, uid: str, since: datetime) -> list[Event]:
    given = [one for one in requests.get(tx, uid) if one.grant.state is State.PENDING]
    decision = reconsideration.decide_again(tx, given) if given else None
    if not isinstance(decision, NeedsApproval):
        return []
    asked = given[0].asked
    lacking = reconsideration.missing(tx, decision, asked)
    moments = [asked.at + one.step.escalate_after for one in lacking if one.step.escalate_after is not None]
    if not any(since < at <= tx.now for at in moments):
        return []
    facts = {
        "request": uid,
        "requestor": asked.requestor,
        "justification": asked.justification,
        "missing": reconsideration.describe(lacking),
        "approvers": reconsideration.approvers(tx, lacking, asked),
    }
    return [
        Event(Operation.APPROVAL_ESCALATED, Outcome.SUCCEEDED, machine, correlation=uid, properties=facts)
        for machine in dict.fromkeys(one.machine_id for one in given)
    ]
