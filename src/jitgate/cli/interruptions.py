"""Signals as an orderly end: what was opened is shut, whoever says stop, and however."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interruption(BaseException):
    """A signal said stop. Like KeyboardInterrupt, nothing catches it by accident."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, a signal that says stop raises Interruption, so that `finally` runs."""
    before = {number: signal.signal(number, _interrupt) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within, signals wait: for what must not stop half way. Windows cannot hold them back."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interruption(number)
