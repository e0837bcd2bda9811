"""Where the demo happens: namespaces on a bridge of their own.

::

    you 10.77.0.2 ──┐            ┌── web-1 10.77.0.11
                    ├── switch ──┤
    stranger  .3  ──┘            └── web-2 10.77.0.12

`you` is where jitgate serves and where its commands are given; the machines know nothing of it.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jitgate.connectors.hosts.netns import DIRECTORY, run_inside
from jitgate.core.errors import Unavailable

YOU, STRANGER = "you", "stranger"
ADDRESSES: Mapping[str, str] = {YOU: "10.77.0.2", STRANGER: "10.77.0.3", "web-1": "10.77.0.11", "web-2": "10.77.0.12"}
MACHINES = ("web-1", "web-2")
_SWITCH = "switch"
_PREFIX = "jg-demo-"
_COMMAND_MAY_TAKE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """The namespaces. Their names carry the process id, so that two demos do not meet."""

    prefix: str

    def namespace(self, label: str) -> str:
        return f"{self.prefix}-{label}"

    def start(self, label: str, command: Sequence[str], **options: object) -> "subprocess.Popen[bytes]":
        """Start a program in a namespace. Raises OSError."""
        # A process belongs to the namespace of the thread that starts it.
        return run_inside(
            self.namespace(label),
            lambda: subprocess.Popen(command, stdin=subprocess.DEVNULL, **options),  # type: ignore[call-overload]
        )

    def connect(self, label: str, to: str, port: int, seconds: float) -> socket.socket | None:
        """A TCP connection from one to another; None if there is no answer in time."""
        made = run_inside(self.namespace(label), lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        made.settimeout(seconds)
        try:
            made.connect((ADDRESSES[to], port))
        except OSError:
            made.close()
            return None
        return made

    def reaches(self, label: str, to: str, port: int, seconds: float = 0.3) -> bool:
        """Whether a connection comes about."""
        made = self.connect(label, to, port, seconds)
        if made is not None:
            made.close()
        return made is not None


def make() -> Place:
    """Make them all. Raises Unavailable; then nothing is left of them."""
    _remove_leftovers()
    place = Place(f"{_PREFIX}{os.getpid()}")
    try:
        for label in (_SWITCH, *ADDRESSES):
            _ip("netns", "add", place.namespace(label))
        switch = place.namespace(_SWITCH)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number, (label, address) in enumerate(ADDRESSES.items()):
            _plug_in(place, switch, f"port{number}", label, address)
    except BaseException:
        remove(place)
        raise
    return place


def remove(place: Place) -> None:
    """End every process in the namespaces, and remove them."""
    for label in (*ADDRESSES, _SWITCH):
        name = place.namespace(label)
        _end_processes(name)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _remove_leftovers() -> None:
    """What a demo that was killed could not remove."""
    for found in DIRECTORY.glob(f"{_PREFIX}*-{_SWITCH}") if DIRECTORY.exists() else ():
        prefix = found.name.removesuffix(f"-{_SWITCH}")
        if not Path("/proc", prefix.removeprefix(_PREFIX)).exists():
            remove(Place(prefix))


def _plug_in(place: Place, switch: str, port: str, label: str, address: str) -> None:
    name = place.namespace(label)
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    _ip("-n", name, "link", "set", "eth0", "up")


def _end_processes(name: str) -> None:
    """All but ourselves, until none is left: one that is ending may still start another."""
    for _ in range(50):
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
        pids = [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _ip(*arguments: str) -> None:
    try:
        done = subprocess.run(
            ["ip", *arguments], capture_output=True, text=True, check=False, timeout=_COMMAND_MAY_TAKE_SECONDS
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"The demo needs the ip command (package iproute2): {error}.") from None
    if done.returncode != 0:
        said = done.stderr.strip()
        raise Unavailable(f"The demo cannot make its network: ip {' '.join(arguments)}: {said}. Run it as root.")
