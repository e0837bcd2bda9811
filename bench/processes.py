"""The bare servers, as processes."""

import subprocess
import sys
from pathlib import Path
from typing import Self

from bench import bare
from bench.client import Target


class BareServer:
    """A server of `bench.bare`: started when entered, ended when left."""

    def __init__(self, directory: Path, *, own_commit: bool = False) -> None:
        self._directory = directory
        self._options = ["--own-commit"] if own_commit else []

    def __enter__(self) -> Self:
        self._directory.mkdir()
        command = [sys.executable, "-m", "bench.bare", str(self._directory), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)

    @property
    def target(self) -> Target:
        """Where it takes rows."""
        return Target(self._port, self._directory / "ca.pem", bare.PATH, bare.BODY)
