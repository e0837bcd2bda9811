"""Guardrails: what the contract cannot say.

A guardrail covers machines by scope path, by tag, or one machine, and optionally only some ports. Where
several cover a port, the strictest holds, whichever policy grants; so no write of a policy can weaken one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from jitgate.core import approval
from jitgate.core.approval import MOST_APPROVALS, Step
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Invalid
from jitgate.core.machine import Machine
from jitgate.core.policy import MOST_SOURCES
from jitgate.core.prefixes import Prefix, all_covered
from jitgate.core.selector import Selector
from jitgate.core.windows import MOST_WINDOWS, Window

LONGEST_PATTERN = 200
DEFAULT_APPROVAL_WAIT = timedelta(hours=24)
"""How long a request waits for its approvals where no guardrail says."""


class Enforcement(StrEnum):
    """`observe` decides and records, and leaves the firewall alone; `enforce` shuts and opens."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a guardrail demands. None: it says nothing about this.

    `sources`        a request must stay inside these
    `caller_only`    a request may open for the caller's own address only
    `reason_pattern` the whole justification must match; implies that there is one
    `approvals`      how many others have to agree, whoever holds the right; `steps` says it in detail instead
    `approval_wait`  how long a request may wait for its approvals
    `windows`        when access may be: it begins and ends within one of them
    """

    approvals: int = 0
    steps: tuple[Step, ...] = ()
    reason_required: bool = False
    reason_pattern: str | None = None
    session: SessionEnd | None = None
    sources: tuple[Prefix, ...] | None = None
    caller_only: bool = False
    max_duration: timedelta | None = None
    approval_wait: timedelta | None = None
    windows: tuple[Window, ...] = ()
    enforcement: Enforcement | None = None

    @property
    def asked_steps(self) -> tuple[Step, ...]:
        """The approvals that are asked for, in either way of saying it."""
        return self.steps or ((Step(self.approvals),) if self.approvals else ())


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A named set of limits for the machines that its selector covers."""

    name: str
    selector: Selector
    limits: Limits


@dataclass(frozen=True, slots=True)
class Strictest:
    """What holds for one port of one machine: all guardrails that cover it, taken together.

    `source_sets`: a request must stay inside each of them. `reason_patterns`: it must match each.
    `approvals`: at least so many. `asked_steps`: those that ask for approvals, by name, each with its steps.
    `window_sets`: access must be within a window of each. `demands_enforcement`: one of them says so; it is not just
    that none says otherwise.
    """

    approvals: int = 0
    reason_required: bool = False
    reason_patterns: tuple[str, ...] = ()
    session: SessionEnd = SessionEnd.KEEP
    source_sets: tuple[tuple[Prefix, ...], ...] = ()
    caller_only: bool = False
    max_duration: timedelta | None = None
    approval_wait: timedelta | None = None
    enforcement: Enforcement = Enforcement.ENFORCE
    demands_enforcement: bool = False
    asked_steps: tuple[tuple[str, tuple[Step, ...]], ...] = ()
    window_sets: tuple[tuple[Window, ...], ...] = ()

    @property
    def ask_approval(self) -> tuple[str, ...]:
        """The names of those that ask for approvals."""
        return tuple(name for name, _ in self.asked_steps)


def strictest(guardrails: Iterable[Guardrail], machine: Machine, port: int) -> Strictest:
    """Fold all guardrails that cover a machine's port into what holds."""
    covering = sorted((g for g in guardrails if g.selector.covers(machine, port)), key=lambda g: g.name)
    if not covering:
        return NO_LIMITS
    held = NO_LIMITS
    for guardrail in covering:
        held = _tighten(held, guardrail)
    said = {g.limits.enforcement for g in covering} - {None}
    observed = said == {Enforcement.OBSERVE}
    return replace(
        held,
        enforcement=Enforcement.OBSERVE if observed else Enforcement.ENFORCE,
        demands_enforcement=Enforcement.ENFORCE in said,
    )


def is_looser(new: Guardrail | None, old: Guardrail | None) -> bool:
    """Whether a change gives up anything that was demanded. `new` is None where it is removed, `old` where it is added.

    Any change of whom it covers counts, since somebody may be covered no longer. Even an added one can loosen: by
    observing what was enforced, or by letting requests wait longer than they do by default.
    """
    if new is None or (old is not None and new.selector != old.selector):
        return old is not None
    was, now = old.limits if old is not None else Limits(), new.limits
    return (
        approval.is_looser(now.asked_steps, was.asked_steps)
        or (bool(was.windows) and now.windows != was.windows)
        or (was.reason_required and not now.reason_required)
        or (was.reason_pattern is not None and now.reason_pattern != was.reason_pattern)
        or (was.session is SessionEnd.END and now.session is not SessionEnd.END)
        or (was.caller_only and not now.caller_only)
        or _longer(now.max_duration, was.max_duration)
        or _waits_longer(now.approval_wait, was.approval_wait)
        or _STRENGTH[now.enforcement] < _STRENGTH[was.enforcement]
        or (was.sources is not None and (now.sources is None or not all_covered(now.sources, was.sources)))
    )


def check(guardrail: Guardrail) -> Guardrail:
    """Refuse what could never work. Raises Invalid."""
    limits = guardrail.limits
    if not guardrail.selector.scope.startswith("/"):
        raise Invalid("selector.scope", "this is not a scope path", allowed="/, or /subscriptions/… or any id below")
    if not 0 <= limits.approvals <= MOST_APPROVALS:
        raise Invalid(
            "limits.approvals", f"{limits.approvals} approvals cannot be asked for", allowed=f"0 to {MOST_APPROVALS}"
        )
    if limits.approvals and limits.steps:
        raise Invalid("limits.steps", "approvals are asked for in two ways", allowed="approvals, or steps")
    approval.check_steps(limits.steps, "limits.steps")
    if len(limits.windows) > MOST_WINDOWS:
        raise Invalid("limits.windows", "too many windows", allowed=f"at most {MOST_WINDOWS}")
    if limits.max_duration is not None and limits.max_duration <= timedelta(0):
        raise Invalid("limits.maxDuration", "no access would ever be allowed", allowed="more than zero")
    if limits.approval_wait is not None and limits.approval_wait <= timedelta(0):
        raise Invalid("limits.approvalWait", "no request could ever be approved", allowed="more than zero")
    _check_sources(limits.sources)
    if limits.reason_pattern is not None:
        _check_pattern(limits.reason_pattern)
    return guardrail


def matches(pattern: str, justification: str) -> bool:
    """Whether a justification matches a pattern as a whole: ``*`` stands for any text, ``#`` for all digits there.

    Not a regular expression: a pattern that takes for ever to match would stop the service.
    """
    return _compiled(pattern).fullmatch(justification) is not None


NO_LIMITS = Strictest()
_MOST_STARS = 2
# Saying nothing is weaker than "enforce", which outdoes somebody else's "observe".
_STRENGTH = {Enforcement.OBSERVE: 0, None: 1, Enforcement.ENFORCE: 2}


def _tighten(held: Strictest, guardrail: Guardrail) -> Strictest:
    limits = guardrail.limits
    pattern = () if limits.reason_pattern is None else (limits.reason_pattern,)
    return Strictest(
        approvals=max(held.approvals, sum(step.approvals for step in limits.asked_steps)),
        reason_required=held.reason_required or limits.reason_required or bool(pattern),
        reason_patterns=held.reason_patterns + pattern,
        session=SessionEnd.END if SessionEnd.END in (held.session, limits.session) else SessionEnd.KEEP,
        source_sets=held.source_sets + (() if limits.sources is None else (limits.sources,)),
        caller_only=held.caller_only or limits.caller_only,
        max_duration=_shorter(held.max_duration, limits.max_duration),
        approval_wait=_shorter(held.approval_wait, limits.approval_wait),
        asked_steps=held.asked_steps + (((guardrail.name, limits.asked_steps),) if limits.asked_steps else ()),
        window_sets=held.window_sets + ((limits.windows,) if limits.windows else ()),
    )


def _shorter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    return min((length for length in (one, other) if length is not None), default=None)


def _longer(new: timedelta | None, old: timedelta | None) -> bool:
    return old is not None and (new is None or new > old)


def _waits_longer(new: timedelta | None, old: timedelta | None) -> bool:
    """Whether requests may wait longer: where nobody says how long, that is the default."""
    return _longer(new, old) or (old is None and new is not None and new > DEFAULT_APPROVAL_WAIT)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression whose time grows with the length of the text, not with its square or worse.

    For each star but the last, the first place where what follows it fits is as good as any other (`(?>…)` never
    goes back), and digits are taken whole (`++`).
    """
    first, *rest = ["".join(map(_piece, part)) for part in pattern.split("*")]
    middle = [f"(?>.*?{part})" for part in rest[:-1]]
    last = [f".*{part}" for part in rest[-1:]]
    return re.compile("".join([first, *middle, *last]), re.IGNORECASE | re.DOTALL)


def _piece(letter: str) -> str:
    return "[0-9]++" if letter == "#" else re.escape(letter)


def _check_sources(sources: tuple[Prefix, ...] | None) -> None:
    if sources is not None and not 0 < len(sources) <= MOST_SOURCES:
        raise Invalid(
            "limits.sources",
            f"{len(sources)} sources cannot be held to",
            allowed=f"1 to {MOST_SOURCES}, or leave it out for any source",
        )


def _check_pattern(pattern: str) -> None:
    if not 0 < len(pattern) <= LONGEST_PATTERN or pattern.count("*") > _MOST_STARS:
        raise Invalid(
            "limits.reasonPattern",
            "the pattern is too long or has too many stars",
            allowed=f"1 to {LONGEST_PATTERN} characters; at most {_MOST_STARS} * (any text), any number of # (digits)",
        )
