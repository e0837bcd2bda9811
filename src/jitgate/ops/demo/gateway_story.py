"""The story where neither root nor a user namespace is to be had: one machine behind a gateway, on loopback.

The machine's own firewall admits the gateway only, which a probe proves. Everything else is as it always is.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jitgate.clock import Clock
from jitgate.ops.demo import loopback, traces
from jitgate.ops.demo.connections import Session
from jitgate.ops.demo.installation import Installation
from jitgate.ops.demo.loopback import ALICE, BOB, NAME, Machine, Seen, knock
from jitgate.ops.demo.screen import Update
from jitgate.ops.demo.story import (
    MOST_EARLY_SECONDS,
    SHORT_SECONDS,
    Broken,
    Step,
    check_record,
    median,
    off,
)

MOST_LATE_SECONDS = 0.25
"""The gateway's loop shares the processor with everybody else."""

_SESSION_SECONDS = 1.0
_LOOK_ON_SECONDS = 0.6
_ANSWER_SECONDS = 0.2
_CUT_SECONDS = 2.0
_CLOSED_SECONDS = 20.0
_SETTINGS = """\
[[gateway]]
name = "demo"
address = "{gateway}"
listen = ["{gateway}"]
probe_from = ["{around}"]

[[gateway.machine]]
name = "{name}"
address = "{machine}"
"""


@dataclass(frozen=True, slots=True)
class GatewayStage:
    """A machine that admits only the gateway, and a jitgate that protects nothing yet."""

    machine: Machine
    jitgate: Installation


def build() -> GatewayStage:
    """Make it. Raises Unavailable."""
    settings = _SETTINGS.format(gateway=loopback.GATEWAY, around=loopback.AROUND, name=NAME, machine=loopback.MACHINE)
    jitgate = Installation(traces.make_directory(os.getpid()), settings)
    jitgate.launch()
    machine = Machine()
    jitgate.await_ready()
    return GatewayStage(machine, jitgate)


class GatewayStory:
    """Told once, step by step, on a stage that stands."""

    def __init__(self, stage: GatewayStage, clock: Clock) -> None:
        self._jitgate = stage.jitgate
        self._port = stage.machine.port
        self._admits_only_gateway = stage.machine.admits_only_gateway
        self._clock = clock
        self._mapped = 0
        self._session: Session | None = None
        self._grant: Any = None

    def steps(self) -> Sequence[Step]:
        """In their order."""
        return (
            Step("protect", "jitgate policy set web-1", self._protect),
            Step("open", "alice asks for web-1", self._open),
            Step("only her", "bob tries", self._only_her),
            Step("session", "alice works on web-1", self._work),
            Step("done", "alice is done", self._done),
            Step("again", "alice asks again", self._again),
            Step("kill -9", "the server is killed", self._kill),
            Step("on time", "the gateway holds the deadline", self._on_time),
            Step("activity", "jitgate activity", self._activity),
        )

    def _protect(self, _: Update) -> str:
        port = {"number": self._port, "protocol": "TCP", "sources": ["*"], "maxDuration": "PT3H"}
        self._jitgate.call("PUT", "/policies/default", {"machines": [{"id": NAME, "ports": [port]}]})
        if not self._admits_only_gateway:
            return self._exposed()
        self._jitgate.run("enable", NAME)
        return f"port {self._port} admits the gateway only: {loopback.AROUND}, which goes around it, is refused"

    def _exposed(self) -> str:
        """The machine answers others as well, and jitgate has to say so."""
        give_up = time.monotonic() + _CLOSED_SECONDS
        while loopback.AROUND not in (problem := self._problem()):
            if time.monotonic() > give_up:
                raise Broken(f"a way around the gateway is not seen: {problem}")
            time.sleep(0.05)
        return "no firewall for web-1 here, so jitgate says: exposed, it answers others than the gateway as well"

    def _problem(self) -> str:
        ports = self._jitgate.call("GET", f"/machines/{NAME}")["ports"]
        return str(ports[0]["problem"]) if ports else "nothing is protected"

    def _open(self, _: Update) -> str:
        began = time.monotonic()
        self._grant = self._ask(600, "INC-1: the disk is full")
        self._mapped = self._grant["connection"]["port"]
        self._expect(Seen.ANSWERED, ALICE)
        passed = time.monotonic() - began
        return f"alice asks for web-1: connected {passed * 1000:.0f} ms later, at {loopback.GATEWAY}:{self._mapped}"

    def _only_her(self, _: Update) -> str:
        self._expect(Seen.RESET, BOB)
        return f"bob at {loopback.GATEWAY}:{self._mapped}: reset, and web-1 never hears of him"

    def _work(self, update: Update) -> str:
        self._session = loopback.session(ALICE, self._mapped)
        taken: list[float] = []
        until = time.monotonic() + _SESSION_SECONDS
        while time.monotonic() < until:
            taken.append(self._exchange())
            update(f"line {len(taken)} is back after {taken[-1] * 1000:.1f} ms")
            time.sleep(0.02)
        return f"alice on web-1: {len(taken)} lines there and back, {median(taken) * 1000:.1f} ms each"

    def _done(self, _: Update) -> str:
        assert self._session is not None
        began = time.monotonic()
        closed = self._jitgate.call("POST", f"/grants/{self._grant['id']}/close?wait=10")
        if closed["state"] != "closed":
            raise Broken(f"the grant is {closed['state']}, not closed: {closed['detail']}")
        if not self._session.is_cut(_CUT_SECONDS):
            raise Broken("the session goes on")
        passed = time.monotonic() - began
        self._session.close()
        self._expect(Seen.NOTHING, ALICE)
        return f"closed early: session cut {passed * 1000:.0f} ms later, and nothing listens any more"

    def _again(self, _: Update) -> str:
        limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
        self._jitgate.call("PUT", "/guardrails/sessions-end", limits)
        self._grant = self._ask(SHORT_SECONDS, "INC-2: and again")
        if self._grant["connection"]["port"] != self._mapped:
            raise Broken("the mapped port has changed")
        self._session = loopback.session(ALICE, self._mapped)
        return f"for {SHORT_SECONDS} s, at the same port; a guardrail says that sessions end, too; a session is up"

    def _kill(self, _: Update) -> str:
        self._jitgate.kill_server()
        self._expect(Seen.ANSWERED, ALICE)
        self._exchange()
        return "the server is dead; port and session still open"

    def _on_time(self, update: Update) -> str:
        assert self._session is not None
        left = datetime.fromisoformat(self._grant["endTimeUtc"]) - self._clock.wall()
        port, session = self._watch(self._clock.elapsed() + left.total_seconds(), update)
        self._session.close()
        for what, late in (("the port", port), ("the session", session)):
            if not -MOST_EARLY_SECONDS <= late <= MOST_LATE_SECONDS:
                raise Broken(f"{what} answered for the last time {off(late)}")
        return f"port shut {off(port)}, session cut {off(session)}"

    def _activity(self, _: Update) -> str:
        give_up = time.monotonic() + _CLOSED_SECONDS
        while self._jitgate.call("GET", f"/grants/{self._grant['id']}")["state"] != "closed":
            if time.monotonic() > give_up:
                raise Broken("the next server does not close the grant")
            time.sleep(0.05)
        return check_record(self._jitgate.call("GET", "/activity?limit=500")["items"])

    def _expect(self, wanted: Seen, source: str) -> None:
        if (seen := knock(source, self._mapped)) is not wanted:
            raise Broken(f"{source} at {loopback.GATEWAY}:{self._mapped} is {seen}")

    def _ask(self, seconds: int, why: str) -> Any:
        """A grant for alice that is open."""
        ports = [{"number": self._port, "sources": [ALICE], "duration": f"PT{seconds}S"}]
        body = {"machines": [{"id": NAME, "ports": ports}], "justification": why}
        [grant] = self._jitgate.call("POST", "/requests?wait=10", body)["grants"]
        if grant["state"] != "open":
            raise Broken(f"the grant is {grant['state']}, not open: {grant['detail']}")
        return grant

    def _exchange(self) -> float:
        assert self._session is not None
        taken = self._session.exchange(_CUT_SECONDS)
        if taken is None:
            raise Broken("the session is dead")
        return taken

    def _watch(self, end: float, update: Update) -> tuple[float, float]:
        """When the port answered for the last time, and the session: seconds from the end. Looks on after it."""
        assert self._session is not None
        port = session = self._clock.elapsed() - end
        while (begun := self._clock.elapsed() - end) < _LOOK_ON_SECONDS:
            update(f"shuts in {-begun:.1f} s" if begun < 0 else "silent")
            if knock(ALICE, self._mapped) is Seen.ANSWERED:
                port = begun
            begun = self._clock.elapsed() - end
            if self._session.exchange(_ANSWER_SECONDS) is not None:
                session = begun
            time.sleep(0.005 if begun > -_LOOK_ON_SECONDS else 0.1)
        return port, session
