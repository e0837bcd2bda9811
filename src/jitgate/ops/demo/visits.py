"""What listens on the demo's machines, and somebody who is logged in there.

A real sshd and a real ssh where they are installed and work; else an echo server and a plain connection.
"""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from jitgate.connectors.hosts.netns import run_inside
from jitgate.ops.demo.place import ADDRESSES, MACHINES, YOU, Place

PORT = 22
ALIVE_WITHIN_SECONDS = 0.4
"""A visitor gives a sign of life every 50 ms; one who was silent for longer than this is cut off."""

_SSHD_STARTS_IN_SECONDS = 3.0
_PRIVILEGE_SEPARATION = Path("/run/sshd")


class Visit(Protocol):
    """Somebody who is connected. `last_sign`: when the machine last answered, on the monotonic clock."""

    last_sign: float

    def end(self) -> None: ...


class Door(Protocol):
    """What listens on port 22 of every machine."""

    name: str

    def visit(self, machine: str) -> Visit:
        """Log in from where you are. Raises OSError when that fails."""
        ...


def open_doors(place: Place, directory: Path) -> Door:
    """Have every machine listen."""
    if shutil.which("sshd") and shutil.which("ssh") and shutil.which("ssh-keygen"):
        with suppress(OSError):
            return Ssh(place, directory)
    return Echo(place)


def is_alive(visit: Visit) -> bool:
    """Whether the machine still answers."""
    return time.monotonic() - visit.last_sign < ALIVE_WITHIN_SECONDS


@contextmanager
def visiting(door: Door, machine: str) -> Iterator[Visit]:
    visit = door.visit(machine)
    try:
        yield visit
    finally:
        visit.end()


class Ssh:
    """OpenSSH, with keys of its own."""

    name = "sshd"

    def __init__(self, place: Place, directory: Path) -> None:
        self._place = place
        self._key = directory / "you.key"
        for name in (self._key, directory / "host.key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(name)]
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        settings = directory / "sshd.conf"
        settings.write_text(_SSHD.format(port=PORT, host_key=directory / "host.key", keys=f"{self._key}.pub"))
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        sshd = str(shutil.which("sshd"))
        command = [sshd, "-D", "-f", str(settings)]
        servers = [place.start(machine, command, stderr=subprocess.DEVNULL) for machine in MACHINES]
        try:
            self._wait()
        except OSError:
            for server in servers:
                server.kill()
                server.wait()
            raise

    def visit(self, machine: str) -> "SshVisit":
        return SshVisit(self._place, self._command(machine, "while :; do echo; sleep 0.05; done"))

    def _wait(self) -> None:
        """Until a log-in works. Raises OSError if none does: root may be locked, for one."""
        give_up = time.monotonic() + _SSHD_STARTS_IN_SECONDS
        for machine in MACHINES:
            while self._place.start(YOU, self._command(machine, "true"), stderr=subprocess.DEVNULL).wait(20):
                if time.monotonic() > give_up:
                    raise OSError(f"no log-in to {machine}")
                time.sleep(0.05)

    def _command(self, machine: str, remote: str) -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=2"]
        given = [word for option in [*options, "LogLevel=ERROR"] for word in ("-o", option)]
        return ["ssh", "-F", "/dev/null", "-i", str(self._key), *given, f"root@{ADDRESSES[machine]}", remote]


class SshVisit:
    """A log-in whose remote side writes a line every 50 ms."""

    def __init__(self, place: Place, command: list[str]) -> None:
        self._ssh = place.start(YOU, command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._ssh.stdout is not None
        self.last_sign = 0.0
        if not self._ssh.stdout.readline():
            raise OSError("ssh could not log in")
        self.last_sign = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()

    def end(self) -> None:
        self._ssh.kill()
        self._ssh.wait()

    def _read(self) -> None:
        assert self._ssh.stdout is not None
        while self._ssh.stdout.readline():
            self.last_sign = time.monotonic()


class Echo:
    """A server in this process that sends back what it gets."""

    name = "a listener"

    def __init__(self, place: Place) -> None:
        self._place = place
        for machine in MACHINES:
            server = run_inside(place.namespace(machine), lambda: socket.create_server(("0.0.0.0", PORT)))  # noqa: S104 - inside the demo's namespace
            threading.Thread(target=_accept, args=(server,), daemon=True).start()

    def visit(self, machine: str) -> "EchoVisit":
        connection = self._place.connect(YOU, machine, PORT, 2.0)
        if connection is None:
            raise OSError(f"{machine} does not answer")
        return EchoVisit(connection)


class EchoVisit:
    """A connection that sends a byte every 50 ms and waits for it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.last_sign = time.monotonic()
        threading.Thread(target=self._beat, daemon=True).start()

    def end(self) -> None:
        self._connection.close()

    def _beat(self) -> None:
        with suppress(OSError):
            while True:
                self._connection.sendall(b".")
                if not self._connection.recv(1):
                    return
                self.last_sign = time.monotonic()
                time.sleep(0.05)


def _accept(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with suppress(OSError), connection:
        while data := connection.recv(1024):
            connection.sendall(data)


_SSHD = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {host_key}
AuthorizedKeysFile {keys}
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
"""
