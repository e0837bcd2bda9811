"""The real command line against a real server over TLS, with a firewall in memory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.server import Server, silenced
from typer.testing import CliRunner

from jitgate.cli import app
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.machine import Machine

ME = "203.0.113.7"
STRANGER = "198.51.100.9"
MAIN = [sys.executable, "-c", "from jitgate.cli import app; app(prog_name='jitgate')"]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


class Cli:
    """Commands of somebody who is logged in over SSH from ME."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.environ: dict[str, str] = {
            "JITGATE_URL": server.base_url,
            "JITGATE_TOKEN": server.token,
            "JITGATE_CA": str(server.ca),
            "SSH_CLIENT": f"{ME} 50000 22",
            "XDG_RUNTIME_DIR": str(home),
            "HOME": str(home),
            "PATH": os.environ["PATH"],
        }

    def __call__(self, *words: str, input: str | None = None, **environ: str) -> Ran:
        """Run a command in this process, with nothing of the outer environment."""
        nothing = dict.fromkeys(set(os.environ) - set(self.environ))
        result = CliRunner().invoke(app, words, input=input, env={**nothing, **self.environ, **environ})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def start(self, *words: str, stdin: int = subprocess.DEVNULL, **environ: str) -> "subprocess.Popen[bytes]":
        """Run a command in a process of its own."""
        return subprocess.Popen(
            [*MAIN, *words],
            env={**self.environ, **environ},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def reaches(self, name: str = "web-1", port: int = 22, source: str = ME, protocol: Protocol = Protocol.TCP) -> bool:
        """Whether a new connection to a machine gets through its firewall."""
        found = self.machine(name)
        return self.server.connector.reaches(found.scope, PortKey(found.uuid, port, protocol), source)

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.server.connector.machines if machine.name == name)

    def grants(self, **query: str) -> list[Mapping[str, Any]]:
        """The grants that are not closed, as the server tells them."""
        with self.server.client() as client:
            found: list[Mapping[str, Any]] = client.get("/api/v1/grants", params=query).json()["items"]
        return found


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something comes to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def finish(process: "subprocess.Popen[bytes]", seconds: float = 90.0) -> Ran:
    """Wait for a command, longer than any waits for a firewall; and never leave it behind."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with silenced():
        yield


@pytest.fixture(autouse=True, scope="module")
def heeds_ctrl_c() -> None:
    """Commands inherit whether it is ignored, as it is where the tests were started in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A server of its own, with web-1 protected."""
    with running(Server(furnish(tmp_path))) as made:
        yield made


@pytest.fixture(scope="module")
def shared_cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The same for a whole module: for tests that change nothing."""
    with running(Server(furnish(tmp_path_factory.mktemp("shared")))) as made:
        yield made


def furnish(place: Path) -> Path:
    """A data directory below a place, and a home beside it."""
    data, home = place / "data", place / "home"
    data.mkdir()
    home.mkdir()
    return data


@contextmanager
def running(server: Server) -> Iterator[Cli]:
    """A command line for a server that runs, with web-1 protected."""
    with server:
        made = Cli(server, server.directory.parent / "home")
        protect(made, "web-1")
        yield made


def protect(cli: Cli, *names: str) -> None:
    ran = cli("enable", *names)
    assert ran.code == 0, ran
