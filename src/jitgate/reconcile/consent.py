"""What a pass would alter of what others made: on record with its original before it is done, and only with consent.

Level, not edge: a connector plans every alteration that a scope needs, whether it stands or not. What is planned and
unknown is proposed; what is agreed to is carried out, and again when another hand has undone it; what no scope needs
any longer is put back.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.connectors.base import ConnectorError, Plan, Report
from jitgate.core.alteration import Alteration, Stage
from jitgate.core.desired import Desired
from jitgate.reconcile import claim
from jitgate.reconcile.claim import Pass
from jitgate.store import alterations, previews
from jitgate.store.alterations import Kept
from jitgate.store.database import Tx
from jitgate.store.previews import Preview

GUARDRAIL = "a guardrail"
"""Who agrees where a guardrail demands enforcement and nobody else is concerned."""


def settle(tx: Tx, begun: Pass, plan: Plan) -> Plan:
    """Put on record what a plan would alter, and leave in it what somebody has agreed to.

    Raises ConnectorError, if another pass has begun meanwhile.
    """
    if not claim.is_current(tx, begun):
        raise ConnectorError("the pass took too long")
    needed = {each.key: each for each in plan.alterations}
    for kept in alterations.needed_by(tx, begun.scope):
        if kept.key not in needed:
            _let_go(tx, begun, kept)
    known = alterations.get_many(tx, begun.connector, needed)
    for key, alteration in needed.items():
        _need(tx, begun, alteration, known.get(key))
    held = alterations.needed_by(tx, begun.scope)
    return replace(
        plan,
        alterations=[kept.alteration for kept in held if kept.stage.is_agreed],
        waiting=[kept.alteration for kept in held if kept.stage is Stage.PROPOSED],
        restorations=[kept.alteration for kept in alterations.to_restore(tx, begun.scope)],
    )


def take_in(tx: Tx, begun: Pass, report: Report) -> bool:
    """What the firewall said of alterations. True: some of what the scope needs waits for consent."""
    if not begun.desired.complete:
        return False
    held = alterations.needed_by(tx, begun.scope)
    for kept in held:
        if kept.stage is Stage.AGREED and kept.key in report.altered:
            alterations.advance(tx, kept, Stage.ALTERED, kept.scope)
            _record(tx, begun, Operation.ALTERATION_DONE, Outcome.SUCCEEDED, kept.alteration)
    for kept in alterations.to_restore(tx, begun.scope):
        if kept.key in report.restored:
            alterations.forget(tx, kept)
            _record(tx, begun, Operation.ALTERATION_RESTORE, Outcome.SUCCEEDED, kept.alteration)
    return any(kept.stage is Stage.PROPOSED for kept in held)


def answer(tx: Tx, asked: Preview, plan: Plan | None, error: str) -> None:
    """Tell whoever asked what was planned, or why nothing could be."""
    if plan is None:
        previews.answer(tx, asked.uid, (), (), error)
        return
    steps = [(step.verb, step.what) for step in plan.steps]
    previews.answer(tx, asked.uid, steps, plan.alterations)


def _need(tx: Tx, begun: Pass, alteration: Alteration, known: Kept | None) -> None:
    """The scope needs an alteration. What nobody agreed to in just these words has to be agreed to anew."""
    if known is not None and known.stage is Stage.RESTORING:
        return  # Once it is as it was, it is found again.
    is_changed = known is None or (known.stage is not Stage.ALTERED and known.alteration != alteration)
    if is_changed:
        alterations.put(tx, begun.connector, begun.scope, alteration, known)
    alterations.need(tx, begun.scope, begun.connector, alteration.key)
    if not is_changed:
        return
    _record(tx, begun, Operation.ALTERATION_PROPOSED, Outcome.ACCEPTED, alteration)
    if _is_demanded(begun.desired, alteration):
        found = alterations.get_many(tx, begun.connector, [alteration.key])
        alterations.agree(tx, found.values(), GUARDRAIL)
        _record(tx, begun, Operation.ALTERATION_AGREE, Outcome.SUCCEEDED, alteration, by=GUARDRAIL)


def _is_demanded(desired: Desired, alteration: Alteration) -> bool:
    """Whether guardrails demand that these ports are shut, and it is nobody else's matter."""
    is_private = len(alteration.concerns) <= 1
    demanded = {str(port) for port, protection in desired.protected.items() if protection.enforce}
    return is_private and bool(alteration.ports) and demanded.issuperset(alteration.ports)


def _let_go(tx: Tx, begun: Pass, kept: Kept) -> None:
    """The scope needs an alteration no longer. The last one to do so puts the original back."""
    if not alterations.need_no_longer(tx, begun.scope, kept):
        return
    if not kept.stage.is_agreed:
        alterations.forget(tx, kept)
        return
    alterations.advance(tx, kept, Stage.RESTORING, begun.scope)
    _record(tx, begun, Operation.ALTERATION_RESTORE, Outcome.STARTED, kept.alteration)


def _record(tx: Tx, begun: Pass, operation: Operation, outcome: Outcome, alteration: Alteration, **more: Any) -> None:
    properties: Mapping[str, Any] = {**audit.altered(alteration), **more}
    audit.record(tx, [Event(operation, outcome, begun.scope, correlation=begun.correlation, properties=properties)])
