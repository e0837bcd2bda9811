"""Asking for access."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any

from jitgate import audit, reconsideration
from jitgate.audit import Event, Operation, Outcome
from jitgate.core import roles
from jitgate.core.access import Ask, Grant, State, Terms, check_ask
from jitgate.core.decide import (
    Allowed,
    Decision,
    Denied,
    NeedsApproval,
    decide,
    unless_nobody_can_agree,
    unless_too_many_wait,
)
from jitgate.core.eligibility import may_initiate
from jitgate.core.errors import Forbidden, NotFound, Reason, Refused
from jitgate.core.machine import Machine
from jitgate.core.policy import Policy
from jitgate.core.resource_id import PolicyId
from jitgate.service import presentation
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service
from jitgate.service.presentation import Around
from jitgate.service.views import RequestView
from jitgate.store import (
    approvals,
    freezes,
    grants,
    guardrails,
    machines,
    networks,
    plans,
    policies,
    requests,
    reviews,
    scopes,
)
from jitgate.store import roles as role_rows
from jitgate.store.database import Tx
from jitgate.store.requests import Asked, Granted

_RIGHT = f"a role that holds {roles.INITIATE} at a policy of the machine"


async def initiate(service: Service, asker: Asker, id: PolicyId, ask: Ask) -> RequestView:
    """Ask under one policy, as the contract does: all of it is granted, or nothing.

    Raises Invalid, Forbidden, NotFound (``PolicyNotFound``) and Refused, whose reasons name each failing
    field and what would be allowed.
    """
    check_ask(ask)

    def work(tx: Tx) -> RequestView:
        _require_initiate(asker, id, ask)
        found = policies.for_machines(tx, id.key, _machine_keys(ask))
        if found is None or not all(found[1].machine(key) for key in _machine_keys(ask)):
            # Whose right is at a machine is told nothing of policies without that machine.
            require(asker, roles.INITIATE, id.text)
        if found is None:
            raise policy_not_found(id)
        if hidden := _hidden(asker, ask, [found]):
            raise Forbidden(str(hidden[0]))
        return grant(tx, asker, ask, [found])

    return await attempt(service, asker, Operation.REQUEST, id.text, work)


async def request_access(service: Service, asker: Asker, ask: Ask) -> RequestView:
    """Ask under whichever policies cover the machines.

    Raises Invalid, Forbidden and Refused.
    """
    check_ask(ask)

    def work(tx: Tx) -> RequestView:
        covering = policies.covering(tx, _machine_keys(ask))
        if hidden := _hidden(asker, ask, covering):
            raise Forbidden(str(hidden[0]))
        return grant(tx, asker, ask, covering)

    return await attempt(service, asker, _operation(ask), ask.machines[0].id.text, work)


async def explain(service: Service, asker: Asker, ask: Ask) -> Decision:
    """What asking would be answered, and why. Changes nothing. Raises Invalid."""
    check_ask(ask)

    def work(tx: Tx) -> Decision:
        covering = policies.covering(tx, _machine_keys(ask))
        if hidden := _hidden(asker, ask, covering):
            return Denied(hidden)
        return _decide(tx, asker, ask, covering)[0]

    return await service.store.read(work)


async def get_request(service: Service, asker: Asker, uid: str) -> RequestView:
    """One request, as far as the asker may read it. Raises NotFound, also where that is nothing."""

    def work(tx: Tx) -> RequestView:
        given = [one for one in requests.get(tx, uid) if may_read(asker, one)]
        if not given:
            raise NotFound(f"There is no request {uid}. `jitgate ls --all` lists what was asked for.")
        return replace(presentation.requests(tx, given)[0], said=tuple(approvals.of(tx, [uid])[uid]))

    return await service.store.read(work)


def may_read(asker: Asker, given: Granted) -> bool:
    """One's own, or with the right to read policies at the machine, or above it."""
    return is_own(asker, given) or asker.principal.may(roles.READ_POLICY, given.machine_id)


def is_own(asker: Asker, given: Granted) -> bool:
    """Whether the asker asked for it, and the credential that they ask with now is good for seeing it."""
    principal = asker.principal
    return given.asked.principal == principal.uid and principal.can_use(roles.READ_POLICY, given.machine_id)


async def is_about_own(service: Service, asker: Asker, facts: Mapping[str, Any]) -> bool:
    """Whether an event's facts name a request or grant of the asker's own."""
    request, grant = facts.get("request"), facts.get("grant")

    def work(tx: Tx) -> bool:
        given = requests.get(tx, str(request)) if request else requests.of_grants(tx, [str(grant)])
        return any(is_own(asker, one) for one in given)

    return bool(request or grant) and await service.store.read(work)


def policy_not_found(id: PolicyId) -> NotFound:
    """What is said of a policy that does not exist."""
    return NotFound(
        f"There is no policy {id.name!r} in resource group {id.resource_group!r} at {id.location!r}. "
        "Create it with PUT, or list the policies to see their names.",
        code="PolicyNotFound",
    )


def decision_on(
    tx: Tx, asker: Asker, ask: Ask, covering: Sequence[tuple[str, Policy]]
) -> tuple[Allowed | NeedsApproval, dict[str, Machine]]:
    """The decision on an ask. Raises Forbidden or Refused when it is no."""
    decision, known = _decide(tx, asker, ask, covering)
    if not isinstance(decision, Denied):
        return decision, known
    for reason in decision.reasons:
        if reason.code == "AuthorizationFailed":
            raise Forbidden(str(reason))
    raise Refused(decision.reasons)


def make_grant(terms: Terms, state: State, request: str, asker: Asker, tx: Tx) -> Grant:
    """The grant that a decision's terms become. A duration begins to run when the grant begins to open."""
    opens_now = state is State.OPENING
    return Grant(
        uid=token_hex(16),
        request=request,
        principal=asker.principal.uid,
        machine=terms.machine,
        scope=terms.scope,
        port=terms.port,
        protocol=terms.protocol,
        sources=terms.sources,
        session=terms.session,
        state=state,
        asked_at=tx.now,
        since=tx.now,
        end=terms.span.end_from(tx.now) if opens_now else terms.span.end,
        duration=terms.span.duration,
    )


def _require_initiate(asker: Asker, id: PolicyId, ask: Ask) -> None:
    """The right to ask, at the policy or at every machine. Raises Forbidden."""
    if not all(may_initiate(asker.principal, id.text, machine.id.text) for machine in ask.machines):
        require(asker, roles.INITIATE, id.text)


def _hidden(asker: Asker, ask: Ask, covering: Sequence[tuple[str, Policy]]) -> tuple[Reason, ...]:
    """One reason for each machine that the asker may not even know of, the same whether it exists or not."""
    return tuple(
        Reason("AuthorizationFailed", f"{machine.field}.id", f"you may not ask for {machine.id.text}", _RIGHT)
        for machine in ask.machines
        if not asker.principal.may(roles.READ_MACHINE, machine.id.text)
        and not any(
            may_initiate(asker.principal, policy.id.text, machine.id.text)
            for _, policy in covering
            if policy.machine(machine.id.key) is not None
        )
    )


def _decide(
    tx: Tx, asker: Asker, ask: Ask, covering: Sequence[tuple[str, Policy]]
) -> tuple[Decision, dict[str, Machine]]:
    present, gate = machines.ask_by_keys(tx, _machine_keys(ask)), plans.ask_gate(tx)
    rails, frozen = guardrails.ask_all(tx), freezes.ask_over(tx)
    known = {one.key: one for one in gate(present().values())}
    over = frozen(asker.principal.uid, [machine.id for machine in known.values()])
    decision = decide(ask, [policy for _, policy in covering], known, rails(), asker.principal, tx.now, over)
    if isinstance(decision, NeedsApproval):
        own = reconsideration.behind(tx, asker.principal.uid, tx.now)
        others = [one for one in role_rows.people_who_may(tx, roles.APPROVE) if one.uid not in own]
        decision = unless_nobody_can_agree(decision, others)
        decision = unless_too_many_wait(decision, approvals.count_of(tx, asker.principal.uid))
    return decision, known


def grant(tx: Tx, asker: Asker, ask: Ask, covering: Sequence[tuple[str, Policy]]) -> RequestView:
    """Grant what was asked for, or let it wait for approval, on record. Raises Forbidden or Refused."""
    decision, known = decision_on(tx, asker, ask, covering)
    uids = {policy.id.key: uid for uid, policy in covering}
    asked = _asked(tx, asker, ask, decision)
    by_uuid = {machine.uuid: machine for machine in known.values()}
    texts = {machine.uuid: m.id.text for m in ask.machines for machine in [known[m.id.key]]}
    given = [
        _granted(tx, asker, ask, decision, asked, position, terms, uids[terms.policy], texts[terms.machine])
        for position, terms in enumerate(decision.terms)
    ]
    requests.add(tx, asked, given)
    if ask.break_glass:
        reviews.open_for(tx, asked.uid)
    for scope in {one.grant.scope for one in given}:
        scopes.wake(tx, scope)
    for one in given:
        if one.grant.state is State.OPENING:
            grants.supersede(tx, one.grant)
    told = _whom_to_tell(tx, decision, asked, ask, texts)
    audit.record(tx, _accepted(asker, ask, asked, given, told))
    return presentation.request(given, Around(by_uuid, {}, networks.known(tx)))


def _asked(tx: Tx, asker: Asker, ask: Ask, decision: Allowed | NeedsApproval) -> Asked:
    return Asked(
        uid=token_hex(16),
        principal=asker.principal.uid,
        requestor=asker.principal.name,
        justification=ask.justification,
        caller=asker.address,
        credential=asker.credential,
        at=tx.now,
        start=ask.start,
        approvals=decision.approvals if isinstance(decision, NeedsApproval) else 0,
    )


def _granted(
    tx: Tx,
    asker: Asker,
    ask: Ask,
    decision: Allowed | NeedsApproval,
    asked: Asked,
    position: int,
    terms: Terms,
    policy: str,
    machine_id: str,
) -> Granted:
    grant = make_grant(terms, _first_state(tx, ask, decision), asked.uid, asker, tx)
    wait_until = tx.now + decision.wait if isinstance(decision, NeedsApproval) else None
    return Granted(
        grant=replace(grant, start=ask.start, wait_until=wait_until, moved_from=ask.moved_from),
        at=tx.now,
        asked=asked,
        position=position,
        policy=policy,
        machine_id=machine_id,
        source_texts=terms.ask.source_texts,
        detail=terms.remark,
    )


def _first_state(tx: Tx, ask: Ask, decision: Allowed | NeedsApproval) -> State:
    if isinstance(decision, NeedsApproval):
        return State.PENDING
    if ask.start is not None and ask.start > tx.now:
        return State.SCHEDULED
    return State.OPENING


def _whom_to_tell(
    tx: Tx, decision: Allowed | NeedsApproval, asked: Asked, ask: Ask, machine_ids: Mapping[str, str]
) -> list[dict[str, str]]:
    """Those who have to agree; of what breaks the glass, everybody who would have had to."""
    if ask.break_glass:
        return reconsideration.everybody_who_approves(tx, machine_ids.values(), but=asked.principal)
    return reconsideration.approvers(tx, reconsideration.missing(tx, decision, asked), asked)


def _operation(ask: Ask) -> Operation:
    return Operation.BREAK_GLASS if ask.break_glass else Operation.REQUEST


def _accepted(
    asker: Asker,
    ask: Ask,
    asked: Asked,
    given: Sequence[Granted],
    approvers: Sequence[Mapping[str, str]],
) -> list[Event]:
    """One event a machine, so that each machine's record tells of it."""
    told: dict[str, list[Mapping[str, Any]]] = {}
    for one in given:
        told.setdefault(one.machine_id, []).append(_told(one.grant))
    properties = {
        **({"approvers": list(approvers)} if approvers else {}),
        "request": asked.uid,
        "justification": asked.justification,
        **({"movedFrom": ask.moved_from} if ask.moved_from else {}),
    }
    return [
        event(asker, _operation(ask), Outcome.ACCEPTED, machine_id, {**properties, "grants": here})
        for machine_id, here in told.items()
    ]


def _told(grant: Grant) -> Mapping[str, Any]:
    """A grant, as the record tells of it."""
    return {
        "grant": grant.uid,
        "port": grant.port,
        "protocol": str(grant.protocol),
        "sources": list(grant.sources),
        "state": str(grant.state),
        "endTimeUtc": grant.end.isoformat(timespec="milliseconds") if grant.end else None,
    }


def _machine_keys(ask: Ask) -> list[str]:
    return [machine.id.key for machine in ask.machines]
