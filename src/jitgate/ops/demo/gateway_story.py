"""The story where neither root nor a user namespace is to be had: one machine behind a gateway, on loopback.

The machine's own firewall admits the gateway only, which a probe proves. Everything else is as it always is.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitgate.clock import Clock
from jitgate.ops.demo import loopback, traces
from jitgate.ops.demo.connections import Session
from jitgate.ops.demo.installation import Installation
from jitgate.ops.demo.loopback import ALICE, BOB, NAME, Machine, Seen, knock
from jitgate.ops.demo.screen import Update
from jitgate.ops.demo.telling import LONG_SECONDS, SHORT_SECONDS, Broken, Step, Telling

_SEEN_SECONDS = 60.0
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


class GatewayStory(Telling):
    """Told once, step by step, on a stage that stands."""

    most_late_seconds = 0.25  # The gateway's loop shares the processor with everybody else.
    answer_seconds = 0.2

    def __init__(self, stage: GatewayStage, clock: Clock) -> None:
        super().__init__(stage.jitgate, clock)
        self._port = stage.machine.port
        self._admits_only_gateway = stage.machine.admits_only_gateway
        self._mapped = 0

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
        give_up = time.monotonic() + _SEEN_SECONDS
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
        self._grant = self._ask(LONG_SECONDS, "INC-1: the disk is full")
        self._mapped = self._grant["connection"]["port"]
        self._expect(Seen.ANSWERED, ALICE)
        passed = time.monotonic() - began
        return f"alice asks for web-1: connected {passed * 1000:.0f} ms later, at {loopback.GATEWAY}:{self._mapped}"

    def _only_her(self, _: Update) -> str:
        self._expect(Seen.RESET, BOB)
        return f"bob at {loopback.GATEWAY}:{self._mapped}: reset, and web-1 never hears of him"

    def _done(self, _: Update) -> str:
        cut = self._close_and_cut()
        self._expect(Seen.NOTHING, ALICE)
        return f"closed early: session cut {cut}, and nothing listens any more"

    def _again(self, _: Update) -> str:
        self._end_sessions()
        self._grant = self._ask(LONG_SECONDS, "INC-2: and again")
        if self._grant["connection"]["port"] != self._mapped:
            raise Broken("the mapped port has changed")
        self._session = self._connect()
        self._shorten()
        return f"for {SHORT_SECONDS} s, at the same port; a guardrail says that sessions end, too; a session is up"

    def _kill(self, _: Update) -> str:
        self._jitgate.kill_server()
        self._expect(Seen.ANSWERED, ALICE)
        self._exchange()
        return "the server is dead; port and session still open"

    def _expect(self, wanted: Seen, source: str) -> None:
        if (seen := knock(source, self._mapped)) is not wanted:
            raise Broken(f"{source} at {loopback.GATEWAY}:{self._mapped} is {seen}")

    def _ask(self, seconds: int, why: str) -> Any:
        return self._granted(NAME, self._port, [ALICE], seconds, why)

    def _connect(self) -> Session:
        return loopback.session(ALICE, self._mapped)

    def _lets_alice_in(self) -> bool:
        return knock(ALICE, self._mapped) is Seen.ANSWERED
