"""Numbered places where a test may kill the process as ``kill -9`` would.

``JITGATE_FAILPOINT=name:3`` ends the process at the third time that it reaches the failpoint `name`.
``JITGATE_FAILPOINT_LOG=FILE`` appends each name as it is reached, which is how the tests learn them all.
Both are read once, at import; without them a failpoint costs one comparison.
"""

import os
import signal
import threading

_name, _, _count = os.environ.get("JITGATE_FAILPOINT", "").partition(":")
_log_path = os.environ.get("JITGATE_FAILPOINT_LOG", "")
# Opened at once: the server gives up the right to write wherever it likes.
_log = os.open(_log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600) if _log_path else None
_armed = bool(_name) or _log is not None
_left = int(_count or 1)
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Die here, if this is the failpoint that was asked for."""
    if _armed:
        _reached(name)


def _reached(name: str) -> None:
    global _left
    with _lock:
        if _log is not None:
            os.write(_log, f"{name}\n".encode("ascii"))
        if name != _name:
            return
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
