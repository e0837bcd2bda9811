"""A whole jitgate as its users run it: supervisor, server and agent, real processes on a real firewall.

with Jitgate(tmp_path, {"web-1": network.host.name}) as jitgate:
    jitgate.enable("web-1")
    jitgate.open("web-1", ALICE4, seconds=4)
    jitgate.kill("agent")
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from tests.netns import Namespace

from jitgate.ops.directory import SHARED_KEYS

COMMAND = (sys.executable, "-P", "-m", "jitgate.main")
_START_SECONDS = 60.0
T = TypeVar("T")
MODULES = {"agent": "jitgate.agent", "server": "jitgate.main.server", "gateway": "jitgate.main.gateway"}


class Jitgate:
    """Started when entered; ended, however it has fared, when left. `log` is what it wrote to standard error."""

    def __init__(
        self,
        directory: Path,
        hosts: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        settings: str = "",
        namespace: Namespace | None = None,
        address: str = "127.0.0.1",
        role: str = "all",
    ) -> None:
        """`namespace`: where its server listens, on `address`; None: where the tests run."""
        self._role = role
        self.directory = directory
        self._namespace, self._address = namespace, address
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        directory.mkdir(exist_ok=True)
        listed = [f'[[host]]\nname = "{name}"\nnamespace = "{namespace}"\n' for name, namespace in hosts.items()]
        if hosts:
            (directory / "jitgate.toml").write_text("\n".join([settings, *listed]))
        self._port = 0
        self.log, self._said = directory / "log", directory / "said"

    def start(self) -> Self:
        """Start it, and wait for its line."""
        before = self.said
        with self.log.open("ab") as log, self._said.open("ab") as said:
            where = ["ip", "netns", "exec", self._namespace.name] if self._namespace else []
            command = [*where, *self._command, "serve", "--data-dir", str(self.directory)]
            command += ["--listen", f"{self._address}:{self._port}", "--role", self._role]
            self.supervisor = subprocess.Popen(command, stdout=said, stderr=log, env=self._environment)
        until(
            lambda: self.said != before or self.supervisor.poll() is not None, "it does not start", 2 * _START_SECONDS
        )
        assert "is ready at" in self.said[len(before) :], self.log.read_text()
        # Whoever knows where it is finds it again after a restart.
        self._port = urlsplit(self.url).port or 0
        return self

    @property
    def port(self) -> int:
        """The port that it listens on, since its first start."""
        return self._port

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(json.loads((self.directory / "server.json").read_text())["url"])

    @property
    def said(self) -> str:
        """What it wrote to standard output."""
        return self._said.read_text() if self._said.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.supervisor.poll() is None:
            self.supervisor.terminate()
        try:
            self.supervisor.wait(30)
        except subprocess.TimeoutExpired:
            self.supervisor.kill()
            self.supervisor.wait()
        for name in MODULES:
            for pid in self.pids(name):
                os.kill(pid, signal.SIGKILL)

    # --- its processes --------------------------------------------------------------------------------

    def pids(self, name: str) -> list[int]:
        """The living processes of that name which work on this directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                ours = MODULES[name] in words and any(word.startswith(str(self.directory)) for word in words)
                if ours and "\nState:\tZ" not in (entry / "status").read_text():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def pid(self, name: str) -> int:
        """The process of that name, as soon as there is one."""
        return until(lambda: self.pids(name), f"there is no {name}")[0]

    def kill(self, name: str) -> None:
        """End a process as ``kill -9`` does."""
        os.kill(self.pid(name), signal.SIGKILL)

    def kill_all(self) -> None:
        """Leave nothing alive."""
        self.supervisor.kill()
        for name in MODULES:
            for pid in self.pids(name):
                os.kill(pid, signal.SIGKILL)
        self.supervisor.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A jitgate command on this directory."""
        environment = {**self._environment, "JITGATE_DATA_DIR": str(self.directory)}
        where = ["ip", "netns", "exec", self._namespace.name] if self._namespace else []
        return subprocess.run(
            [*where, *COMMAND, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=90
        )

    # --- as its clients see it --------------------------------------------------------------------------

    def client(self) -> httpx.Client:
        """A client with the owner's token."""
        token = (self.directory / "owner.token").read_text().strip()
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, verify=context, timeout=90)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """What the server answers, once it does."""

        def ask() -> httpx.Response | None:
            try:
                with self.client() as client:
                    return client.request(method, path, json=body)
            except httpx.TransportError:
                return None

        def ask_there() -> httpx.Response | None:
            return self._namespace.inside(ask) if self._namespace else ask()

        answer = until(ask_there, "the server does not answer")
        assert answer.is_success, answer.text
        return answer.json()

    def enable(self, name: str) -> None:
        """Protect a machine with the defaults, and wait until it is."""
        until(lambda: self.machine(name), f"{name} is not listed")
        self.call("POST", "/api/v1/machines/enable?wait=60", {"machines": [name]})

    def machine(self, name: str) -> dict[str, Any] | None:
        listed = self.call("GET", "/api/v1/machines")["items"]
        return next((each for each in listed if each["name"] == name), None)

    def open(self, name: str, source: str, *, seconds: int, port: int = 22) -> dict[str, Any]:
        """Open a port for a source, and wait until it is; the grant, and in how many seconds it `took` place."""
        ports = [{"number": port, "sources": [source], "duration": f"PT{seconds}S"}]
        body = {"machines": [{"id": name, "ports": ports}], "justification": "test"}
        begun = time.monotonic()
        grant: dict[str, Any] = self.call("POST", "/api/v1/requests?wait=60", body)["grants"][0]
        assert grant["state"] == "open", grant
        return {**grant, "took": time.monotonic() - begun}

    def grant(self, uid: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/api/v1/grants/{uid}")
        return found

    def activity(self, operation: str) -> Sequence[Mapping[str, Any]]:
        """What is on record of an operation, newest first."""
        items: list[dict[str, Any]] = self.call("GET", "/api/v1/activity")["items"]
        return [item for item in items if item["operation"].endswith(operation)]


def left(grant: Mapping[str, Any]) -> float:
    """Seconds until a grant's end."""
    return (datetime.fromisoformat(grant["endTimeUtc"]) - datetime.now(UTC)).total_seconds()


def assert_shuts_on_time(grant: Mapping[str, Any], is_open: Callable[[], bool]) -> None:
    """Its port is open whenever one looks before the grant's end, and shut just after.

    Earlier it may shut by what its opening took, twice: who holds it counts no time as left that may have passed on the
    way, and lets a slow transaction lengthen nothing. Where that was held up, there is nothing to be seen before.
    """
    early = max(0.4, 2 * grant["took"])
    looks = 0
    while left(grant) > early:
        found = is_open()
        if left(grant) > early:
            assert found, f"shut {left(grant)} seconds before its end"
            looks += 1
            time.sleep(0.1)
    assert looks or grant["took"] > 1, "the test was too slow to see it open"
    sleep_past_end(grant)
    assert not is_open(), f"open {-left(grant)} seconds after its end"


def sleep_past_end(grant: Mapping[str, Any]) -> None:
    """Wait until just after a grant's end."""
    time.sleep(max(0.0, left(grant) + 0.02))


def share_keys(first: Jitgate, *others: Jitgate) -> None:
    """Give others the keys of the first, and the owner's token for the tests."""
    for other in others:
        for name in (*SHARED_KEYS, "owner.token"):
            shutil.copy(first.directory / name, other.directory / name)


def until(look: Callable[[], T | None], otherwise: str, seconds: float = _START_SECONDS) -> T:
    """What `look` finds, as soon as it finds something."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, otherwise
        time.sleep(0.05)
    return found
