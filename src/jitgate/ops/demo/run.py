"""One run of the demo, from the rights that it needs to the last trace that it removes."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError
from jitgate.core.errors import JitgateError
from jitgate.ops.demo import (
    aws_cloud,
    azure_cloud,
    cloud_story,
    gateway_story,
    invitation,
    loopback,
    rights,
    stage,
    traces,
)
from jitgate.ops.demo.cloud_story import CloudStory
from jitgate.ops.demo.gateway_story import GatewayStory
from jitgate.ops.demo.screen import Screen
from jitgate.ops.demo.story import Story
from jitgate.ops.demo.telling import Step

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BROKEN = 1
_SIGNALLED = 128


class Ended(BaseException):
    """Somebody wants the demo to end. `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class Show:
    """One way to tell it: what is made, and what is then said, played and left to try. `Any` is what `build` makes.

    `option`: of the command, by which it is chosen.
    """

    option: str
    title: str
    setting_up: str
    build: Callable[[], Any]
    set_up: Callable[[Any], str]
    steps: Callable[[Any], Sequence[Step]]
    invite: Callable[[Any, bool], Iterator[str]]


FIREWALLS = Show(
    option="",
    title="jitgate demo: two machines, a firewall each, and real TCP connections",
    setting_up="network namespaces, listeners, jitgate serve",
    build=stage.build,
    set_up=lambda built: f"web-1 and db-1 let everybody in: {built.listeners.name} on port 22",
    steps=lambda built: Story(built, SystemClock()).steps(),
    invite=lambda built, entered: invitation.lines(built, entered=entered),
)
GATEWAY = Show(
    option="--gateway",
    title="jitgate demo: a machine behind a gateway, and real TCP connections",
    setting_up="a machine on loopback, jitgate serve",
    build=gateway_story.build,
    set_up=lambda built: f"{loopback.NAME} listens at {loopback.MACHINE}:{built.machine.port}",
    steps=lambda built: GatewayStory(built, SystemClock()).steps(),
    invite=lambda built, _: invitation.gateway_lines(built),
)
AZURE = Show(
    option="--azure",
    title="jitgate demo: two machines behind a fake Azure's security groups, and real TCP connections",
    setting_up="network namespaces, listeners, a fake Azure, jitgate serve",
    build=lambda: cloud_story.build(azure_cloud.put_in_front),
    set_up=lambda built: f"a rule of their group lets everybody in: {built.listeners.name} on port 22",
    steps=lambda built: CloudStory(built, SystemClock()).steps(),
    invite=lambda built, entered: invitation.lines(built, entered=entered),
)
AWS = replace(
    AZURE,
    option="--aws",
    title="jitgate demo: two machines behind a fake AWS's security groups, and real TCP connections",
    setting_up="network namespaces, listeners, a fake AWS, jitgate serve",
    build=lambda: cloud_story.build(aws_cloud.put_in_front),
)
SHOWS = (FIREWALLS, GATEWAY, AZURE, AWS)
ONCE = "--once"
_WITHOUT_RIGHTS = (
    "You are not root, and this system lets you make no user namespace ({why}), so there will be no firewall. "
    "With one: sudo make demo. In a container, start that with --privileged, or with the capabilities NET_ADMIN and "
    "SYS_ADMIN and no seccomp profile."
)


def run(*, once: bool, entered: bool = False, show: Show = FIREWALLS) -> int:
    """Tell the story; then stay up until a signal, unless `once`. Returns an exit code: 0 if every step held.

    `entered`: in a user namespace that was made for this. `show`: the one with a gateway needs no rights, and is told
    in place of another where there are none. Raises Unavailable before anything is made.
    """
    rights.check_system()
    why = "" if entered or show is GATEWAY else rights.ensure([show.option, *([ONCE] if once else [])])
    show = GATEWAY if why else show
    screen = Screen()
    if why:
        screen.say(_WITHOUT_RIGHTS.format(why=why), "yellow")
    try:
        with _removed_at_the_end(screen):
            traces.sweep()
            built = _tell(screen, show)
            if built is not None and not once:
                _stay_up(screen, show.invite(built, entered))
            return _BROKEN if built is None else 0
    except Ended as ended:
        return _SIGNALLED + ended.number


def _tell(screen: Screen, show: Show) -> Any:
    """What the story was told on; None: a step did not hold."""
    screen.say(show.title, "bold")
    step = "set up"
    try:
        with screen.doing(show.setting_up):
            built = show.build()
        screen.done(step, show.set_up(built))
        for each in show.steps(built):
            step = each.name
            with screen.doing(each.doing) as update:
                seen = each.act(update)
            screen.done(step, seen)
    except (JitgateError, ConnectorError, OSError, subprocess.SubprocessError) as error:
        screen.failed(step, str(error))
        return None
    return built


def _stay_up(screen: Screen, lines: Iterator[str]) -> None:
    """Until somebody wants it to end, which is how it should."""
    for line in lines:
        screen.say(line)
    with suppress(Ended):
        while True:
            signal.pause()


@contextmanager
def _removed_at_the_end(screen: Screen) -> Iterator[None]:
    """The first signal to end raises Ended, so that what was made is removed; no other one stops that."""
    for number in _ENDINGS:
        signal.signal(number, _end)
    try:
        yield
    finally:
        _ignore_signals()
        left = traces.remove(os.getpid())
        # The terminal may be what has gone.
        with suppress(OSError):
            screen.say(f"Could not be removed: {', '.join(left)}." if left else "All that was made is removed.")


def _end(number: int, _: FrameType | None) -> None:
    _ignore_signals()
    raise Ended(number)


def _ignore_signals() -> None:
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
