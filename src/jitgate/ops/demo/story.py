"""The story of the demo: one step after the other, each proven with real TCP connections.

A step returns what was seen, in a sentence, and raises Broken if that is not what jitgate promises.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jitgate.clock import Clock
from jitgate.core.errors import JitgateError
from jitgate.ops.demo.connections import PORT, Answer, Attempt, Session, attempts, knock
from jitgate.ops.demo.network import Node
from jitgate.ops.demo.screen import Update
from jitgate.ops.demo.stage import Stage

SHORT_SECONDS = 6
MOST_EARLY_SECONDS, MOST_LATE_SECONDS = 0.5, 0.05
"""How far from its end a port may shut and a session fall silent. The kernel counts in steps of up to 10 ms."""

_SESSION_SECONDS = 1.0
_LOOK_ON_SECONDS = 0.6
_FINAL_SECONDS = 0.5
_ANSWER_SECONDS = 0.05
_CUT_SECONDS = 2.0
_CLOSED_SECONDS = 20.0
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


class Story:
    """Told once, step by step, on a stage that stands."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock
        self._network = stage.network
        self._session: Session | None = None
        self._grant: Any = None

    def steps(self) -> Sequence[Step]:
        """In their order."""
        return (
            Step("protect", "jitgate enable web-1 db-1", self._protect),
            Step("shut", "alice and bob try both machines", self._shut),
            Step("open", "alice asks for web-1", self._open),
            Step("only her", "the others try", self._only_her),
            Step("session", "alice works on web-1", self._work),
            Step("done", "alice is done", self._done),
            Step("again", "alice asks again", self._again),
            Step("kill -9", "every process of jitgate is killed", self._kill),
            Step("on time", "the kernel is alone", self._on_time),
            Step("restart", "jitgate serve", self._restart),
            Step("activity", "jitgate activity", self._activity),
        )

    def _protect(self, _: Update) -> str:
        machines = self._network.machines
        self._stage.jitgate.run("enable", *(machine.name for machine in machines))
        return f"jitgate enable {' '.join(machine.name for machine in machines)}"

    def _shut(self, _: Update) -> str:
        tried = [each for machine in self._network.machines for each in self._everybody_at(machine)]
        expect(Answer.NONE, tried)
        return f"{len(tried)} of {len(tried)} attempts unanswered: alice and bob, IPv4 and IPv6"

    def _open(self, _: Update) -> str:
        began = time.monotonic()
        self._grant = self._ask(600, "INC-1: the disk is full")
        [first, second] = attempts(self._network.alice, self._network.web)
        expect(Answer.ACCEPTED, [first])
        passed = time.monotonic() - began
        expect(Answer.ACCEPTED, [second])
        return f"alice asks for web-1: connected {passed * 1000:.0f} ms later; IPv6 too"

    def _only_her(self, _: Update) -> str:
        network = self._network
        expect(Answer.NONE, [*attempts(network.bob, network.web), *self._everybody_at(network.db)])
        return "bob at web-1, and alice at db-1: unanswered, IPv4 and IPv6"

    def _work(self, update: Update) -> str:
        self._session = self._connect()
        taken: list[float] = []
        until = time.monotonic() + _SESSION_SECONDS
        while time.monotonic() < until:
            taken.append(self._exchange())
            update(f"line {len(taken)} is back after {taken[-1] * 1000:.1f} ms")
            time.sleep(0.02)
        return f"alice on web-1 ({self._kind}): {len(taken)} lines there and back, {median(taken) * 1000:.1f} ms each"

    def _done(self, _: Update) -> str:
        assert self._session is not None
        began = time.monotonic()
        closed = self._stage.jitgate.call("POST", f"/grants/{self._grant['id']}/close?wait=10")
        if closed["state"] != "closed":
            raise Broken(f"the grant is {closed['state']}, not closed: {closed['detail']}")
        if not self._session.is_cut(_CUT_SECONDS):
            raise Broken("the session goes on")
        passed = time.monotonic() - began
        self._session.close()
        expect(Answer.NONE, self._everybody_at(self._network.web))
        return f"closed early: {self._kind} cut {passed * 1000:.0f} ms later, and the port is shut"

    def _again(self, _: Update) -> str:
        limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
        self._stage.jitgate.call("PUT", "/guardrails/sessions-end", limits)
        self._grant = self._ask(SHORT_SECONDS, "INC-2: and again")
        if not (self._grant["session"] == "end" and self._grant["endsSessions"]):
            raise Broken("the guardrail that ends sessions does not hold")
        self._session = self._connect()
        return f"for {SHORT_SECONDS} s; a guardrail says that sessions end, too; {self._kind} is up"

    def _kill(self, _: Update) -> str:
        killed = self._stage.jitgate.kill()
        expect(Answer.ACCEPTED, attempts(self._network.alice, self._network.web))
        self._exchange()
        return f"all {killed} processes of jitgate dead; port and session still open"

    def _on_time(self, update: Update) -> str:
        assert self._session is not None
        left = datetime.fromisoformat(self._grant["endTimeUtc"]) - self._clock.wall()
        port, session = self._watch(self._clock.elapsed() + left.total_seconds(), update)
        self._session.close()
        for what, late in (("the port", port), ("the session", session)):
            if not -MOST_EARLY_SECONDS <= late <= MOST_LATE_SECONDS:
                raise Broken(f"{what} answered for the last time {off(late)}")
        return f"port shut {off(port)}, {self._kind} session cut {off(session)}"

    def _restart(self, _: Update) -> str:
        self._stage.jitgate.launch()
        self._stage.jitgate.await_ready()
        give_up = time.monotonic() + _CLOSED_SECONDS
        while (found := self._stage.jitgate.call("GET", f"/grants/{self._grant['id']}"))["state"] != "closed":
            if time.monotonic() > give_up:
                raise Broken(f"the grant is {found['state']}, not closed")
            time.sleep(0.05)
        expect(Answer.NONE, self._everybody_at(self._network.web))
        if (listed := self._stage.jitgate.run("ls", "--output", "json")) != "[]":
            raise Broken(f"jitgate ls shows what is not open: {listed}")
        return "jitgate serve again: the grant is closed, jitgate ls is empty"

    def _activity(self, _: Update) -> str:
        """What the activity tells of web-1, oldest first."""
        return check_record(self._stage.jitgate.call("GET", "/activity?limit=500")["items"])

    @property
    def _kind(self) -> str:
        return self._stage.listeners.name

    def _everybody_at(self, machine: Node) -> list[Attempt]:
        return [each for client in self._network.clients for each in attempts(client, machine)]

    def _ask(self, seconds: int, why: str) -> Any:
        """A grant for alice on web-1 that is open."""
        sources = list(self._network.alice.addresses)
        ports = [{"number": PORT, "sources": sources, "duration": f"PT{seconds}S"}]
        body = {"machines": [{"id": self._network.web.name, "ports": ports}], "justification": why}
        [grant] = self._stage.jitgate.call("POST", "/requests?wait=10", body)["grants"]
        if grant["state"] != "open":
            raise Broken(f"the grant is {grant['state']}, not open: {grant['detail']}")
        return grant

    def _connect(self) -> Session:
        return self._stage.listeners.connect(self._network.alice, self._network.web)

    def _exchange(self) -> float:
        assert self._session is not None
        taken = self._session.exchange(_CUT_SECONDS)
        if taken is None:
            raise Broken("the session is dead")
        return taken

    def _watch(self, end: float, update: Update) -> tuple[float, float]:
        """When the last attempt was made that was let in, and the last line sent that came back: seconds from the end.

        `end`: by the clock's elapsed time. Looks on for a while after it.
        """
        assert self._session is not None
        knocking = attempts(self._network.alice, self._network.web)
        port = session = self._clock.elapsed() - end
        while (begun := self._clock.elapsed() - end) < _LOOK_ON_SECONDS:
            update(f"shuts in {-begun:.1f} s" if begun < 0 else "silent")
            if Answer.ACCEPTED in knock(knocking, _ANSWER_SECONDS).values():
                port = begun
            begun = self._clock.elapsed() - end
            if self._session.exchange(_ANSWER_SECONDS) is not None:
                session = begun
            time.sleep(0.005 if begun > -_FINAL_SECONDS else 0.1)
        return port, session


def expect(answer: Answer, tried: Sequence[Attempt]) -> None:
    """Raise Broken unless every attempt gets that answer."""
    for each, got in knock(tried).items():
        if got is not answer:
            raise Broken(f"{each} is {got}")


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def off(seconds: float) -> str:
    """How far a moment is from when it should have been."""
    return f"{abs(seconds) * 1000:.0f} ms {'late' if seconds > 0 else 'early'}"


def check_record(lines: Sequence[Any]) -> str:
    """What the activity tells, newest line first; Broken where that is another story."""
    told = [word for line in reversed(lines) if (word := _word(line))]
    if tuple(told) != _EXPECTED_RECORD:
        raise Broken(f"the activity tells another story: {', '.join(told)}")
    return f"{len(lines)} lines: {', '.join(told)}"


def _word(line: Any) -> str:
    """What a line of the activity adds to the story; "" for one that belongs to another."""
    operation = line["operation"]
    if operation.endswith("/initiate/action"):
        return "asked"
    if operation.endswith("/grants/open"):
        return "open"
    return str(line["properties"]["reason"]) if operation.endswith("/grants/closed") else ""
