"""What a scene is put together from: servers, agents and gateways on strings, and a disk of its own."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.chaos import puppet
from tests.chaos.strings import Strings
from tests.joined import Joined
from tests.netns import HOST4, Namespace
from tests.processes import MODULES, Jitgate

_STARTS_WITHIN = 120.0
_AGAIN_AFTER = 1.0


class Replica(Jitgate):
    """A server with its supervisor and the agent beside it, all on the same strings. It tells what happens in `logs`:
    somewhere that is never full."""

    def __init__(self, directory: Path, place: Namespace, settings: str, logs: Path, database: str = "") -> None:
        directory.mkdir()
        (directory / "jitgate.toml").write_text(settings)
        self.strings = Strings(directory / "strings")
        environment = puppet.environment(self.strings) | ({"JITGATE_DATABASE": database} if database else {})
        super().__init__(directory, {}, environment, puppet.command("jitgate.main"), namespace=place, address=HOST4)
        self.log, self._said = logs / f"{directory.name}.log", logs / f"{directory.name}.said"

    def recover(self) -> None:
        """Start it as its unit for systemd does (Restart=always): again and again, a second later, until it serves."""
        give_up = time.monotonic() + _STARTS_WITHIN
        while True:
            try:
                self.start()
            except AssertionError:
                if self.supervisor.poll() is None or time.monotonic() > give_up:
                    raise
                time.sleep(_AGAIN_AFTER)
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()  # Nobody is left who would have to be told.

    def signal(self, number: signal.Signals, *names: str) -> int:
        """Send a signal to those of its processes that there are; how many got it."""
        pids = [pid for name in names or MODULES for pid in self.pids(name)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)


class Remote(Joined):
    """An agent elsewhere on strings of its own; or, by another module, a gateway."""

    def __init__(self, namespace: Namespace, directory: Path, name: str, *module: str) -> None:
        super().__init__(namespace, directory, name)
        self._module = module or ("jitgate.agent",)
        self.strings = Strings(directory.with_suffix(".strings"))

    def become_member(self, server: Jitgate, url: str, *options: str) -> None:
        """Join at the address that stands for all replicas."""
        token, pin = self.token(server)
        done = self.run("join", url, "--token", token, "--ca-pin", pin, "--name", self.name, *options)
        assert done.returncode == 0, done.stderr

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it lives."""
        if self.runs:
            os.kill(self.pid, number)

    def _command(self, *arguments: str) -> list[str]:
        first, *others = arguments
        where = ["ip", "netns", "exec", self.namespace.name, "env"]
        where += [f"{name}={value}" for name, value in puppet.environment(self.strings).items()]
        return [*where, *puppet.command(*self._module), first, "--state", str(self.directory), *others]


class Disk:
    """A small one, which can be filled."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        path.mkdir()
        options = f"size={megabytes}m,mode=0755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "jitgate-chaos", path], check=True)

    def fill(self) -> None:
        """Leave not one byte."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def clear(self) -> None:
        """Let there be room again."""
        (self.path / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=True)
