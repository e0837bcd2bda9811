"""The story of the demo where a firewall stands before two machines: each step is proven with real TCP connections."""

import time
from collections.abc import Sequence
from typing import Any

from jitgate.clock import Clock
from jitgate.ops.demo.connections import PORT, Answer, Attempt, Session, attempts, knock
from jitgate.ops.demo.network import Node
from jitgate.ops.demo.screen import Update
from jitgate.ops.demo.stage import Stage
from jitgate.ops.demo.telling import LONG_SECONDS, SHORT_SECONDS, Broken, Step, Telling


class Story(Telling):
    """Told on a stage that stands."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        super().__init__(stage.jitgate, clock)
        self._listeners = stage.listeners
        self._network = stage.network
        self.kind = stage.listeners.name

    def steps(self) -> Sequence[Step]:
        """In their order."""
        return (
            *self._until_done(),
            Step("again", "alice asks again", self._again),
            Step("kill -9", "every process of jitgate is killed", self._kill),
            Step("on time", "the kernel is alone", self._on_time),
            *self._from_restart(),
        )

    def _until_done(self) -> Sequence[Step]:
        return (
            Step("protect", "jitgate enable web-1 db-1", self._protect),
            Step("shut", "alice and bob try both machines", self._shut),
            Step("open", "alice asks for web-1", self._open),
            Step("only her", "the others try", self._only_her),
            Step("session", "alice works on web-1", self._work),
            Step("done", "alice is done", self._done),
        )

    def _from_restart(self) -> Sequence[Step]:
        return (
            Step("restart", "jitgate serve", self._restart),
            Step("activity", "jitgate activity", self._activity),
        )

    def _protect(self, _: Update) -> str:
        names = [machine.name for machine in self._network.machines]
        self._jitgate.run("enable", *names)
        return f"jitgate enable {' '.join(names)}"

    def _shut(self, _: Update) -> str:
        tried = [each for machine in self._network.machines for each in self._everybody_at(machine)]
        expect(Answer.NONE, tried)
        return f"{len(tried)} of {len(tried)} attempts unanswered: alice and bob, IPv4 and IPv6"

    def _open(self, _: Update) -> str:
        began = time.monotonic()
        self._grant = self._ask(LONG_SECONDS, "INC-1: the disk is full")
        [first, second] = attempts(self._network.alice, self._network.web)
        expect(Answer.ACCEPTED, [first])
        passed = time.monotonic() - began
        expect(Answer.ACCEPTED, [second])
        return f"alice asks for web-1: connected {passed * 1000:.0f} ms later; IPv6 too"

    def _only_her(self, _: Update) -> str:
        network = self._network
        expect(Answer.NONE, [*attempts(network.bob, network.web), *self._everybody_at(network.db)])
        return "bob at web-1, and alice at db-1: unanswered, IPv4 and IPv6"

    def _done(self, _: Update) -> str:
        cut = self._close_and_cut()
        expect(Answer.NONE, self._everybody_at(self._network.web))
        return f"closed early: {self.kind} cut {cut}, and the port is shut"

    def _again(self, _: Update) -> str:
        self._end_sessions()
        self._grant = self._ask(LONG_SECONDS, "INC-2: and again")
        if not (self._grant["session"] == "end" and self._grant["endsSessions"]):
            raise Broken("the guardrail that ends sessions does not hold")
        self._session = self._connect()
        self._shorten()
        return f"for {SHORT_SECONDS} s; a guardrail says that sessions end, too; {self.kind} is up"

    def _kill(self, _: Update) -> str:
        killed = self._jitgate.kill()
        expect(Answer.ACCEPTED, attempts(self._network.alice, self._network.web))
        self._exchange()
        return f"all {killed} processes of jitgate dead; port and session still open"

    def _restart(self, _: Update) -> str:
        self._jitgate.launch()
        self._jitgate.await_ready()
        self._await_closed()
        expect(Answer.NONE, self._everybody_at(self._network.web))
        if (listed := self._jitgate.run("ls", "--output", "json")) != "[]":
            raise Broken(f"jitgate ls shows what is not open: {listed}")
        return "jitgate serve again: the grant is closed, jitgate ls is empty"

    def _everybody_at(self, machine: Node) -> list[Attempt]:
        return [each for client in self._network.clients for each in attempts(client, machine)]

    def _ask(self, seconds: int, why: str) -> Any:
        return self._granted(self._network.web.name, PORT, self._network.alice.addresses, seconds, why)

    def _connect(self) -> Session:
        return self._listeners.connect(self._network.alice, self._network.web)

    def _lets_alice_in(self) -> bool:
        tried = attempts(self._network.alice, self._network.web)
        return Answer.ACCEPTED in knock(tried, self.answer_seconds).values()


def expect(answer: Answer, tried: Sequence[Attempt]) -> None:
    """Raise Broken unless every attempt gets that answer."""
    for each, got in knock(tried).items():
        if got is not answer:
            raise Broken(f"{each} is {got}")
