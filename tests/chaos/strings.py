"""What a story holds in its hand while a process runs: its wall clock, and where it dies or stands still.

A few bytes of shared memory, so that a process that may write nowhere still feels the pull. Those that are on one
machine, such as a server and the agent beside it, hang on the same strings.
"""

import mmap
import signal
import struct
import threading
from pathlib import Path

_LAYOUT = struct.Struct("<dii48s")
VARIABLE = "JITGATE_CHAOS_STRINGS"
"""Names the file to a process."""


class Strings:
    """One end of them; made with the file, if that is not there yet."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        self.path = path
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)

    @property
    def clock_is_off(self) -> float:
        """Seconds that the wall clock is ahead of the true one."""
        return float(_LAYOUT.unpack_from(self._shared)[0])

    @property
    def hits_left(self) -> int:
        """How often the failpoint is still to be reached before the process dies; 0: nobody is to die."""
        return int(_LAYOUT.unpack_from(self._shared)[1])

    @property
    def ends_by(self) -> signal.Signals | None:
        """What the process does to itself then."""
        number = _LAYOUT.unpack_from(self._shared)[2]
        return signal.Signals(number) if number else None

    @property
    def failpoint(self) -> str:
        return bytes(_LAYOUT.unpack_from(self._shared)[3]).rstrip(b"\0").decode()

    def set_clock(self, off: float) -> None:
        """Step the clock."""
        self._put(off, self.hits_left, self.ends_by, self.failpoint)

    def arm(self, failpoint: str, hits: int = 1, ends_by: signal.Signals = signal.SIGKILL) -> None:
        """Have whoever reaches a failpoint so many times die there, or stand still (SIGSTOP)."""
        self._put(self.clock_is_off, hits, ends_by, failpoint)

    def disarm(self) -> bool:
        """Let everybody live. Whether somebody has reached it meanwhile."""
        was_reached = self.was_reached
        self._put(self.clock_is_off, 0, None, "")
        return was_reached

    @property
    def was_reached(self) -> bool:
        """Whether the failpoint that was armed was reached so many times."""
        return bool(self.failpoint) and not self.hits_left

    def reached(self, name: str) -> None:
        """In the process: a failpoint is reached. Whoever dies lets its successor live."""
        if not self.hits_left or name != self.failpoint:
            return
        left, ends_by = self.hits_left - 1, self.ends_by
        self._put(self.clock_is_off, left, ends_by, name)
        if not left and ends_by:
            # This thread itself: of a process that is told to stop, the thread that says so goes on for a while.
            signal.pthread_kill(threading.get_ident(), ends_by)

    def _put(self, off: float, hits: int, ends_by: signal.Signals | None, failpoint: str) -> None:
        _LAYOUT.pack_into(self._shared, 0, off, hits, ends_by or 0, failpoint.encode())
