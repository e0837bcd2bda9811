"""Files that hold secrets: whole or not at all, and for their owner alone."""

import contextlib
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from jitgate.core.errors import JitgateError

PRIVATE, PUBLIC = 0o600, 0o644

Held = TypeVar("Held")

_log = logging.getLogger("jitgate.files")


class Replaceable(Generic[Held]):
    """What a file holds, as it is now: it is read again when it was replaced. What does not do is logged, and what was
    there before stays.

    `read`: out of its content; raises ValueError or JitgateError. Raises these, and OSError, when it is made.
    """

    def __init__(self, path: Path, read: Callable[[bytes], Held]) -> None:
        self._path = path
        self._read = read
        self._seen = _state(path), read(path.read_bytes())

    def now(self) -> Held:
        """What it holds at this moment."""
        state, known = self._seen
        found = _state(self._path)
        if found == state:
            return known
        try:
            known = self._read(self._path.read_bytes())
            _log.info("%s has changed", self._path)
        except (OSError, ValueError, JitgateError) as error:
            _log.error("%s cannot be used, and what was in it stays: %s", self._path, error)
        self._seen = found, known
        return known


def write_private(path: Path, content: bytes) -> None:
    """Put a secret into a file of mode 600, on disk before this returns. Replaces what was there."""
    _write(path, content, PRIVATE)


def write_public(path: Path, content: bytes) -> None:
    """Put what everybody may read into a file of mode 644, on disk before this returns."""
    _write(path, content, PUBLIC)


def create_private(path: Path, content: bytes) -> bool:
    """As `write_private`, but never replaces. False: there is such a file already."""
    made = _make(path, content, PRIVATE)
    try:
        os.link(made, path)
    except FileExistsError:
        return False
    finally:
        made.unlink()
    _sync_directory(path.parent)
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    os.replace(_make(path, content, mode), path)
    _sync_directory(path.parent)


def _make(path: Path, content: bytes, mode: int) -> Path:
    """A file beside `path`, whole and on disk, to be given that name."""
    # A name that nobody can guess, made anew (O_EXCL) and with its mode from the start: at no moment can another
    # user open the file, or have laid a link where it will be.
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        _give_to_owner(descriptor, path)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            # The umask may have taken bits from a public file's mode.
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    return made


def _give_to_owner(descriptor: int, path: Path) -> None:
    """What root replaces stays whose it was: else the server, which may not be root, could not read it any more."""
    if os.geteuid() != 0 or not path.exists():
        return
    former = path.stat()
    if (former.st_uid, former.st_gid) != (0, 0):
        with contextlib.suppress(PermissionError):  # Root without root's rights.
            os.fchown(descriptor, former.st_uid, former.st_gid)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _sync_directory(path: Path) -> None:
    """A new name is on disk only once its directory is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
