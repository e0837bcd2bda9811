"""What the gateway costs: how soon it opens, bulk throughput beside another relay in the same run, and memory of idle
connections.

The other relay is HAProxy or socat where one is installed; else `bench.splice`, the least that a relay can be.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from bench import mapped
from bench.figures import Aim, Row, median, number
from bench.processes import resident

_PIECE = 1 << 20
_IDLE = 2_000


class Sink:
    """Reads all that comes, and counts it; keeps connections that say nothing."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listening.getsockname()[1]
        self.connections: list[socket.socket] = []
        self._heard = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listening, *self.connections):
            each.close()

    def drained(self) -> None:
        """Return when a connection has said everything."""
        self._heard.acquire()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                made, _ = self._listening.accept()
                self.connections.append(made)
                if len(self.connections) < _IDLE // 10:
                    threading.Thread(target=self._read, args=(made,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        room = bytearray(_PIECE)
        with suppress(OSError):
            while connection.recv_into(room):
                pass
        self._heard.release()


def measure(scratch: Path, times: int, seconds: float, rounds: int) -> Iterator[Row]:
    """So many requests; then throughput in turns, and memory."""
    yield from mapped.measure(scratch, times)
    with tempfile.TemporaryDirectory(prefix="jitgate-bench-gateway-") as directory, ExitStack() as opened:
        sink = Sink()
        opened.callback(sink.close)
        ours, process = _gateway(opened, Path(directory), sink.port)
        name, other = _other(opened, Path(directory), sink.port)
        pairs = []
        for turn in range(rounds):
            order = [(ours, 0), (other, 1)] if turn % 2 else [(other, 1), (ours, 0)]
            found = {which: _throughput(port, sink, seconds) for port, which in order}
            pairs.append((found[0], found[1]))
        mine, its = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
        yield Row(
            "gateway, bulk throughput of one connection",
            f"{number(mine / 1e6)} MB/s",
            median([one / two for one, two in pairs]),
            against=f"{name} {number(its / 1e6)} MB/s",
            aim=Aim(0.5, at_least=True),
        )
        yield _memory(opened, ours, process)


def _memory(opened: ExitStack, port: int, pid: int) -> Row:
    before = resident(pid) / 1e6
    for _ in range(_IDLE):
        opened.enter_context(socket.create_connection(("127.0.0.1", port), 10))
    time.sleep(1.0)
    after = resident(pid) / 1e6
    return Row(
        f"gateway, resident, {_IDLE:,} idle connections",
        f"{number(after)} MB",
        (after - before) * 1024 / _IDLE,
        "KiB each",
        f"none {number(before)} MB",
    )


def _throughput(port: int, sink: Sink, seconds: float) -> float:
    """Bytes a second, from the first that was sent to the last that arrived."""
    piece = bytes(_PIECE)
    sent = 0
    with socket.create_connection(("127.0.0.1", port), 10) as made:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            made.sendall(piece)
            sent += len(piece)
        made.shutdown(socket.SHUT_WR)
        sink.drained()
        return sent / (time.monotonic() - began)


def _gateway(opened: ExitStack, directory: Path, target: int) -> tuple[int, int]:
    """The mapped port of a gateway in a process of its own, and that process."""
    command = [sys.executable, "-m", "bench.lone_gateway", str(directory), str(target)]
    return _started(opened, command)


def _other(opened: ExitStack, directory: Path, target: int) -> tuple[str, int]:
    """Another relay's name and port."""
    port = _free()
    if shutil.which("haproxy"):
        config = directory / "haproxy.cfg"
        config.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
            f"listen l\n bind 127.0.0.1:{port}\n server s 127.0.0.1:{target}\n"
        )
        return "HAProxy", _waited_for(opened, ["haproxy", "-db", "-f", str(config)], port)
    if shutil.which("socat"):
        ends = [f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", f"TCP:127.0.0.1:{target}"]
        return "socat", _waited_for(opened, ["socat", *ends], port)
    return "a bare relay by splice(2)", _started(opened, [sys.executable, "-m", "bench.splice", str(target)])[0]


def _started(opened: ExitStack, command: list[str]) -> tuple[int, int]:
    """The port that a process says, and the process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    opened.callback(_ended, process)
    assert process.stdout is not None
    return int(process.stdout.readline()), process.pid


def _waited_for(opened: ExitStack, command: list[str], port: int) -> int:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    opened.callback(_ended, process)
    give_up = time.monotonic() + 5
    while not _answers(port) and time.monotonic() < give_up:
        time.sleep(0.05)
    return port


def _ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _answers(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found: int = listening.getsockname()[1]
        return found
