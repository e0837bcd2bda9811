"""The last generation that a host has carried out, on disk: whoever replays an older state, also across a restart, is
refused."""

import os
from pathlib import Path

from jitgate.connectors.base import ConnectorError, GenerationBehind

FILE = "generation"
# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


class Generation:
    """For one host's directory. Not thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._current: int | None = None

    def check(self, asked: int) -> None:
        """Raises GenerationBehind for one that is older than what was carried out, ConnectorError if that is lost."""
        current = self._read() if self._current is None else self._current
        self._current = current
        if asked < current:
            raise GenerationBehind(current)

    def keep(self, carried_out: int) -> None:
        """It stands in the kernel. On disk when this returns. Raises OSError."""
        if carried_out == self._current:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Always as long as before, and within a sector: never half of it.
            os.pwrite(descriptor, b"%020d\n" % carried_out, 0)
            _sync(descriptor)
        finally:
            os.close(descriptor)
        self._current = carried_out

    def _read(self) -> int:
        try:
            text = self._path.read_text("ascii")
            # Empty where the disk was full, or the machine went down, when the first was to be written.
            return int(text) if text else 0
        except FileNotFoundError:
            return 0
        except ValueError:
            raise ConnectorError(f"{self._path} is damaged; remove it, and what the server says next counts") from None
