"""Machines for tests: network namespaces joined by veth pairs, with real listeners and real connections.

    with Network() as network:
        with network.host.listen(2222):
            assert network.alice.can_connect(HOST4, 2222)

The picture: ``alice`` and ``bob`` each have a link of their own to ``host``, which answers on HOST4 and HOST6
and forwards between them. Names start with ``jg-``, the process id and a random part.
"""

import contextlib
import os
import secrets
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from jitgate.connectors.hosts.netns import run_inside

HOST4, HOST6 = "10.71.0.1", "fd71::1"
ALICE4, ALICE6 = "10.71.1.2", "fd71:1::2"
ALICE4_SECOND, ALICE6_SECOND = "10.71.1.3", "fd71:1::3"
"""Another address of the same client, in the same /24 and /64."""
BOB4, BOB6 = "10.71.2.2", "fd71:2::2"
CAROL4, CAROL6, DAVE4 = "10.71.3.2", "fd71:3::2", "10.71.4.2"  # of those that a test adds

SHUT_AFTER = 0.25
"""Seconds without an answer after which a port counts as shut. An open one answers within a few milliseconds."""

_SLICES = 10

T = TypeVar("T")


class Namespace:
    """One network namespace, loopback up. Removed with `close`, or as a context manager."""

    def __init__(self, label: str) -> None:
        self.name = f"jg-{os.getpid()}-{secrets.token_hex(3)}-{label}"
        run(["ip", "netns", "add", self.name])
        self.ip("link set lo up")
        # Detecting duplicate addresses takes a second in which IPv6 does not work.
        self.set("ipv6/conf/all/accept_dad", "0")
        self.set("ipv6/conf/default/accept_dad", "0")

    def inside(self, act: Callable[[], T]) -> T:
        """What `act` returns when it runs in this namespace."""
        return run_inside(self.name, act)

    def run(self, *command: str) -> str:
        """A command's standard output. Raises AssertionError, with what it said, when it fails."""
        return run(["ip", "netns", "exec", self.name, *command])

    def ip(self, *commands: str) -> None:
        """Several iproute2 commands in one process."""
        run(["ip", "-n", self.name, "-batch", "-"], "\n".join(commands))

    def set(self, setting: str, value: str) -> None:
        """One of the namespace's settings below /proc/sys/net."""
        self.inside(lambda: Path("/proc/sys/net", setting).write_text(value, "ascii"))

    def nft(self, commands: str) -> str:
        """nft commands, as another program on the machine would give them."""
        return run(["ip", "netns", "exec", self.name, "nft", "-f", "-"], commands)

    def make_socket(self, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that lives in this namespace, usable from any thread."""
        return self.inside(lambda: socket.socket(family, kind))

    def connect(
        self, address: str, port: int, *, timeout: float = SHUT_AFTER, source: str = "", source_port: int = 0
    ) -> socket.socket:
        """A TCP connection. Raises OSError; TimeoutError means that nothing answered."""
        made = self.make_socket(family_of(address))
        try:
            made.settimeout(timeout)
            if source or source_port:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((source or any_of(address), source_port))
            made.connect((address, port))
        except BaseException:
            made.close()
            raise
        return made

    def can_connect(self, address: str, port: int, *, timeout: float = SHUT_AFTER, source: str = "") -> bool:
        """Whether a TCP connection comes about. False also when it is refused."""
        try:
            self.connect(address, port, timeout=timeout, source=source).close()
        except OSError:
            return False
        return True

    def can_exchange(self, address: str, port: int, *, timeout: float = SHUT_AFTER, source: str = "") -> bool:
        """Whether a UDP datagram to an echo listener comes back."""
        with self.make_socket(family_of(address), socket.SOCK_DGRAM) as made:
            made.settimeout(timeout)
            if source:
                made.bind((source, 0))
            try:
                made.connect((address, port))
                made.send(b"ping")
                return answers(made, timeout) and made.recv(16) == b"ping"
            except OSError:
                return False

    def listen(self, port: int, *, udp: bool = False) -> "Listener":
        """An echo server on every address of both families."""
        return Listener(self, port, udp=udp)

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Listener:
    """An echo server in threads of this process. Counts what it accepted; `close` ends it and its connections."""

    def __init__(self, namespace: Namespace, port: int, *, udp: bool = False) -> None:
        self.port = port
        self.accepted = 0
        self._open: list[socket.socket] = []
        self._socket = namespace.make_socket(socket.AF_INET6, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("::", port))
        if udp:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            self._socket.listen(64)
        threading.Thread(target=self._echo_datagrams if udp else self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.accepted += 1
                self._open.append(connection)
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(4096):
                connection.sendall(data)
        connection.close()

    def _echo_datagrams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, arrival, _, peer = self._socket.recvmsg(65536, 256)
                if not peer:
                    return
                # The arrival tells the address that was asked; the answer must come from that one.
                with contextlib.suppress(PermissionError):
                    self._socket.sendmsg([data], arrival, 0, peer)

    def close(self) -> None:
        for each in [self._socket, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Network:
    """A host and two clients. A context manager; everything it made goes when it ends."""

    def __init__(self) -> None:
        self._made: list[Namespace] = []
        try:
            self.host = self._namespace("host")
            self.alice = self._namespace("alice")
            self.bob = self._namespace("bob")
            self.host.ip(f"addr add {HOST4}/32 dev lo", f"addr add {HOST6}/128 dev lo nodad")
            self.host.set("ipv4/ip_forward", "1")
            self.host.set("ipv6/conf/all/forwarding", "1")
            self.join(self.alice, 1, (ALICE4, ALICE4_SECOND), (ALICE6, ALICE6_SECOND))
            self.join(self.bob, 2, (BOB4,), (BOB6,))
        except BaseException:
            self.close()
            raise

    def add(self, label: str, number: int) -> Namespace:
        """One more machine behind the host, as ``10.71.<number>.2`` and ``fd71:<number>::2``."""
        made = self._namespace(label)
        self.join(made, number, (f"10.71.{number}.2",), (f"fd71:{number}::2",))
        return made

    def join(self, client: Namespace, number: int, addresses4: Sequence[str], addresses6: Sequence[str]) -> None:
        """Link a client to the host, with the host as its way to everywhere."""
        host_end, client_end = f"to-{number}", "eth0"
        self.host.ip(
            f"link add {host_end} type veth peer name {client_end} netns {client.name}",
            f"addr add 10.71.{number}.1/24 dev {host_end}",
            f"addr add fd71:{number}::1/64 dev {host_end} nodad",
            f"link set {host_end} up",
        )
        client.ip(
            *(f"addr add {address}/24 dev {client_end}" for address in addresses4),
            f"addr add {addresses6[0]}/64 dev {client_end} nodad",
            # A deprecated address is used only when it is asked for, so that the first one is the default.
            *(f"addr add {address}/64 dev {client_end} nodad preferred_lft 0" for address in addresses6[1:]),
            f"link set {client_end} up",
            f"route add default via 10.71.{number}.1",
            f"route add default via fd71:{number}::1",
        )

    def close(self) -> None:
        for namespace in self._made:
            namespace.close()

    def _namespace(self, label: str) -> Namespace:
        made = Namespace(label)
        self._made.append(made)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def echoes(connection: socket.socket, timeout: float = SHUT_AFTER) -> bool:
    """Whether an established connection still carries data both ways."""
    connection.settimeout(timeout)
    try:
        connection.sendall(b"still there?")
        return answers(connection, timeout) and bool(connection.recv(64))
    except OSError:
        return False


def answers(connection: socket.socket, seconds: float = SHUT_AFTER) -> bool:
    """Whether anything comes within seconds.

    Waited for in slices: who answers is a thread of this process, and a machine that stands still takes one slice from
    it and not all.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return any(poll.poll(1000 * seconds / _SLICES) for _ in range(_SLICES))


def run(command: Sequence[str], text: str = "") -> str:
    """A command's standard output. Raises AssertionError, with what it said, when it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def any_of(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"
