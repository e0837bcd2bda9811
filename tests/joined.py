"""Hosts elsewhere: a server in one network namespace, agents in others, joined by links that can be cut.

with Network() as network, Jitgate(..., namespace=network.host, address=HOST4) as jitgate:
    with Joined(network.alice, tmp_path / "alice", "web-1") as web:
        web.join(jitgate)
        web.start()
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.netns import Namespace
from tests.processes import Jitgate

AGENT = (sys.executable, "-P", "-m", "jitgate.agent")


class Joined:
    """A host with an agent of its own. Ended, however it has fared, when left. `log`: what the agent wrote."""

    def __init__(self, namespace: Namespace, directory: Path, name: str) -> None:
        self.namespace = namespace
        self.directory = directory
        self.name = name
        self.log = directory.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def token(self, jitgate: Jitgate, *options: str) -> tuple[str, str]:
        """A join token and the pin."""
        made = jitgate.run("host", "token", "--output", "json", *options)
        assert made.returncode == 0, made.stderr
        told = json.loads(made.stdout)
        return told["token"], told["caPin"]

    def join(self, jitgate: Jitgate, by: str = "") -> None:
        """Become a member, under a free name. `by`: where the server is reached; "": where it is."""
        token, pin = self.token(jitgate)
        done = self.run("join", by or jitgate.url, "--token", token, "--ca-pin", pin, "--name", self.name)
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The agent's command, on this host."""
        return subprocess.run(self._command(*arguments), capture_output=True, text=True, check=False, timeout=90)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, without waiting."""
        return subprocess.Popen(self._command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start(self, *, clock_is_off: float = 0) -> Self:
        """Have the agent hold the host's firewall, by a wall clock that is so many seconds off."""
        command = self._command("run")
        if clock_is_off:
            at = command.index("jitgate.agent")
            command[at : at + 1] = ["tests.skewed_agent", str(clock_is_off)]
            command.remove("-P")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[1])
        return self

    @property
    def runs(self) -> bool:
        """Whether the agent lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The agent's process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the agent as ``kill -9`` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    @contextlib.contextmanager
    def cut_from(self, address: str) -> Iterator[None]:
        """Nothing reaches the host from the server any more. What is under way is neither ended nor told."""
        self.namespace.ip(f"route add blackhole {address}/32")
        try:
            yield
        finally:
            self.namespace.ip(f"route del blackhole {address}/32")

    def protect(self, jitgate: Jitgate) -> None:
        """Have the host's defaults protected."""
        jitgate.enable(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _command(self, *arguments: str) -> list[str]:
        first, *others = arguments
        where = ["ip", "netns", "exec", self.namespace.name]
        return [*where, *AGENT, first, "--state", str(self.directory), *others]
