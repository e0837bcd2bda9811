"""A gateway whose server is elsewhere: an agent as a process, which needs neither rights nor a namespace.

with Elsewhere(tmp_path / "edge", target) as edge:
    edge.join(jitgate)
    edge.start()
"""

import json
import random
import subprocess
from pathlib import Path
from typing import Self

from tests.connectors.gateway.scene import BEHIND, Echo
from tests.processes import COMMAND, Jitgate


class Elsewhere:
    """A gateway that joins. Ended when left."""

    def __init__(self, directory: Path, target: Echo, name: str = "edge") -> None:
        self.directory, self.name, self.target = directory, name, target
        self.log = directory.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.first = random.randrange(20_000, 31_000)

    def join(self, jitgate: Jitgate, machine: str = "win-1", url: str = "") -> subprocess.CompletedProcess[str]:
        made = json.loads(jitgate.run("host", "token", "--output", "json").stdout)
        options = ["--token", made["token"], "--ca-pin", made["caPin"], "--name", self.name, "--address", "127.0.0.1"]
        options += ["--listen", "127.0.0.1", "--ports", f"{self.first}-{self.first + 100}", "--probe-from", "127.0.0.9"]
        return self.run("join", url or jitgate.url, *options, "--machine", f"{machine}={BEHIND},windows")

    def run(self, first: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "gateway", first, "--state", str(self.directory), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)

    def start(self, *, command: tuple[str, ...] = (*COMMAND, "gateway")) -> Self:
        with self.log.open("ab") as log:
            arguments = [*command, "run", "--state", str(self.directory)]
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
