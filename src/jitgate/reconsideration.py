"""Whether what was asked for would be granted now: asked again at approval, and when a scheduled start comes.

Rights, policies, guardrails, freezes and approvers may all have changed since. It is the same decision as the first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from jitgate.core import approval
from jitgate.core.access import Ask, CloseReason, MachineAsk, PortAsk, Span, State
from jitgate.core.approval import Approval, Missing
from jitgate.core.checks import NO_RIGHT
from jitgate.core.decide import Allowed, Decision, Denied, decide, nothing_to_move
from jitgate.core.errors import Reason
from jitgate.core.machine import Machine
from jitgate.core.prefixes import Prefix
from jitgate.core.progress import Move
from jitgate.core.resource_id import parse_machine_id
from jitgate.core.roles import APPROVE, Kind, Principal
from jitgate.identity.kinds import JOIN
from jitgate.store import (
    approvals,
    freezes,
    grants,
    guardrails,
    machines,
    plans,
    policies,
    principals,
    requests,
    roles,
    tenure,
)
from jitgate.store.approvals import Verdict
from jitgate.store.database import Tx
from jitgate.store.requests import Asked, Granted

MOST_APPROVERS_TOLD = 50
"""So many are named on record as asked; all of them find it in their inbox."""


def check(tx: Tx, move: Move) -> Move:
    """The same move, or for a scheduled start that may not open any more, one that closes the grant."""
    if move.state is not State.OPENING:
        return move
    why = _why_not_start(tx, move)
    return replace(move, state=State.CLOSED, reason=CloseReason.REVOKED, end=None, detail=why) if why else move


def decide_again(tx: Tx, given: Sequence[Granted], spans: Mapping[str, Span | None] | None = None) -> Decision:
    """The decision on grants of one request, as it would be made now.

    `spans`  by grant, where it is not what was asked for; None: as long as it may be
    """
    asked = given[0].asked
    requester = principals.load(tx, asked.principal)
    if requester is None:
        return Denied((Reason(NO_RIGHT, "", f"{asked.requestor} is disabled"),))
    found = machines.present(tx, list({one.grant.machine for one in given}))
    present = {machine.uuid: machine for machine in plans.gated(tx, found.values())}
    if gone := next((one for one in given if one.grant.machine not in present), None):
        return Denied((Reason("VirtualMachineNotFound", "", f"{gone.machine_id} is gone"),))
    if over := _moved_from_what_is_over(tx, given):
        return nothing_to_move(over)
    return _decide(tx, _ask(tx, given, present, spans or {}), list(present.values()), requester)


def _moved_from_what_is_over(tx: Tx, given: Sequence[Granted]) -> str | None:
    """A grant (by uid) that one of these would move, and that somebody or something has closed meanwhile."""
    waiting = [one.grant for one in given if one.grant.state is State.PENDING]
    moved = [grant.moved_from for grant in waiting if grant.moved_from]
    found = grants.get(tx, moved)
    return next((uid for uid in moved if uid not in found or not found[uid].state.is_live), None)


def standing(tx: Tx, request: str) -> list[Approval]:
    """The approvals of a request by people who are still there, and not frozen, with the rights that they hold now."""
    said = [one for one in approvals.of(tx, [request])[request] if one.verdict is Verdict.APPROVED]
    known = principals.get_many(tx, [one.principal for one in said]) if said else {}
    said = [one for one in said if known[one.principal].kind is Kind.USER]
    found = [(one, principals.load(tx, one.principal)) for one in said if not freezes.of_person(tx, one.principal)]
    return [Approval(by, one.at) for one, by in found if by is not None]


def behind(tx: Tx, uid: str, at: datetime) -> set[str]:
    """Whose request it is that somebody made at a moment: theirs, and of a program also its secrets' makers', by uid.

    Who made the credentials of a program is known of its secrets only.
    """
    account = principals.get_many(tx, [uid]).get(uid)
    is_person = account is not None and account.kind is Kind.USER
    makers = set() if is_person else tenure.makers(tx, uid, at, but=JOIN)
    return {uid} | {maker for maker in makers if maker}


def missing(tx: Tx, decision: Decision, asked: Asked) -> list[Missing]:
    """What a request still lacks of the approvals that a decision on it asks for."""
    if isinstance(decision, (Allowed, Denied)):
        return []
    return approval.missing(decision.needs, standing(tx, asked.uid), asked.at)


def approvers(tx: Tx, lacking: Sequence[Missing], asked: Asked) -> list[dict[str, str]]:
    """Whom to ask: those who may decide a step that a request has come to, for the record and those told from it."""
    own = behind(tx, asked.principal, asked.at) if lacking else set()
    found = [
        one
        for one in (roles.people_who_may(tx, APPROVE) if lacking else ())
        if one.uid not in own and any(need.step.asks(one, need.need.machine, asked.at, tx.now) for need in lacking)
    ]
    return [{"principal": one.uid, "name": one.name} for one in found[:MOST_APPROVERS_TOLD]]


def everybody_who_approves(tx: Tx, machine_ids: Iterable[str], but: str) -> list[dict[str, str]]:
    """Everybody who could approve for one of these machines, but the one with that uid."""
    places = list(machine_ids)
    found = [
        one
        for one in roles.people_who_may(tx, APPROVE)
        if one.uid != but and any(one.may(APPROVE, place) for place in places)
    ]
    return [{"principal": one.uid, "name": one.name} for one in found[:MOST_APPROVERS_TOLD]]


def _why_not_start(tx: Tx, move: Move) -> str:
    [given] = requests.of_grants(tx, [move.grant.uid])
    decision = decide_again(tx, [given], {move.grant.uid: Span(end=move.end)})
    if isinstance(decision, Denied):
        return "it would not be granted any more: " + " ".join(map(str, decision.reasons))
    lacking = missing(tx, decision, given.asked)
    return f"it lacks approval: {describe(lacking)}" if lacking else ""


def describe(lacking: Sequence[Missing]) -> str:
    """What is missing, for people."""
    return "; ".join(
        f"{one.approvals} more for {one.need.machine.name} by {_whom(one)} (guardrail {one.need.guardrail}, "
        f"step {one.number} of {len(one.need.steps)})"
        for one in lacking
    )


def _whom(lacking: Missing) -> str:
    return " or ".join(map(str, lacking.step.approvers)) or "anybody with the right"


def _decide(tx: Tx, ask: Ask, present: Sequence[Machine], requester: Principal) -> Decision:
    keys = [machine.key for machine in present]
    covering = [policy for _, policy in policies.covering(tx, keys)]
    over = freezes.over(tx, requester.uid, [machine.id for machine in present])
    known = {machine.key: machine for machine in present}
    return decide(ask, covering, known, guardrails.list_all(tx), requester, tx.now, over)


def _ask(tx: Tx, given: Sequence[Granted], present: Mapping[str, Machine], spans: Mapping[str, Span | None]) -> Ask:
    asked = given[0].asked
    ports: dict[str, list[PortAsk]] = {}
    for one in given:
        span = spans.get(one.grant.uid, one.grant.span)
        port = PortAsk(one.grant.port, one.grant.sources, span, one.grant.protocol)
        ports.setdefault(one.grant.machine, []).append(port)
    wanted = tuple(
        MachineAsk(parse_machine_id(present[machine].id, "machine"), tuple(asks)) for machine, asks in ports.items()
    )
    caller = Prefix(asked.caller) if asked.caller else None
    return Ask(wanted, asked.justification, caller, _start(asked.start, tx.now))


def _start(start: datetime | None, now: datetime) -> datetime | None:
    """A start that lies ahead; one that has come is now."""
    return start if start is not None and start > now else None
