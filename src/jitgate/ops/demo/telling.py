"""What every story of the demo does: somebody asks, works, and finds the port shut when the time is over.

A step returns what was seen, in a sentence, and raises Broken if that is not what jitgate promises.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jitgate.clock import Clock
from jitgate.core.errors import JitgateError
from jitgate.ops.demo.connections import Session
from jitgate.ops.demo.installation import Installation
from jitgate.ops.demo.screen import Update

SHORT_SECONDS = 6
LONG_SECONDS = 600
MOST_EARLY_SECONDS = 0.5
"""How far before its end a port may shut and a session fall silent."""

_SESSION_SECONDS = 1.0
_LOOK_ON_SECONDS = 0.6
_FINAL_SECONDS = 0.5
_CUT_SECONDS = 15.0
_CLOSED_SECONDS = 60.0
_EXPECTED_RECORD = ("asked", "open", "userRequested", "asked", "open", "expired")


class Broken(JitgateError):
    """A step did not hold."""

    code = "StepBroken"


@dataclass(frozen=True, slots=True)
class Step:
    """`doing`: what is shown meanwhile."""

    name: str
    doing: str
    act: Callable[[Update], str]


@dataclass(slots=True)
class Watched:
    """Something that falls silent. Seconds from when it should: of the last attempt that was answered, and since when
    none was."""

    answered: float
    silent: float | None = None

    def saw(self, begun: float, known: float, *, has_answered: bool) -> None:
        """One attempt: when it was made, and since when it could be known to be answered or not."""
        if has_answered:
            self.answered, self.silent = begun, None
        elif self.silent is None:
            self.silent = known


class Telling(ABC):
    """Told once, step by step. `kind`: what a session is called."""

    kind = "session"
    most_late_seconds = 0.05
    """How far after its end a port may shut and a session fall silent. The kernel counts in steps of up to 10 ms."""
    answer_seconds = 0.05
    """So long an answer may take that counts as one."""

    def __init__(self, jitgate: Installation, clock: Clock) -> None:
        self._jitgate = jitgate
        self._clock = clock
        self._session: Session | None = None
        self._grant: Any = None

    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """In their order."""

    @abstractmethod
    def _connect(self) -> Session:
        """A session of alice's on web-1. Raises Unavailable."""

    @abstractmethod
    def _lets_alice_in(self) -> bool:
        """Whether an attempt of alice's at web-1 is answered now."""

    @abstractmethod
    def _ask(self, seconds: int, why: str) -> Any:
        """A grant for alice on web-1 that is open."""

    # --- steps that are the same everywhere -----------------------------------------------------------

    def _work(self, update: Update) -> str:
        self._session = self._connect()
        taken: list[float] = []
        until = time.monotonic() + _SESSION_SECONDS
        while time.monotonic() < until:
            taken.append(self._exchange())
            update(f"line {len(taken)} is back after {taken[-1] * 1000:.1f} ms")
            time.sleep(0.02)
        return f"alice on web-1 ({self.kind}): {len(taken)} lines there and back, {_median(taken) * 1000:.1f} ms each"

    def _on_time(self, update: Update) -> str:
        assert self._session is not None
        port, session = self._watch(self._clock.elapsed() + self._seconds_left(), update)
        self._session.close()
        for what, watched in (("the port", port), ("the session", session)):
            if watched.answered > self.most_late_seconds:
                raise Broken(f"{what} answered for the last time {_off(watched.answered)}")
            if watched.silent is not None and watched.silent < -MOST_EARLY_SECONDS:
                raise Broken(f"{what} was silent {_off(watched.silent)}")
        return f"port shut {_off(port.answered)}, {self.kind} cut {_off(session.answered)}"

    def _activity(self, _: Update) -> str:
        """What the activity tells of web-1, oldest first."""
        self._await_closed()
        lines = self._jitgate.call("GET", "/activity?limit=500")["items"]
        told = [word for line in reversed(lines) if (word := _word(line))]
        if tuple(told) != _EXPECTED_RECORD:
            raise Broken(f"the activity tells another story: {', '.join(told)}")
        return f"{len(lines)} lines: {', '.join(told)}"

    # --- what steps are made of -----------------------------------------------------------------------

    def _seconds_left(self) -> float:
        """Until the end of the grant; below 0 afterwards."""
        return (datetime.fromisoformat(self._grant["endTimeUtc"]) - self._clock.wall()).total_seconds()

    def _granted(self, machine: str, number: int, sources: Sequence[str], seconds: int, why: str) -> Any:
        """A grant that is open."""
        ports = [{"number": number, "sources": list(sources), "duration": f"PT{seconds}S"}]
        body = {"machines": [{"id": machine, "ports": ports}], "justification": why}
        [grant] = self._jitgate.call("POST", "/requests?wait=10", body)["grants"]
        if grant["state"] != "open":
            raise Broken(f"the grant is {grant['state']}, not open: {grant['detail']}")
        return grant

    def _shorten(self) -> None:
        """Have the grant end soon. Asked for at once so short, it might be over before a session is up."""
        path = f"/grants/{self._grant['id']}/shorten?wait=30"
        self._grant = self._jitgate.call("POST", path, {"duration": f"PT{SHORT_SECONDS}S"})

    def _close(self) -> None:
        """Close the grant before its end."""
        closed = self._jitgate.call("POST", f"/grants/{self._grant['id']}/close?wait=30")
        if closed["state"] != "closed":
            raise Broken(f"the grant is {closed['state']}, not closed: {closed['detail']}")

    def _close_and_cut(self) -> str:
        """Close the grant, which cuts the session; when."""
        assert self._session is not None
        began = time.monotonic()
        self._close()
        if not self._session.is_cut(_CUT_SECONDS):
            raise Broken("the session goes on")
        passed = time.monotonic() - began
        self._session.close()
        return f"{passed * 1000:.0f} ms later"

    def _end_sessions(self) -> None:
        limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
        self._jitgate.call("PUT", "/guardrails/sessions-end", limits)

    def _await_closed(self) -> None:
        give_up = time.monotonic() + _CLOSED_SECONDS
        while (found := self._jitgate.call("GET", f"/grants/{self._grant['id']}"))["state"] != "closed":
            if time.monotonic() > give_up:
                raise Broken(f"the grant is {found['state']}, not closed")
            time.sleep(0.05)

    def _exchange(self) -> float:
        assert self._session is not None
        taken = self._session.exchange(_CUT_SECONDS)
        if taken is None:
            raise Broken("the session is dead")
        return taken

    def _watch(self, end: float, update: Update) -> tuple[Watched, Watched]:
        """The port, at which attempts are made, and the session, in which lines are sent.

        `end`: by the clock's elapsed time. Looks on for a while after it.
        """
        assert self._session is not None
        session = self._session
        begun = self._clock.elapsed() - end
        port_seen, session_seen = Watched(begun), Watched(begun)
        while (begun := self._clock.elapsed() - end) < _LOOK_ON_SECONDS:
            update(f"shuts in {-begun:.1f} s" if begun < 0 else "silent")
            self._look(port_seen, end, self._lets_alice_in)
            self._look(session_seen, end, lambda: session.exchange(self.answer_seconds) is not None)
            time.sleep(0.005 if begun > -_FINAL_SECONDS else 0.1)
        return port_seen, session_seen

    def _look(self, watched: Watched, end: float, is_answered: Callable[[], bool]) -> None:
        begun = self._clock.elapsed() - end
        has_answered = is_answered()
        # A machine that stood still meanwhile knows no sooner.
        known = self._clock.elapsed() - end - self.answer_seconds
        watched.saw(begun, max(begun, known), has_answered=has_answered)


def _median(values: Sequence[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def _off(seconds: float) -> str:
    """How far a moment is from when it should have been."""
    return f"{abs(seconds) * 1000:.0f} ms {'late' if seconds > 0 else 'early'}"


def _word(line: Any) -> str:
    """What a line of the activity adds to the story; "" for one that belongs to another."""
    operation = line["operation"]
    if operation.endswith("/initiate/action"):
        return "asked"
    if operation.endswith("/grants/open"):
        return "open"
    return str(line["properties"]["reason"]) if operation.endswith("/grants/closed") else ""
