"""The hosts that one agent holds, as the file that it is given: written by whoever starts it, read by the agent.

``DIR/agent`` holds ``hosts.json``, the agent's ``pid`` (locked while it lives), and a directory for each host with
what must outlive the agent: ``machine`` for the machine itself, ``netns/NAME`` for a network namespace.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jitgate.connectors.base import ConnectorError
from jitgate.core.prefixes import Prefix, canonical
from jitgate.trust.files import write_private

FILE, PID = "hosts.json", "pid"


@dataclass(frozen=True, slots=True)
class Host:
    """`uuid`: the machine, for ever. `namespace`: None for the machine itself. `joined_as`: the scope that a server
    elsewhere gave it, "" for a host beside its server."""

    name: str
    uuid: str
    namespace: str | None = None
    always_allow: tuple[Prefix, ...] = ()
    joined_as: str = ""

    @property
    def scope(self) -> str:
        return self.joined_as or f"host/{self.name}"

    def directory(self, agent: Path) -> Path:
        """Where this host's part of what must outlive the agent is."""
        return agent / "machine" if self.namespace is None else agent / "netns" / self.namespace


def write(agent: Path, hosts: Sequence[Host]) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    agent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(agent / FILE, json.dumps([asdict(host) for host in hosts], indent=1).encode())


def read(agent: Path) -> tuple[Host, ...]:
    """The hosts in the file. Raises ConnectorError if there is none, or what it says is not understood."""
    path = agent / FILE
    try:
        return tuple(map(_host, list(json.loads(path.read_bytes()))))
    except FileNotFoundError:
        raise ConnectorError(f"there is no {path}; start `jitgate serve` once with this data directory") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConnectorError(f"{path} is damaged ({error})") from None


def hold_pid(agent: Path, *, wait: bool) -> int | None:
    """Be the one process that may hold these hosts, until it ends or the descriptor that is returned is closed.

    `wait`: for an earlier one to end; if not, None while there is one. Raises OSError.
    """
    descriptor = os.open(agent / PID, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def running_pid(agent: Path) -> int | None:
    """The agent's process id; None if none is running. A number left behind by a dead one does not count."""
    try:
        with (agent / PID).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _read_pid(agent / PID)
    return None


def _host(told: dict[str, Any]) -> Host:
    always_allow = tuple(map(canonical, told["always_allow"]))
    return Host(told["name"], told["uuid"], told["namespace"], always_allow, told.get("joined_as", ""))


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except ValueError:
        return None
