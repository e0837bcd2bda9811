"""Files that hold secrets: whole or not at all, and for their owner alone."""

import os
import secrets
from pathlib import Path

PRIVATE, PUBLIC = 0o600, 0o644


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


def _sync_directory(path: Path) -> None:
    """A new name is on disk only once its directory is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
