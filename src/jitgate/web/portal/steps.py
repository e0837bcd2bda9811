"""How far a request has come: the steps of its page."""

from collections.abc import Sequence
from dataclasses import dataclass

from jitgate.core.access import CloseReason, State
from jitgate.service.views import RequestView

_NEVER_OPENED = {CloseReason.DENIED, CloseReason.WITHDRAWN, CloseReason.APPROVAL_TIMED_OUT}


@dataclass(frozen=True, slots=True)
class Step:
    """`how`: done, now, waiting or stopped."""

    how: str
    name: str


def of(view: RequestView) -> Sequence[Step]:
    """From asked to open."""
    states = [one.grant.state for one in view.grants]
    reasons = {one.grant.reason for one in view.grants} - {None}
    steps = [Step("done", "Asked")]
    if view.approvals:
        steps.append(_approval(states, reasons))
    if view.start is not None:
        steps.append(_step("Its start", states, {State.SCHEDULED}, before={State.PENDING}, stopped=_stopped(view)))
    if CloseReason.FAILED in reasons and _stopped(view):
        steps.append(Step("stopped", "The firewall opens it"))
    elif not _stopped(view):
        before = {State.PENDING, State.SCHEDULED}
        steps.append(_step("The firewall opens it", states, {State.OPENING}, before=before, stopped=False))
    steps.append(_open(view, states))
    return steps


def _approval(states: Sequence[State], reasons: set[CloseReason | None]) -> Step:
    if State.PENDING in states:
        return Step("now", "Approval by others")
    return Step("stopped" if reasons & _NEVER_OPENED else "done", "Approval by others")


def _step(name: str, states: Sequence[State], under_way: set[State], *, before: set[State], stopped: bool) -> Step:
    if under_way & set(states):
        return Step("now", name)
    if stopped or set(states) <= before:
        return Step("waiting", name)
    return Step("done", name)


def _stopped(view: RequestView) -> bool:
    """Whether nothing of it ever opened, and nothing will."""
    return all(one.grant.state.is_over and one.grant.opened_at is None for one in view.grants)


def _open(view: RequestView, states: Sequence[State]) -> Step:
    if State.OPEN in states:
        return Step("done", "Open")
    if _stopped(view):
        return Step("stopped", "Never opened")
    return Step("done", "Open, and shut again") if all(state.is_over for state in states) else Step("waiting", "Open")
