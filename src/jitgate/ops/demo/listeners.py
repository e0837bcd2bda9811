"""What listens on the demo's machines: a real sshd where that can be, else an echo; and sessions with it."""

import errno
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from jitgate.connectors.hosts.netns import run_inside
from jitgate.core.errors import Unavailable
from jitgate.ops.demo.connections import PORT, Answer, Session, attempts, family_of, knock, make_socket
from jitgate.ops.demo.network import Network, Node

_START_SECONDS = 30.0
_LOGIN_SECONDS = 30.0
_PIECE = 4096

_SSHD = """\
Port {port}
HostKey "{keys}/{machine}"
AuthorizedKeysFile "{keys}/alice.pub"
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
X11Forwarding no
PidFile none
"""
_SSH = """\
Host {machine}
  HostName {address}
  HostKeyAlias {machine}
"""
_SSH_EVERYWHERE = """\
Host *
  User root
  Port {port}
  IdentityFile "{keys}/alice"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "{keys}/known_hosts"
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
"""


class Listeners(Protocol):
    """What is the same for all that listens. `name`: what it is called."""

    name: str

    def connect(self, client: Node, machine: Node) -> Session:
        """A session that stays up. Raises Unavailable."""
        ...

    def command(self, client: Node, machine: Node) -> str:
        """What a person types to connect."""
        ...


def listen(network: Network, directory: Path) -> Listeners:
    """Something that listens on every machine, tried out. Raises Unavailable."""
    if all(map(shutil.which, ("sshd", "ssh", "ssh-keygen"))):
        sshd = Sshd(network, directory)
        try:
            return _tried(sshd, network)
        except Unavailable:
            # Root may not log in here, say, or this is a user namespace, in which sshd cannot work.
            sshd.close()
    return _tried(Echo(network), network)


class Sshd:
    """An sshd(8) for each machine, with keys of its own. Its processes end with their namespaces."""

    name = "ssh"

    def __init__(self, network: Network, directory: Path) -> None:
        self._config = directory / "ssh"
        self._log = directory / "ssh.log"
        self._keys = directory / "keys"
        self._keys.mkdir()
        for name in ("alice", *(machine.name for machine in network.machines)):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self._keys / name))
        self._configure(network)
        self._processes = [self._start(machine) for machine in network.machines]

    def connect(self, client: Node, machine: Node) -> Session:
        ours, theirs = socket.socketpair()
        command = ["ssh", "-T", "-F", str(self._config), machine.name, "cat"]
        with theirs, self._log.open("ab") as log:
            ends = theirs.fileno()
            carrier = run_inside(
                client.namespace, lambda: subprocess.Popen(command, stdin=ends, stdout=ends, stderr=log)
            )
        return _established(Session(ours, carrier), client, machine)

    def command(self, client: Node, machine: Node) -> str:
        return f"ip netns exec {client.namespace} ssh -F {shlex.quote(str(self._config))} {machine}"

    def close(self) -> None:
        """Listen no longer."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _configure(self, network: Network) -> None:
        known, hosts = [], []
        for machine in network.machines:
            own = self._keys / machine.name
            known.append(f"{machine} {own.with_name(f'{machine}.pub').read_text('utf-8')}")
            hosts.append(_SSH.format(machine=machine, address=machine.addresses[0]))
            text = _SSHD.format(port=PORT, keys=self._keys, machine=machine)
            own.with_name(f"{machine}.conf").write_text(text, "utf-8")
        (self._keys / "known_hosts").write_text("".join(known), "utf-8")
        self._config.write_text("".join([*hosts, _SSH_EVERYWHERE.format(port=PORT, keys=self._keys)]), "utf-8")

    def _start(self, machine: Node) -> subprocess.Popen[bytes]:
        inside = ["ip", "netns", "exec", machine.namespace]
        command = [sys.executable, "-P", "-m", "jitgate.ops.demo.sshd", str(self._keys / f"{machine}.conf")]
        with self._log.open("ab") as log:
            # In a process group of its own: Ctrl-C is for the demo, which ends it afterwards.
            return subprocess.Popen(
                [*inside, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )


class Echo:
    """Says back what it hears, on every machine; in threads of this process, which end with it."""

    name = "echo"

    def __init__(self, network: Network) -> None:
        for machine in network.machines:
            listening = _listening(machine)
            threading.Thread(target=_accept, args=(listening, machine), daemon=True).start()

    def connect(self, client: Node, machine: Node) -> Session:
        address = machine.addresses[0]
        made = make_socket(client, family_of(address))
        made.settimeout(_LOGIN_SECONDS)
        try:
            made.connect((address, PORT))
        except OSError as error:
            made.close()
            raise Unavailable(f"{client} cannot connect to {machine}: {error}.") from None
        return _established(Session(made), client, machine)

    def command(self, client: Node, machine: Node) -> str:
        return f"ip netns exec {client.namespace} bash -c 'cat < /dev/tcp/{machine.addresses[0]}/{PORT}'"


def _listening(machine: Node) -> socket.socket:
    """A socket that listens on a machine, as soon as the port is free. Raises Unavailable."""
    made = make_socket(machine, socket.AF_INET6)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    # An sshd that was given up has ended connections, and may leave a child that takes a moment to let go of the port.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            made.bind(("::", PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                made.close()
                raise Unavailable(f"port {PORT} of {machine} cannot be listened on: {error.strerror}") from None
            time.sleep(0.02)
        else:
            made.listen()
            return made


def _tried(listeners: Listeners, network: Network) -> Listeners:
    """The same, once every client has got through to every machine. Raises Unavailable."""
    everyone = [
        each for client in network.clients for machine in network.machines for each in attempts(client, machine)
    ]
    give_up = time.monotonic() + _START_SECONDS
    while silent := [each for each, answer in knock(everyone).items() if answer is not Answer.ACCEPTED]:
        if time.monotonic() > give_up:
            raise Unavailable(f"{listeners.name} does not listen: {silent[0]} is not let in.")
        time.sleep(0.02)
    listeners.connect(network.alice, network.web).close()
    return listeners


def _established(session: Session, client: Node, machine: Node) -> Session:
    """The same, once it carries a line there and back. Raises Unavailable."""
    if session.exchange(_LOGIN_SECONDS) is None:
        session.close()
        raise Unavailable(f"no session of {client} on {machine} comes about")
    return session


def _accept(listening: socket.socket, machine: Node) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_echo, args=(connection, machine), daemon=True).start()


def _echo(connection: socket.socket, machine: Node) -> None:
    with connection, suppress(OSError):
        connection.sendall(f"This is {machine}. It says back what you say.\n".encode("ascii"))
        while heard := connection.recv(_PIECE):
            connection.sendall(heard)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_START_SECONDS)
    if done.returncode != 0:
        raise Unavailable(f"{command[0]}: {done.stderr.strip()}")
