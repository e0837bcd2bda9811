"""A story is told: its people act, one after the other, while things break and are mended beside them."""

import contextlib
import threading
import time
from functools import singledispatchmethod

from tests.chaos import faults
from tests.chaos.ledger import Ledger, Wish
from tests.chaos.scene import Scene
from tests.chaos.story import Act, Ask, Break, Close, Decide, Edit, Extend, Step, Story
from tests.chaos.voice import Answer, Voice
from tests.chaos.world import APPROVED, MACHINES, PORTS


class Telling:
    """Of one story on a scene; `ledger` takes down what was asked, answered and broken."""

    def __init__(self, story: Story, scene: Scene, voice: Voice, ledger: Ledger) -> None:
        self.died: list[str] = []
        self._story, self._scene, self._voice, self._ledger = story, scene, voice, ledger
        self._mending: dict[str, threading.Timer] = {}
        self._failures: list[BaseException] = []

    def tell(self) -> None:
        """Tell it to its end; nothing is broken any more when this returns."""
        begun = time.monotonic()
        try:
            for step in self._story.steps:
                time.sleep(max(0.0, begun + step.at - time.monotonic()))
                self._do(step.act, step)
        finally:
            for timer in self._mending.values():
                timer.join()
        if self._failures:
            raise self._failures[0]

    @singledispatchmethod
    def _do(self, act: Act, step: Step) -> None:
        raise AssertionError(f"nobody knows how to do {act}")

    @_do.register
    def _ask(self, act: Ask, step: Step) -> None:
        wish = self._ledger.wishes[act.number] = Wish(act, f"story {self._story.seed} wish {act.number}")
        ports = [{"number": act.port, "sources": [act.source], "duration": f"PT{act.seconds}S"}]
        body = {"machines": [{"id": act.machine, "ports": ports}], "justification": wish.text}
        begun, waits = time.monotonic(), act.port == APPROVED
        answer = self._voice.say(step.via, "POST", "/api/v1/requests", body, as_program=waits)
        self._note(act, answer)
        if answer.is_yes:
            [grant] = answer.body["grants"]
            wish.uid, wish.request = grant["id"], grant["request"]
        if not answer.is_no and not waits:
            self._ledger.granted(wish, begun, act.seconds, answered=answer.is_yes)

    @_do.register
    def _decide(self, act: Decide, step: Step) -> None:
        wish = self._ledger.wishes[act.number]
        if not wish.request:
            return
        begun, verb = time.monotonic(), "approve" if act.agrees else "deny"
        answer = self._voice.say(step.via, "POST", f"/api/v1/requests/{wish.request}/{verb}", {})
        self._note(act, answer)
        if act.agrees and not answer.is_no:
            self._ledger.granted(wish, begun, wish.ask.seconds, answered=answer.is_yes)

    @_do.register
    def _extend(self, act: Extend, step: Step) -> None:
        wish = self._ledger.wishes[act.number]
        if not wish.uid:
            return
        path, body = f"/api/v1/grants/{wish.uid}/extend", {"duration": f"PT{act.seconds}S"}
        begun = time.monotonic()
        answer = self._voice.say(step.via, "POST", path, body, as_program=wish.ask.port == APPROVED)
        self._note(act, answer)
        if not answer.is_no:
            self._ledger.granted(wish, begun, act.seconds, answered=answer.is_yes)

    @_do.register
    def _close(self, act: Close, step: Step) -> None:
        wish = self._ledger.wishes[act.number]
        if not wish.uid:
            return
        answer = self._voice.say(step.via, "POST", f"/api/v1/grants/{wish.uid}/close?wait=1")
        self._note(act, answer)
        if answer.is_yes and answer.body["state"] == "closed":
            self._ledger.ended(wish)

    @_do.register
    def _edit(self, act: Edit, step: Step) -> None:
        begun = time.monotonic()
        answer = self._voice.say(step.via, "PUT", f"/api/v1/policies/{act.machine}", policy(act.machine, act.how))
        self._note(act, answer)
        if act.how == "without the second port" and not answer.is_no:
            self._ledger.bare(act.machine, APPROVED, begun)

    @_do.register
    def _break(self, act: Break, step: Step) -> None:
        if act.broken in self._mending:
            self._mending[act.broken].join()  # On a slow machine that takes longer than the story knows.
        begun = time.monotonic()
        self._ledger.note(f"{act}")
        heal = faults.begin(self._scene, act)
        timer = threading.Timer(act.seconds, lambda: self._mend(act, heal, begun))
        self._mending[act.broken] = timer
        timer.start()

    def _mend(self, act: Break, heal: faults.Heal, begun: float) -> None:
        try:
            if heal() is True:
                self.died.append(act.failpoint)
        except BaseException as error:  # noqa: BLE001 - the story fails with it
            self._failures.append(error)
        self._ledger.note(f"over: {act.kind} {act.target}")
        self._ledger.trouble(begun)

    def _note(self, act: Act, answer: Answer) -> None:
        self._ledger.operations.append(type(act).__name__.lower())
        self._ledger.note(f"{act}: {answer.text}")


def policy(machine: str, how: str = "as it was") -> object:
    """A machine's policy as a story writes it."""
    ports = PORTS[:1] if how == "without the second port" else PORTS
    longest = "PT2H" if how == "for longer" else "PT1H"
    allowed = ["10.71.3.0/24", "fd71:3::/64"] if how == "for carol alone" else ["*"]
    rules = [{"number": port, "protocol": "TCP", "sources": allowed, "maxDuration": longest} for port in ports]
    return {"machines": [{"id": machine, "ports": rules}]}


def protect(voice: Voice) -> None:
    """Have every port of every machine protected, as at the beginning, and wait until it is."""
    for machine in MACHINES:
        voice.insist("PUT", f"/api/v1/policies/{machine}", policy(machine))
    give_up = time.monotonic() + 120
    while not all(is_protected(voice, machine) for machine in MACHINES):
        assert time.monotonic() < give_up, "some port is never protected"
        time.sleep(0.2)


def is_protected(voice: Voice, machine: str) -> bool:
    with contextlib.suppress(StopIteration):
        found = next(each for each in voice.pages("/api/v1/machines?limit=100") if each["name"] == machine)
        return len(found["ports"]) == len(PORTS) and all(port["protected"] for port in found["ports"])
    return False
