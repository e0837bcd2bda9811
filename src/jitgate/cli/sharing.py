"""Grants that several commands of this user use at once: the last one to leave shuts the port.

Each user of a grant holds a shared lock on a file that is named after it. Who can turn that into an exclusive
lock is the last. The kernel drops the locks of a process that is killed, so nothing has to be cleaned up after it.
Only grants that were opened for the length of a command have such a file: one that somebody opened by hand is
used and left open.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Share:
    """One command's use of a grant. `file`: None where nothing can be shared, so that it is the only one."""

    def __init__(self, file: Path | None, descriptor: int | None) -> None:
        self._file = file
        self._descriptor = descriptor

    @contextmanager
    def leave(self) -> Iterator[bool]:
        """Use it no longer. True: nobody else does, so it is time to shut; nobody joins meanwhile."""
        if self._file is None or self._descriptor is None:
            yield True
            return
        try:
            is_last = _lock_alone(self._descriptor)
            if is_last:
                with suppress(PermissionError):  # Windows removes no file that is in use
                    self._file.unlink(missing_ok=True)
            yield is_last
        finally:
            os.close(self._descriptor)


def begin(grant: str, environ: Mapping[str, str]) -> Share:
    """Be the first user of a grant that was just made."""
    try:
        file = _file(grant, environ)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        # No home, or a full disk: the port is still shut by whoever opened it.
        return Share(None, None)
    _lock_shared(descriptor)
    return Share(file, descriptor)


def join(grant: str, environ: Mapping[str, str]) -> Share | None:
    """Be another user of a grant. None: nobody shares it, or the last one has just left and shut it."""
    file = _file(grant, environ)
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return None
    _lock_shared(descriptor)
    if os.fstat(descriptor).st_nlink:
        return Share(file, descriptor)
    os.close(descriptor)
    return None


def _file(grant: str, environ: Mapping[str, str]) -> Path:
    # A grant's id is hexadecimal; whatever else a server says must not lead out of the directory.
    return _directory(environ) / "".join(c for c in grant if c.isalnum())


def _directory(environ: Mapping[str, str]) -> Path:
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / "jitgate"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jitgate" / "shared"


def _lock_shared(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _lock_alone(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
