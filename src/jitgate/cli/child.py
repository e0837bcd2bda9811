"""Running somebody's command while a port is open for it."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from jitgate.cli.exits import Exit, Failure
from jitgate.cli.interruptions import Interruption

_PASSED_ON = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end; its exit code, or 128 and the signal that ended it.

    Ctrl-C reaches the command by itself, from the terminal; other signals that say stop are passed on to it.
    Raises Failure if it cannot be run, and Interruption for a signal that comes before it runs.
    """
    running: list[subprocess.Popen[bytes]] = []
    with _signals_to(running):
        running.append(_start(command, environ))
        code = running[0].wait()
    return 128 - code if code < 0 else code


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environ)
    except FileNotFoundError:
        raise Failure(f"There is no command {command[0]!r}.", exit=Exit.NO_COMMAND) from None
    except (OSError, ValueError) as error:
        raise Failure(f"{command[0]!r} cannot be run: {error}.", exit=Exit.NOT_RUNNABLE) from None


@contextmanager
def _signals_to(running: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        if not running:
            raise Interruption(number)
        running[0].send_signal(number)

    def leave_it(number: int, _frame: FrameType | None) -> None:
        """The terminal tells the command too. A handler, since a command would inherit that a signal is ignored."""
        if not running:
            raise Interruption(number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, leave_it)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
