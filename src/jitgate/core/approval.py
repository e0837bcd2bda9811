"""Approval: who has to agree to a request, and what is still missing.

A guardrail asks for steps, one after the other; each step for so many approvals (N) by those whom it names (M). Every
guardrail that covers a port has its own steps, and one person's approval counts for each guardrail, but within one
guardrail for one step only. Whoever decides needs the right to approve at the machine; being named is not enough.

An approval counts for as long as whoever gave it could give it: who is disabled or loses the right takes it along.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jitgate.core import roles
from jitgate.core.errors import Invalid
from jitgate.core.machine import Machine
from jitgate.core.resource_id import key
from jitgate.core.roles import Principal
from jitgate.core.windows import MOST_WINDOWS, Window, open_until

MOST_APPROVALS = 10
MOST_STEPS = 5
MOST_APPROVERS = 50
LONGEST_NAME = 260
OWNER_TAG = "owner"
"""The tag of a machine that names its owners, separated by commas: ``alice, group:web``."""


class Kind(StrEnum):
    """What an approver is named by. OWNER: whoever owns the machine that is asked for."""

    USER = "user"
    GROUP = "group"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who may be asked: ``user:alice``, ``group:ops`` or ``owner``. Names are compared without case."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)

    def names(self, principal: Principal, machine: Machine) -> bool:
        """Whether this is, for that machine, the principal."""
        if self.kind is Kind.USER:
            return key(principal.name) == key(self.name)
        if self.kind is Kind.GROUP:
            return key(self.name) in principal.groups
        return owns(principal, machine)


@dataclass(frozen=True, slots=True)
class Step:
    """So many approvals by some of these approvers; empty: by anybody with the right.

    `escalate_after`  after so much waiting, `escalate_to` may decide as well; empty: anybody with the right
    `windows`         when they may decide; empty: always
    """

    approvals: int = 1
    approvers: tuple[Approver, ...] = ()
    escalate_after: timedelta | None = None
    escalate_to: tuple[Approver, ...] = ()
    windows: tuple[Window, ...] = ()

    def admits(self, principal: Principal, machine: Machine, asked_at: datetime, at: datetime) -> bool:
        """Whether somebody may decide this step at a moment, about a request of `asked_at`."""
        is_in_time = not self.windows or open_until(self.windows, at) is not None
        return is_in_time and self.asks(principal, machine, asked_at, at)

    def asks(self, principal: Principal, machine: Machine, asked_at: datetime, at: datetime) -> bool:
        """Whether somebody is to be told of it at a moment: as `admits`, whether their window is open or not."""
        named = _names(self.approvers, principal, machine)
        escalated = self._is_escalated(asked_at, at) and _names(self.escalate_to, principal, machine)
        return principal.may(roles.APPROVE, machine.id) and (named or escalated)

    def could_ever_admit(self, principal: Principal, machine: Machine) -> bool:
        """Whether somebody may decide this step at some time."""
        named = _names(self.approvers, principal, machine)
        escalated = self.escalate_after is not None and _names(self.escalate_to, principal, machine)
        return principal.may(roles.APPROVE, machine.id) and (named or escalated)

    def _is_escalated(self, asked_at: datetime, at: datetime) -> bool:
        return self.escalate_after is not None and at >= asked_at + self.escalate_after


@dataclass(frozen=True, slots=True)
class Need:
    """What one guardrail asks for about one machine."""

    guardrail: str
    machine: Machine
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody agreed, at a moment. `by`: with the rights that they hold now, not then."""

    by: Principal
    at: datetime


@dataclass(frozen=True, slots=True)
class Missing:
    """The step that a need has come to. `number` counts from 1; `approvals` are those that it still lacks."""

    need: Need
    number: int
    step: Step
    approvals: int


def missing(needs: Sequence[Need], given: Sequence[Approval], asked_at: datetime) -> list[Missing]:
    """For each need that is not met, the first step that lacks approvals. Empty: everybody has agreed."""
    return [found for need in needs if (found := next(_lacking(need, given, asked_at), None)) is not None]


def _lacking(need: Need, given: Sequence[Approval], asked_at: datetime) -> Iterator[Missing]:
    used: set[str] = set()
    for number, step in enumerate(need.steps, 1):
        fitting = [a for a in given if a.by.uid not in used and step.admits(a.by, need.machine, asked_at, a.at)]
        counted = fitting[: step.approvals]
        used |= {approval.by.uid for approval in counted}
        if len(counted) < step.approvals:
            yield Missing(need, number, step, step.approvals - len(counted))


def unanswerable(needs: Sequence[Need], others: Sequence[Principal]) -> Missing | None:
    """A step for which there are not enough approvers among `others`, who may not be the one who asks."""
    for need in needs:
        for number, step in enumerate(need.steps, 1):
            found = sum(step.could_ever_admit(one, need.machine) for one in others)
            if found < step.approvals:
                return Missing(need, number, step, step.approvals - found)
    return None


def owns(principal: Principal, machine: Machine) -> bool:
    """Whether somebody owns a machine: by its tag, or by the role Owner at the machine itself, not above it."""
    tag = next((value for name, value in machine.tags.items() if key(name) == OWNER_TAG), "")
    named = {key(part.strip()) for part in tag.split(",")} - {""}
    # A person may be called as a group is written, and is none.
    mine = {key(principal.name)} - {name for name in named if name.startswith("group:")}
    mine |= {f"group:{group}" for group in principal.groups}
    assigned = any(a.role.name == roles.OWNER.name and key(a.scope) == machine.key for a in principal.assignments)
    return bool(named & mine) or assigned


def parse_approver(text: str, field: str) -> Approver:
    """Read ``user:NAME``, ``group:NAME`` or ``owner``. Raises Invalid."""
    kind, colon, name = text.strip().partition(":")
    if key(kind) == Kind.OWNER and not colon:
        return Approver(Kind.OWNER)
    if key(kind) not in (Kind.USER, Kind.GROUP) or not 0 < len(name.strip()) <= LONGEST_NAME:
        raise Invalid(field, f"{text!r:.60} names no approver", allowed="user:NAME, group:NAME, or owner")
    return Approver(Kind(key(kind)), name.strip())


def check_steps(steps: Sequence[Step], field: str) -> None:
    """Refuse steps that could never be done. Raises Invalid."""
    if len(steps) > MOST_STEPS:
        raise Invalid(field, f"{len(steps)} steps are too many", allowed=f"at most {MOST_STEPS}")
    for index, step in enumerate(steps):
        _check_step(step, f"{field}[{index}]")


def is_looser(new: Sequence[Step], old: Sequence[Step]) -> bool:
    """Whether somebody could agree to a request by these steps who could not by the old ones."""
    return len(new) < len(old) or any(_is_looser(n, o) for n, o in zip(new, old, strict=False))


def _is_looser(new: Step, old: Step) -> bool:
    return (
        new.approvals < old.approvals
        or not _within(new.approvers, old.approvers)
        or _escalates_more(new, old)
        or (bool(old.windows) and new.windows != old.windows)
    )


def _escalates_more(new: Step, old: Step) -> bool:
    if new.escalate_after is None:
        return False
    if old.escalate_after is None or new.escalate_after < old.escalate_after:
        return not _within(new.escalate_to, old.approvers)
    return not _within(new.escalate_to, old.escalate_to)


def _within(new: Sequence[Approver], old: Sequence[Approver]) -> bool:
    """Whether these are some of those; nobody named stands for anybody."""
    return not old or (bool(new) and {_folded(one) for one in new} <= {_folded(one) for one in old})


def _folded(approver: Approver) -> tuple[Kind, str]:
    return approver.kind, key(approver.name)


def _names(approvers: Sequence[Approver], principal: Principal, machine: Machine) -> bool:
    return not approvers or any(approver.names(principal, machine) for approver in approvers)


def _check_step(step: Step, field: str) -> None:
    if not 1 <= step.approvals <= MOST_APPROVALS:
        raise Invalid(f"{field}.approvals", f"{step.approvals} is not accepted", allowed=f"1 to {MOST_APPROVALS}")
    if max(len(step.approvers), len(step.escalate_to)) > MOST_APPROVERS:
        raise Invalid(f"{field}.approvers", "too many approvers are named", allowed=f"at most {MOST_APPROVERS}")
    only_users = bool(step.approvers) and all(one.kind is Kind.USER for one in step.approvers)
    if only_users and len({_folded(one) for one in step.approvers}) < step.approvals and step.escalate_after is None:
        raise Invalid(
            f"{field}.approvals", "more approvals are asked for than people are named", allowed=f"{len(step.approvers)}"
        )
    if step.escalate_after is not None and step.escalate_after <= timedelta(0):
        raise Invalid(f"{field}.escalateAfter", "that is no time to wait", allowed="more than zero")
    if step.escalate_to and step.escalate_after is None:
        raise Invalid(f"{field}.escalateTo", "it is not said when", allowed="escalateAfter beside it")
    if len(step.windows) > MOST_WINDOWS:
        raise Invalid(f"{field}.windows", "too many windows", allowed=f"at most {MOST_WINDOWS}")
