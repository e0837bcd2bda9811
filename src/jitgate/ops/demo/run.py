"""One run of the demo, from the rights that it needs to the last trace that it removes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from jitgate.clock import SystemClock
from jitgate.connectors.base import ConnectorError
from jitgate.core.errors import JitgateError
from jitgate.ops.demo import invitation, rights, stage, traces
from jitgate.ops.demo.screen import Screen
from jitgate.ops.demo.stage import Stage
from jitgate.ops.demo.story import Story

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BROKEN = 1
_SIGNALLED = 128


class Ended(BaseException):
    """Somebody wants the demo to end. `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(*, once: bool, entered: bool = False) -> int:
    """Tell the story; then stay up until a signal, unless `once`. Returns an exit code: 0 if every step held.

    `entered`: in a user namespace that was made for this. Raises Unavailable before anything is made.
    """
    rights.check_system()
    if not entered:
        rights.ensure(once=once)
    screen = Screen()
    try:
        with _removed_at_the_end(screen):
            traces.sweep()
            built = _tell(screen)
            if built is not None and not once:
                _stay_up(screen, built, entered=entered)
            return _BROKEN if built is None else 0
    except Ended as ended:
        return _SIGNALLED + ended.number


def _tell(screen: Screen) -> Stage | None:
    """What the story was told on; None: a step did not hold."""
    screen.say("jitgate demo: two machines, a firewall each, and real TCP connections", "bold")
    step = "set up"
    try:
        with screen.doing("network namespaces, listeners, jitgate serve"):
            built = stage.build()
        screen.done(step, f"web-1 and db-1 let everybody in: {built.listeners.name} on port 22")
        for each in Story(built, SystemClock()).steps():
            step = each.name
            with screen.doing(each.doing) as update:
                seen = each.act(update)
            screen.done(step, seen)
    except (JitgateError, ConnectorError, OSError, subprocess.SubprocessError) as error:
        screen.failed(step, str(error))
        return None
    return built


def _stay_up(screen: Screen, built: Stage, *, entered: bool) -> None:
    """Until somebody wants it to end, which is how it should."""
    for line in invitation.lines(built, entered=entered):
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
