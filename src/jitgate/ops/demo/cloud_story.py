"""The same story where the firewall is a cloud's: groups of a fake, in force in the namespace that routes.

What differs is what clouds do: a group lets established sessions be, and no rule shuts by itself: `jitgate sweep` does
it where every process is gone.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from jitgate.clock import Clock
from jitgate.core.errors import Unavailable
from jitgate.ops.demo import network, stage, traces
from jitgate.ops.demo.connections import Answer, attempts
from jitgate.ops.demo.network import Network
from jitgate.ops.demo.screen import Update
from jitgate.ops.demo.stage import Stage
from jitgate.ops.demo.story import Story, expect
from jitgate.ops.demo.telling import SHORT_SECONDS, Broken, Step

_FOUND_SECONDS = 60.0
_ROUNDED_UP_SECONDS = 1.0
"""A rule in a cloud tells its end in whole seconds: by so much it may be overdue later than its grant."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A fake that answers on loopback.

    `adding`   what `jitgate connector add` is given besides the kind
    `sweeping` what `jitgate sweep` is given besides the kind
    `calls`    how many calls it has answered
    `consents` whether somebody has to agree before the rules of others are altered
    """

    kind: str
    adding: tuple[str, ...]
    sweeping: tuple[str, ...]
    calls: Callable[[], int]
    consents: bool = False


@dataclass(frozen=True, slots=True)
class CloudStage(Stage):
    """`cloud`: for as long as `serving` is held, in threads of this process."""

    cloud: Cloud
    serving: ExitStack


def build(put_in_front: Callable[[Network, str, ExitStack], Cloud]) -> CloudStage:
    """Make it. Raises Unavailable.

    `put_in_front`: makes a cloud with the machines in it, whose rules are in force in a namespace, by its name.
    """
    directory = traces.make_directory(os.getpid())
    built = network.build(os.getpid())
    router = traces.namespace(os.getpid(), network.ROUTER)
    serving = ExitStack()
    cloud = put_in_front(built, router, serving)
    # Nobody protects the router; it is listed so that the machine that the demo runs on is not.
    made = stage.install(directory, built, f'[[host]]\nname = "router"\nnamespace = "{router}"\n')
    return CloudStage(made.network, made.listeners, made.jitgate, cloud, serving)


class CloudStory(Story):
    """Told once, step by step, on a stage that stands."""

    def __init__(self, stage: CloudStage, clock: Clock) -> None:
        super().__init__(stage, clock)
        self._cloud = stage.cloud

    def steps(self) -> Sequence[Step]:
        """In their order."""
        return (
            Step("connect", f"jitgate connector add {self._cloud.kind}", self._add_connector),
            *self._until_done(),
            Step("again", "alice asks again", self._again),
            Step("kill -9", "every process of jitgate is killed", self._kill),
            Step("sweep", "jitgate sweep", self._sweep),
            *self._from_restart(),
        )

    def _add_connector(self, _: Update) -> str:
        self._jitgate.run("connector", "add", self._cloud.kind, "--kind", self._cloud.kind, *self._cloud.adding)
        began = time.monotonic()
        wanted = {machine.name for machine in self._network.machines}
        while not wanted <= {each["name"] for each in self._jitgate.call("GET", "/machines")["items"]}:
            if time.monotonic() - began > _FOUND_SECONDS:
                raise Broken("the machines of the cloud are not found")
            time.sleep(0.2)
        return f"web-1 and db-1 found after {time.monotonic() - began:.1f} s, by {self._cloud.calls()} calls"

    def _protect(self, update: Update) -> str:
        return self._protect_with_consent() if self._cloud.consents else super()._protect(update)

    def _protect_with_consent(self) -> str:
        """The rule that lets everybody in is of others: the first command says so, and alters nothing."""
        names = [machine.name for machine in self._network.machines]
        try:
            self._jitgate.run("enable", *names)
        except Unavailable as told:
            if "agree" not in told.message:
                raise
        else:
            raise Broken("nobody was asked before rules of others were altered")
        expect(Answer.ACCEPTED, attempts(self._network.bob, self._network.web))
        self._jitgate.run("machine", "agree", names[0], "--yes")
        self._jitgate.run("enable", *names)
        return f"jitgate enable {' '.join(names)}, and agree that a rule of others is altered"

    def _done(self, _: Update) -> str:
        assert self._session is not None
        self._close()
        expect(Answer.NONE, self._everybody_at(self._network.web))
        self._exchange()
        self._session.close()
        return f"closed early: the port is shut; her {self.kind} goes on, as security groups let it"

    def _again(self, _: Update) -> str:
        self._grant = self._ask(SHORT_SECONDS, "INC-2: and again")
        return f"for {SHORT_SECONDS} s; db-1 stays shut"

    def _kill(self, _: Update) -> str:
        killed = self._jitgate.kill()
        expect(Answer.ACCEPTED, attempts(self._network.alice, self._network.web))
        time.sleep(max(0.0, self._seconds_left()) + _ROUNDED_UP_SECONDS)
        return f"all {killed} processes of jitgate dead; no group shuts by itself, so the port stays open"

    def _sweep(self, _: Update) -> str:
        said = self._jitgate.run("sweep", "--kind", self._cloud.kind, *self._cloud.sweeping, "--grace", "0")
        expect(Answer.NONE, self._everybody_at(self._network.web))
        return f"jitgate sweep, without server or database: {len(said.splitlines())} overdue rules shut"
