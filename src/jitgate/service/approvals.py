"""Agreeing to requests that wait for it, or not; and withdrawing one's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from jitgate import audit, reconsideration
from jitgate.audit import Operation, Outcome
from jitgate.core import roles, shortening
from jitgate.core.access import CloseReason, Span, State
from jitgate.core.approval import Missing, Need
from jitgate.core.decide import Decision, Denied, NeedsApproval
from jitgate.core.duration import Duration, describe
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.core.progress import Move
from jitgate.service import pages, presentation
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.closing import close_all
from jitgate.service.independence import require_other_person, why_not_another
from jitgate.service.requests import may_read
from jitgate.service.views import Page, RequestView, WaitingView
from jitgate.store import approvals, grants, requests, scopes
from jitgate.store.approvals import Said, Verdict
from jitgate.store.database import Tx
from jitgate.store.requests import Granted
from jitgate.trust import links

LONGEST_NOTE = 1000
_SHORTEST_PREFIX = 4
MOST_LOOKED_AT = 300
"""How many requests that wait one page of the inbox looks at."""

_WAITING = (State.PENDING, State.SCHEDULED)


async def list_waiting(
    service: Service, asker: Asker, *, limit: int = 100, after: str | None = None
) -> Page[WaitingView]:
    """The requests that wait for approval and that the asker may decide, now or at a later step, the oldest first.

    Each that waits takes a decision to look at, so a page ends after so many, with what is found until then; there is
    more as long as it says where. Raises Invalid for a page that was never given out.
    """

    def work(tx: Tx) -> Page[WaitingView]:
        if not asker.principal.scopes(roles.APPROVE):
            return Page(())
        found: list[WaitingView] = []
        waiting = approvals.waiting(tx, MOST_LOOKED_AT + 1, pages.read_token(after))
        for _, uid in waiting[:MOST_LOOKED_AT]:
            view = waiting_view(tx, asker, requests.get(tx, uid))
            if view is not None and len(found) == limit:
                return Page(tuple(found), pages.write_token(found[-1].request.asked_at, found[-1].request.uid))
            found += [view] if view is not None else []
        is_all = len(waiting) <= MOST_LOOKED_AT
        return Page(tuple(found), None if is_all else pages.write_token(*waiting[MOST_LOOKED_AT - 1]))

    return await service.store.read(work)


async def approve(
    service: Service, asker: Asker, uid: str, note: str = "", most: Duration | None = None
) -> RequestView:
    """Agree to a request. Once everybody who has to has agreed, it opens, or waits for its start.

    `most`: it may last so long at most, which is less than was asked for. The whole decision is made again first:
    rights, policies, guardrails, freezes. Raises NotFound, Forbidden (also for one's own), Invalid for a longer time
    than was asked for, and Conflict for what is decided already, has waited too long, or would not be granted any more.
    """
    _check_note(note)
    return await attempt(
        service, asker, Operation.APPROVE, f"request/{uid[:40]}", lambda tx: _approve(tx, asker, uid, note, most)
    )


async def deny(service: Service, asker: Asker, uid: str, note: str = "") -> RequestView:
    """Refuse a request, which ends it. Raises NotFound, Forbidden (also for one's own), Conflict."""
    _check_note(note)
    return await attempt(service, asker, Operation.DENY, f"request/{uid[:40]}", lambda tx: _deny(tx, asker, uid, note))


async def withdraw(service: Service, asker: Asker, uid: str) -> RequestView:
    """Take back one's own request that has not opened yet. Raises NotFound, Forbidden, Conflict."""

    def work(tx: Tx) -> RequestView:
        given = find(tx, asker, uid)
        asked = given[0].asked
        if asked.principal != asker.principal.uid:
            raise Forbidden(f"Request {asked.uid[:8]} is {asked.requestor}'s: only they withdraw it. Deny it instead.")
        if not all(asker.principal.can_use(roles.INITIATE, one.machine_id) for one in given):
            raise Forbidden(f"This credential is not good for {roles.INITIATE} here. Use another.")
        waiting = [one.grant for one in given if one.grant.state in _WAITING]
        if not waiting:
            raise Conflict(f"{_what_became(given)} There is nothing to withdraw; `done` shuts what is open.")
        closed = close_all(tx, waiting, CloseReason.WITHDRAWN)
        return _told(tx, asker, given, Operation.WITHDRAW, Outcome.SUCCEEDED, {"grants": closed})

    return await attempt(service, asker, Operation.WITHDRAW, f"request/{uid[:40]}", work)


async def decide_by_link(
    service: Service, asker: Asker, link: str, verdict: Verdict, note: str = "", most: Duration | None = None
) -> RequestView:
    """Approve or deny with the link of a notification, which is good once, for the approver that it was made for.

    The link is no credential: whoever uses it has signed in. Raises Forbidden for a link that is none, or
    somebody else's, and what `approve` and `deny` raise; for one that was used, Conflict.
    """
    request = follow_link(service, asker, link)
    if request is None:
        raise Forbidden("This link is not good, or it was not made for you. Use the one that was sent to you.")
    if verdict is Verdict.APPROVED:
        return await approve(service, asker, request, note, most)
    return await deny(service, asker, request, note)


def follow_link(service: Service, asker: Asker, link: str) -> str | None:
    """The request (by uid) that the link of a notification leads the asker to; None for one that is not theirs."""
    return links.read(service.settings.link_keys(), link, asker.principal.uid)


def find(tx: Tx, asker: Asker, uid: str) -> list[Granted]:
    """The grants of a request that the asker may know of, by its uid or the beginning. Raises NotFound, Invalid."""
    prefix = uid.strip().lower()
    if len(prefix) < _SHORTEST_PREFIX or not prefix.isalnum():
        raise Invalid(
            "request",
            f"{uid[:40]!r} is not a request's id",
            allowed=f"an id, or its first {_SHORTEST_PREFIX} or more characters",
        )
    found = [given for one in requests.find(tx, prefix, 1000) if (given := requests.get(tx, one))]
    known = [given for given in found if _may_know(tx, asker, given)]
    if not known:
        raise NotFound(f"There is no request {uid[:40]}. `jitgate inbox` lists those that wait for you.")
    if len(known) > 1:
        raise Invalid("request", f"{uid!r} is the beginning of several ids", allowed="more characters of the id")
    return known[0]


# --- parts of these ----------------------------------------------------------------------------------


def _approve(tx: Tx, asker: Asker, uid: str, note: str, most: Duration | None) -> RequestView:
    given, pending = _undecided(tx, asker, uid)
    pending = _shorten(tx, asker, pending, most) if most is not None else pending
    asked = given[0].asked
    require_other_person(tx, asker, asked.principal, asked.at)
    decision = _decision(tx, pending)
    _must_be_new(tx, asker, asked.uid)
    _must_be_admitted(tx, asker, pending, reconsideration.missing(tx, decision, asked))
    approvals.put(tx, Said(asked.uid, asker.principal.uid, asker.principal.name, Verdict.APPROVED, tx.now, note))
    lacking = reconsideration.missing(tx, decision, asked)
    if not lacking:
        _begin(tx, pending)
    asked_next = reconsideration.approvers(tx, lacking, asked)
    told = {} if most is None else {"shortenedTo": str(most)}
    facts = {**told, "note": note, "missing": reconsideration.describe(lacking), "approvers": asked_next}
    return _told(tx, asker, given, Operation.APPROVE, Outcome.ACCEPTED if lacking else Outcome.SUCCEEDED, facts)


def _deny(tx: Tx, asker: Asker, uid: str, note: str) -> RequestView:
    given, pending = _undecided(tx, asker, uid)
    asked = given[0].asked
    if not _could_decide(asker, pending, reconsideration.decide_again(tx, pending)):
        raise Forbidden(_not_asked(asked.uid))
    approvals.put(tx, Said(asked.uid, asker.principal.uid, asker.principal.name, Verdict.DENIED, tx.now, note))
    detail = f"{asker.principal.name} denied it" + (f": {note}" if note else "")
    closed = close_all(tx, [one.grant for one in pending], CloseReason.DENIED, detail)
    return _told(tx, asker, given, Operation.DENY, Outcome.SUCCEEDED, {"note": note, "grants": closed})


def _undecided(tx: Tx, asker: Asker, uid: str) -> tuple[list[Granted], list[Granted]]:
    """A request that still waits, and its grants that do. Raises NotFound, Forbidden, Conflict."""
    given = find(tx, asker, uid)
    asked = given[0].asked
    if asked.principal == asker.principal.uid:
        raise Forbidden("Nobody decides their own request: somebody else has to. You can withdraw it.")
    pending = [one for one in given if one.grant.state is State.PENDING]
    if not pending:
        raise Conflict(f"{_what_became(given)} It is decided already.")
    if any(_is_over(end, tx.now) for one in pending for end in (one.grant.wait_until, one.grant.end)):
        raise Conflict(f"Request {asked.uid[:8]} has waited too long. {asked.requestor} has to ask again.")
    return given, pending


def _shorten(tx: Tx, asker: Asker, pending: Sequence[Granted], most: Duration) -> list[Granted]:
    """The grants that wait, none longer than an approver will have it. Raises Invalid for more than was asked for."""
    start = pending[0].asked.start
    begins = start if start is not None and start > tx.now else tx.now
    spans = shortening.shorten([one.grant.span for one in pending], most, begins)
    return [
        one if span == one.grant.span else _shortened(tx, asker, one, span, begins)
        for one, span in zip(pending, spans, strict=True)
    ]


def _shortened(tx: Tx, asker: Asker, one: Granted, span: Span, begins: datetime) -> Granted:
    before, after = (describe(each.end_from(begins) - begins) for each in (one.grant.span, span))
    detail = f"{asker.principal.name} shortened it from {before} to {after}"
    return replace(one, grant=approvals.shorten(tx, one.grant, span, detail), detail=detail)


def _is_over(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


def _decision(tx: Tx, pending: Sequence[Granted]) -> Decision:
    """The decision as it would be made now. Raises Conflict when it would be no."""
    decision = reconsideration.decide_again(tx, pending)
    if isinstance(decision, Denied):
        why = " ".join(map(str, decision.reasons))
        raise Conflict(f"What {pending[0].asked.requestor} asked for would not be granted any more: {why}")
    return decision


def _must_be_new(tx: Tx, asker: Asker, request: str) -> None:
    if any(said.principal == asker.principal.uid for said in approvals.of(tx, [request])[request]):
        raise Conflict("You have approved this request already; it waits for others.")


def _must_be_admitted(tx: Tx, asker: Asker, pending: Sequence[Granted], lacking: Sequence[Missing]) -> None:
    """Raise unless the asker may decide a step that the request has come to."""
    asked = pending[0].asked
    if not lacking:
        for one in pending:
            require(asker, roles.APPROVE, one.machine_id)
        return
    if any(one.step.admits(asker.principal, one.need.machine, asked.at, tx.now) for one in lacking):
        return
    if any(_could_ever(asker, one.need) for one in lacking):
        raise Conflict(f"It is not for you to approve now. It waits for: {reconsideration.describe(lacking)}.")
    raise Forbidden(_not_asked(asked.uid))


def _not_asked(uid: str) -> str:
    return f"You are not among those who decide request {uid[:8]}; that takes {roles.APPROVE} and its guardrails' word."


def _begin(tx: Tx, pending: Sequence[Granted]) -> None:
    """Everybody has agreed: open it, or let it wait for its start. A duration begins to run as it opens."""
    for one in pending:
        grant = one.grant
        if grant.start is not None and grant.start > tx.now:
            grants.move(tx, [Move(grant, State.SCHEDULED, tx.now)])
            scopes.hasten(tx, grant.scope, grant.start)
        else:
            grants.move(tx, [Move(grant, State.OPENING, tx.now, end=grant.span.end_from(tx.now))])
            grants.supersede(tx, grant)
            scopes.wake(tx, grant.scope)


def waiting_view(tx: Tx, asker: Asker, given: Sequence[Granted]) -> WaitingView | None:
    """A request that waits, as its approvers see it; None for who is not one of them."""
    pending = [one for one in given if one.grant.state is State.PENDING]
    if not pending or pending[0].asked.principal == asker.principal.uid:
        return None
    decision = reconsideration.decide_again(tx, pending)
    if not _could_decide(asker, pending, decision):
        return None
    asked = pending[0].asked
    lacking = reconsideration.missing(tx, decision, asked)
    view = _view(tx, given)
    has_said = any(one.principal == asker.principal.uid for one in view.said)
    is_asked = any(one.step.admits(asker.principal, one.need.machine, asked.at, tx.now) for one in lacking)
    # What nobody has to agree to any more needs one word all the same.
    now = is_asked or not (lacking or isinstance(decision, Denied))
    is_mine = now and not has_said and not why_not_another(tx, asker, asked.principal, asked.at)
    why = " ".join(map(str, decision.reasons)) if isinstance(decision, Denied) else ""
    return WaitingView(view, reconsideration.describe(lacking), pending[0].grant.wait_until, is_mine, why)


def _could_decide(asker: Asker, pending: Iterable[Granted], decision: Decision) -> bool:
    """Whether somebody is among those who may decide, now or at a later step."""
    if isinstance(decision, NeedsApproval):
        return any(_could_ever(asker, need) for need in decision.needs)
    return all(asker.principal.may(roles.APPROVE, one.machine_id) for one in pending)


def _could_ever(asker: Asker, need: Need) -> bool:
    return any(step.could_ever_admit(asker.principal, need.machine) for step in need.steps)


def _may_know(tx: Tx, asker: Asker, given: Sequence[Granted]) -> bool:
    if all(may_read(asker, one) for one in given):
        return True
    said = approvals.of(tx, [given[0].asked.uid])[given[0].asked.uid]
    is_good = all(asker.principal.can_use(roles.APPROVE, one.machine_id) for one in given)
    if is_good and any(one.principal == asker.principal.uid for one in said):
        return True
    # Also once it is decided: whoever was asked learns what became of it.
    return given[0].asked.approvals > 0 and _could_decide(asker, given, reconsideration.decide_again(tx, given))


def _what_became(given: Sequence[Granted]) -> str:
    states = {f"{one.grant.state}" + (f" ({one.grant.reason})" if one.grant.reason else "") for one in given}
    return f"Request {given[0].asked.uid[:8]} is {', '.join(sorted(states))}."


def _told(
    tx: Tx, asker: Asker, given: Sequence[Granted], operation: Operation, outcome: Outcome, facts: Mapping[str, object]
) -> RequestView:
    """Put it on record, and show the request as it is now."""
    asked = given[0].asked
    facts = {"request": asked.uid, "requestor": asked.requestor, **facts}
    told = [event(asker, operation, outcome, machine, facts) for machine in dict.fromkeys(g.machine_id for g in given)]
    audit.record(tx, told)
    return _view(tx, requests.get(tx, asked.uid))


def _view(tx: Tx, given: Sequence[Granted]) -> RequestView:
    uid = given[0].asked.uid
    return replace(presentation.requests(tx, given)[0], said=tuple(approvals.of(tx, [uid])[uid]))


def _check_note(note: str) -> None:
    if len(note) > LONGEST_NOTE:
        raise Invalid("note", f"the note has {len(note)} characters", allowed=f"at most {LONGEST_NOTE}")
