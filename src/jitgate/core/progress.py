"""How grants move: by time, and by what is reported to stand. Nothing else moves a grant to open or closed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jitgate.core.access import CloseReason, Grant, State
from jitgate.core.desired import AccessKey, Desired

OPENING_MAY_TAKE = timedelta(minutes=15)
"""How long an opening is tried before it is given up and shut. An Azure Firewall takes up to five minutes."""


class Standing(Protocol):
    """The part of a firewall's report that decides: what stands, what is proven shut, what cannot be opened."""

    @property
    def standing(self) -> Mapping[AccessKey, datetime]:
        """Keys that are open, with the end (UTC) that the firewall will act on."""
        ...

    @property
    def shut(self) -> frozenset[AccessKey]:
        """Keys that were asked about and are not open."""
        ...

    @property
    def refused(self) -> Mapping[AccessKey, str]:
        """Keys that cannot be opened, and why."""
        ...

    @property
    def complete(self) -> bool:
        """Whether every key that does not stand is shut."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """A grant's next state. `end` is set when a duration begins to run."""

    grant: Grant
    state: State
    at: datetime
    reason: CloseReason | None = None
    end: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a report means: moves, and grants whose changed end now stands."""

    moves: tuple[Move, ...]
    settled: tuple[Grant, ...]


def due(grant: Grant, now: datetime) -> Move | None:
    """The move that time alone demands, or None."""
    if grant.state is State.PENDING and _reached(grant.wait_until, now):
        return Move(grant, State.CLOSED, now, CloseReason.APPROVAL_TIMED_OUT)
    if grant.state is State.PENDING and _reached(grant.end, now):
        return Move(grant, State.CLOSED, now, CloseReason.APPROVAL_TIMED_OUT)
    if grant.state is State.SCHEDULED:
        return _start(grant, now)
    if grant.state.is_live and _reached(grant.end, now):
        return Move(grant, State.CLOSING, now, CloseReason.EXPIRED)
    return None


def due_at(grant: Grant) -> datetime | None:
    """When `due` will next have something to say."""
    if grant.state is State.PENDING:
        return min((t for t in (grant.wait_until, grant.end) if t), default=None)
    if grant.state is State.SCHEDULED:
        return min((t for t in (grant.start, grant.end) if t), default=None)
    return grant.end if grant.state.is_live else None


def progress(grants: Iterable[Grant], desired: Desired, report: Standing, now: datetime) -> Progress:
    """What a report of `desired` means for the grants that had changed."""
    moves: list[Move] = []
    settled: list[Grant] = []
    for grant in grants:
        move = _move(grant, desired, report, now)
        if move is not None:
            moves.append(move)
        elif grant.state is State.OPEN and _stands(grant, report) and not _outlasts(grant, desired, report):
            settled.append(grant)
    return Progress(tuple(moves), tuple(settled))


def gives_up(grant: Grant, now: datetime, detail: str) -> Move | None:
    """Shut an opening that has failed for too long; None while it is worth trying."""
    if grant.state is State.OPENING and now - grant.since > OPENING_MAY_TAKE:
        return Move(grant, State.CLOSING, now, CloseReason.FAILED, detail=detail)
    return None


def fails(grant: Grant, now: datetime, detail: str) -> Move | None:
    """Shut an opening that the firewall refuses for good."""
    if grant.state is not State.OPENING:
        return None
    return Move(grant, State.CLOSING, now, CloseReason.FAILED, detail=detail)


def _move(grant: Grant, desired: Desired, report: Standing, now: datetime) -> Move | None:
    if grant.state.is_live:
        refused = next((report.refused[key] for key in grant.keys() if key in report.refused), None)
        if refused is not None:
            return Move(grant, State.CLOSING, now, CloseReason.FAILED, detail=refused)
    if grant.state is State.OPENING:
        return Move(grant, State.OPEN, now) if _stands(grant, report) else None
    if grant.state is State.CLOSING and _is_shut(grant, desired, report):
        return Move(grant, State.CLOSED, now, grant.reason)
    return None


def _stands(grant: Grant, report: Standing) -> bool:
    end = grant.end
    return end is not None and all(
        (stands := report.standing.get(key)) is not None and stands >= end for key in grant.keys()
    )


def _outlasts(grant: Grant, desired: Desired, report: Standing) -> bool:
    """Whether a key stands longer than any grant wants it: an end that was made earlier has not yet arrived."""
    wanted = {key: desired.access.get(key) for key in grant.keys()}
    return any(end is None or report.standing[key] > end for key, end in wanted.items())


def _is_shut(grant: Grant, desired: Desired, report: Standing) -> bool:
    """Whether nothing of the grant is left: each key is proven shut, or open only as long as others want it."""
    return all(_key_is_shut(key, desired.access.get(key), report) for key in grant.keys())


def _key_is_shut(key: AccessKey, wanted: datetime | None, report: Standing) -> bool:
    stands = report.standing.get(key)
    if stands is None:
        return report.complete or key in report.shut
    return wanted is not None and stands <= wanted


def _start(grant: Grant, now: datetime) -> Move | None:
    """Open at the start. A duration counts from there, so that nothing opens later than it was meant to end."""
    if _reached(grant.end, now):
        return Move(grant, State.CLOSED, now, CloseReason.EXPIRED)
    if grant.start is None or grant.start > now:
        return None
    end = grant.span.end_from(grant.start)
    if end <= now:
        return Move(grant, State.CLOSED, now, CloseReason.EXPIRED)
    return Move(grant, State.OPENING, now, end=end)


def _reached(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
