"""The demo's own jitgate: its processes, and its API as a client in the same place sees it."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jitgate.connectors.hosts.netns import run_inside
from jitgate.core.errors import Unavailable
from jitgate.ops.demo.place import ADDRESSES, MACHINES, YOU, Place

LISTEN = f"{ADDRESSES[YOU]}:8443"
_STARTS_IN_SECONDS = 30.0


class Jitgate:
    """A data directory, and the processes that work on it while they live."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.directory = directory / "data"
        self._place = place
        self._log = directory / "log"
        self.directory.mkdir(mode=0o700)
        (self.directory / "jitgate.toml").write_text("\n".join(map(self._host, MACHINES)))

    def start(self) -> float:
        """Start it; the seconds until it was ready. Raises Unavailable, with what it said."""
        began = time.monotonic()
        (self.directory / "server.json").unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "jitgate.main", "serve"]
        with self._log.open("ab") as log:
            self._supervisor = self._place.start(
                YOU, [*command, "--data-dir", str(self.directory), "--listen", LISTEN], stdout=log, stderr=log
            )
        while not (self.directory / "server.json").exists():
            if self._supervisor.poll() is not None or time.monotonic() - began > _STARTS_IN_SECONDS:
                raise Unavailable(f"jitgate did not start. It said:\n{self._log.read_text()}")
            time.sleep(0.01)
        self._connect()
        return time.monotonic() - began

    def kill(self) -> int:
        """Kill every process of it with -9; how many there were."""
        pid = self._supervisor.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        # The supervisor first: it would start the others again.
        for each in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._supervisor.wait()
        return 1 + len(children)

    def stop(self) -> None:
        """End it in order."""
        self._supervisor.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(20)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the API answers. Raises Unavailable for anything but success."""
        self._connection.request(
            method,
            f"/api/v1{path}",
            json.dumps(body) if body is not None else None,
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Unavailable(f"jitgate answered {answer.status} to {method} {path}: {text.decode()[:500]}")
        return json.loads(text)

    def wait_for_machines(self) -> None:
        """Until the agent has told of every machine. Raises Unavailable."""
        give_up = time.monotonic() + _STARTS_IN_SECONDS
        while {each["name"] for each in self.call("GET", "/machines")["items"]} < set(MACHINES):
            if time.monotonic() > give_up:
                raise Unavailable(f"The machines do not appear. jitgate said:\n{self._log.read_text()}")
            time.sleep(0.02)

    def ask(self, machine: str, seconds: int) -> Mapping[str, Any]:
        """Ask for a machine's port 22, for the caller's own address; the grant."""
        port = {"number": 22, "duration": f"PT{seconds}S"}
        asked = self.call(
            "POST", "/requests", {"machines": [{"id": machine, "ports": [port]}], "justification": "the demo"}
        )
        grant: Mapping[str, Any] = asked["grants"][0]
        return grant

    def wait_until_closed(self, grant: str) -> Mapping[str, Any]:
        """A grant, once it is closed; as it then is, if that takes too long."""
        give_up = time.monotonic() + _STARTS_IN_SECONDS
        found: Mapping[str, Any] = self.call("GET", f"/grants/{grant}")
        while found["state"] != "closed" and time.monotonic() < give_up:
            time.sleep(0.02)
            found = self.call("GET", f"/grants/{grant}")
        return found

    def _connect(self) -> None:
        server = urlsplit(json.loads((self.directory / "server.json").read_text())["url"])
        self._token = (self.directory / "owner.token").read_text("ascii").strip()
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        connection = HTTPSConnection(str(server.hostname), server.port, context=context, timeout=30)
        run_inside(self._place.namespace(YOU), connection.connect)
        self._connection = connection

    def _host(self, name: str) -> str:
        namespace = self._place.namespace(name)
        return f'[[host]]\nname = "{name}"\nnamespace = "{namespace}"\naddresses = ["{ADDRESSES[name]}"]\n'
