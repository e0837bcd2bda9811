"""Running somebody's command while a port is open for it."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from jitgate.cli.exits import Exit, Failure

_PASSED_ON = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end; its exit code, or 128 and the signal that ended it.

    Ctrl-C reaches the command by itself, from the terminal; other signals that say stop are passed on to it.
    Raises Failure if it cannot be run.
    """
    running: list[subprocess.Popen[bytes]] = []
    with _signals_to(running) as early:
        running.append(_start(command, environ))
        # What came while it was being started: an exception then would have lost a command that runs already.
        for number in early:
            running[0].send_signal(number)
        code = running[0].wait()
    return 128 - code if code < 0 else code


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environ)
    except FileNotFoundError:
        raise Failure(
            f"There is no command {command[0]!r}. Check its spelling, and PATH.", exit=Exit.NO_COMMAND
        ) from None
    except (OSError, ValueError) as error:
        raise Failure(f"{command[0]!r} cannot be run: {error}.", exit=Exit.NOT_RUNNABLE) from None


@contextmanager
def _signals_to(running: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Pass signals on to what runs; yields those that come before it does."""
    early: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if running:
            running[0].send_signal(number)
        else:
            early.append(number)

    def leave_it(number: int, _frame: FrameType | None) -> None:
        """The terminal tells the command too. A handler, since a command would inherit that a signal is ignored."""
        if not running:
            early.append(number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, leave_it)
    try:
        yield early
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
