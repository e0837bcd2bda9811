"""Named places where a test may kill the process as ``kill -9`` would.

``JITGATE_FAILPOINT=name:3`` ends the process at the third time that it reaches the failpoint `name`. With
``JITGATE_FAILPOINT_WHILE=FILE`` only the times while FILE exists count, and FILE is removed before the end,
so that a process started anew lives. ``JITGATE_FAILPOINT_LOG=FILE`` appends each name as it is reached, which
is how the tests learn them all. All are read once, at import; without them a failpoint costs one comparison.
"""

import os
import signal
import threading

_name, _, _count = os.environ.get("JITGATE_FAILPOINT", "").partition(":")
_log = os.environ.get("JITGATE_FAILPOINT_LOG", "")
_while = os.environ.get("JITGATE_FAILPOINT_WHILE", "")
_armed = bool(_name or _log)
_left = int(_count or 1)
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Die here, if this is the failpoint that was asked for."""
    if _armed:
        _reached(name)


def _reached(name: str) -> None:
    global _left
    with _lock:
        if _log:
            with open(_log, "a", encoding="ascii") as log:
                log.write(name + "\n")
        if name != _name or (_while and not os.path.exists(_while)):
            return
        _left -= 1
        if _left == 0:
            _die()


def _die() -> None:
    if _while:
        os.unlink(_while)
    os.kill(os.getpid(), signal.SIGKILL)
