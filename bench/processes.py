"""The bare servers, as processes; and what memory any process has."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from bench import bare
from bench.client import Target
from jitgate.identity.bootstrap import OWNER_TOKEN


class BareServer:
    """A server of `bench.bare`, with its options: started when entered, ended when left. It logs into a file."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._options = options

    def __enter__(self) -> Self:
        self._directory.mkdir()
        command = [sys.executable, "-m", "bench.bare", str(self._directory), *self._options]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)

    @property
    def target(self) -> Target:
        """Where it takes rows."""
        token = self._directory / OWNER_TOKEN
        held = token.read_text().strip() if token.exists() else ""
        return Target(self._port, self._directory / "ca.pem", bare.PATH, bare.BODY, held)


def resident(pid: int) -> int:
    """Bytes of memory that a process has (proc_pid_statm(5))."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
