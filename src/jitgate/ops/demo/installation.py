"""A real jitgate: the processes of `jitgate serve` on a data directory of its own, and its clients."""

import json
import os
import select
import signal
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from jitgate.core.errors import Unavailable
from jitgate.ops.demo import traces
from jitgate.ops.directory import DataDirectory

_COMMAND = (sys.executable, "-P", "-c", "from jitgate.main import run; run()")
_SERVER = "jitgate.main.server"
_START_SECONDS = 60.0
_ANSWER_SECONDS = 90.0
_END_SECONDS = 30.0
_WORTH_TELLING = 400
_WORTH_TELLING_LINES = 20


class Installation:
    """Protects the machines in its settings, as soon as it is told to. `data`: its data directory."""

    def __init__(self, directory: Path, settings: str) -> None:
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        DataDirectory(self.data).settings.write_text(settings, "utf-8")
        self._log = directory / "log"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("JITGATE_")}
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None

    def launch(self) -> None:
        """Start it."""
        command = [*_COMMAND, "serve", "--data-dir", str(self.data), "--listen", "127.0.0.1:0"]
        with self._log.open("ab") as log:
            # In a process group of its own: Ctrl-C is for the demo, which ends it afterwards.
            self._supervisor = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,
            )

    def await_ready(self) -> None:
        """Return when it serves. Raises Unavailable."""
        assert self._supervisor is not None
        assert self._supervisor.stdout is not None
        readable, _, _ = select.select([self._supervisor.stdout], [], [], _START_SECONDS)
        if not readable or not self._supervisor.stdout.readline():
            raise Unavailable(f"jitgate serve does not start. {self._last_words()}")
        self._client = self._make_client()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """What the server answers. Raises Unavailable."""
        assert self._client is not None
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(f"{method} {path}: {error}") from None
        if not answer.is_success:
            raise Unavailable(f"{method} {path}: {answer.text[:_WORTH_TELLING]}")
        return answer.json()

    def run(self, *arguments: str) -> str:
        """What a jitgate command says that succeeds. Raises Unavailable."""
        environment = {**self._environment, "JITGATE_DATA_DIR": str(self.data)}
        try:
            done = subprocess.run(
                [*_COMMAND, *arguments],
                capture_output=True,
                text=True,
                env=environment,
                check=False,
                timeout=_ANSWER_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"jitgate {arguments[0]} does not end. {self._last_words()}") from None
        if done.returncode != 0:
            raise Unavailable(f"jitgate {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def kill(self) -> int:
        """End every process with ``kill -9``; how many there were. Raises Unavailable if one survives."""
        pids = traces.serving(self.data)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        give_up = time.monotonic() + _END_SECONDS
        while traces.serving(self.data):
            if time.monotonic() > give_up:
                raise Unavailable("a process of jitgate survives kill -9")
            time.sleep(0.005)
        return len(pids)

    def kill_server(self) -> None:
        """End the server with ``kill -9``. Raises Unavailable where there is none."""
        pid = traces.running(self.data, _SERVER)
        if pid is None:
            raise Unavailable("there is no server to kill")
        os.kill(pid, signal.SIGKILL)

    def _make_client(self) -> httpx.Client:
        where = json.loads(DataDirectory(self.data).server.read_text("utf-8"))
        token = (self.data / "owner.token").read_text("utf-8").strip()
        return httpx.Client(
            base_url=f"{where['url']}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=self.data / "ca.pem"),
            timeout=_ANSWER_SECONDS,
            trust_env=False,
        )

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return "\n  ".join(["Its log ends with:", *lines[-_WORTH_TELLING_LINES:]])
