"""The process that starts the others, and starts them again.

::

    supervisor ──starts──> agent     holds the firewall
        │                    │ link: a socket pair, a new one for each agent
        ├─────starts──────> server   holds no right; is handed its end of the link over the control socket
        │                    │ link: a socket pair, a new one for each server or gateway
        └─────starts──────> gateway  holds no right either; only where the settings name a gateway. It outlives servers

It keeps its rights and touches nothing, imports little, and opens no file after the start. When it dies, the server
sees the control socket close and ends; when the server ends, the agent sees the link close and ends; and none of
them shuts or opens a port by ending.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jitgate.config.parts import Part
from jitgate.ops.directory import DataDirectory
from jitgate.trust.files import write_public

READY, LINK, GATEWAY_LINK = b"R", b"L", b"G"
"""What is said on the control socket: the server serves; here is a link to an agent, or to the gateways' process."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_HEALTHY_AFTER_SECONDS = 10.0
_DRAIN_SECONDS = 30.0
"""Besides the notice. The server gives requests 15 seconds, and what it has asked of firewalls 5."""
_WRITE_AGAIN_SECONDS = 1.0
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger("jitgate.supervisor")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is supervised. `listening`: the socket that the server accepts on; `lock`: kept by all while they live;
    `gateways`: whether there are any; `part`: what this replica does; `notice`: seconds for which it goes on before it
    ends."""

    directory: DataDirectory
    url: str
    listening: socket.socket
    lock: int
    gateways: bool = False
    part: Part = Part.ALL
    notice: float = 0.0


class Child:
    """One process, and when it is to be started again after it ended."""

    def __init__(self, name: str, start: Callable[[dict[str, str]], subprocess.Popen[bytes]]) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.due: float | None = 0.0
        self._start = start
        self._started = 0.0
        self._pause = _FIRST_PAUSE
        self._environment = dict(os.environ)

    def start_if_due(self, now: float) -> None:
        """Start it if it is time."""
        if self.due is None or now < self.due:
            return
        try:
            self.process = self._start(self._environment)
        except OSError as error:
            # No memory or no process table entry just now: no reason to end what still runs.
            _log.error("the %s cannot be started: %s", self.name, error)
            self.due = now + _LONGEST_PAUSE
            return
        self.due, self._started = None, now
        # A failpoint is for the first of its kind: its successors are to show that they recover.
        self._environment.pop("JITGATE_FAILPOINT", None)

    def ended(self, now: float) -> int | None:
        """Its exit code, if it has just ended; it is then due again after a pause that grows with each failure."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return None
        self.process = None
        healthy = code == 0 or now - self._started > _HEALTHY_AFTER_SECONDS
        self._pause = _FIRST_PAUSE if healthy else min(self._pause * 2, _LONGEST_PAUSE)
        self.due = now + self._pause
        return code

    def tell(self, with_signal: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(with_signal)


class Supervisor:
    """Runs both until it is told to end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._agent = Child("agent", self._start_agent)
        self._server = Child("server", self._start_server)
        self._gateway = Child("gateway", self._start_gateway)
        beside = [self._agent, *([self._gateway] if plan.gateways else [])] if plan.part.works else []
        self._children = [self._server, *beside]
        self._control: socket.socket | None = None
        self._to_gateway: socket.socket | None = None
        self._is_joined = True
        self._link: socket.socket | None = None
        self._was_ready = False
        self._write_again: float | None = None
        self._selector = selectors.DefaultSelector()
        self._ending = False

    def run(self) -> int:
        """Supervise until a signal to end, or until the very first server cannot start. Returns an exit code."""
        with _signals(self._on_signal) as wake:
            self._selector.register(wake, selectors.EVENT_READ)
            code: int | None = None
            while code is None and not self._ending:
                code = self._step()
                self._wait(wake)
            return self._drain() if code is None else self._give_up(code)

    def _step(self) -> int | None:
        """See who ended, start who is due. An exit code if there is no point in going on."""
        now = time.monotonic()
        for child in self._children:
            code = child.ended(now)
            if code is None:
                continue
            if child is self._server and not self._was_ready and code > 0:
                return code
            _log.warning("the %s ended with %d; starting it again", child.name, code)
        for child in self._children:
            child.start_if_due(now)
        self._hand_over_link()
        self._join_gateway()
        if self._write_again is not None and now >= self._write_again:
            self._write_where()
        return None

    def _wait(self, wake: socket.socket) -> None:
        due = [each for each in (*(child.due for child in self._children), self._write_again) if each is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        for key, _ in self._selector.select(timeout):
            if key.fileobj is wake:
                wake.recv(4096)
            else:
                self._listen(self._control)

    def _listen(self, control: socket.socket | None) -> None:
        """What the server says: that it serves; or nothing more."""
        heard = b""
        with contextlib.suppress(ConnectionResetError):  # It died before it had read everything.
            heard = control.recv(64) if control is not None else b""
        if heard.startswith(READY) and not self._was_ready:
            self._was_ready = True
            self._write_where()
            _announce(self._plan)
        if not heard:
            self._forget_control()

    def _write_where(self) -> None:
        """Leave for commands where the server is. On a full disk it goes on serving, and tries again."""
        try:
            where = {"url": self._plan.url, "pid": os.getpid()}
            write_public(self._plan.directory.server, json.dumps(where).encode() + b"\n")
        except OSError as error:
            if self._write_again is None:
                _log.error("cannot write where the server is: %s", error)
            self._write_again = time.monotonic() + _WRITE_AGAIN_SECONDS
        else:
            self._write_again = None

    def _start_agent(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [
                "-m",
                "jitgate.agent",
                "run",
                "--fd",
                str(theirs.fileno()),
                "--state",
                str(self._plan.directory.agent),
            ]
            process = self._spawn(arguments, environment, [theirs.fileno()])
        if self._link is not None:
            self._link.close()
        self._link = ours
        return process

    def _start_server(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        self._forget_control()
        ours, theirs = socket.socketpair()
        listening = self._plan.listening.fileno()
        with theirs:
            arguments = ["-m", "jitgate.main.server", "--data-dir", str(self._plan.directory.path)]
            arguments += ["--listening", str(listening), "--control", str(theirs.fileno()), "--role", self._plan.part]
            process = self._spawn(arguments, environment, [theirs.fileno(), listening])
        self._control = ours
        self._is_joined = False
        self._selector.register(ours, selectors.EVENT_READ)
        return process

    def _start_gateway(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        with theirs:
            state = str(self._plan.directory.agent)
            arguments = ["-m", "jitgate.main.gateway", "--control", str(theirs.fileno()), "--state", state]
            process = self._spawn(arguments, environment, [theirs.fileno()])
        if self._to_gateway is not None:
            self._to_gateway.close()
        self._to_gateway, self._is_joined = ours, False
        return process

    def _spawn(self, arguments: Sequence[str], environment: dict[str, str], fds: list[int]) -> subprocess.Popen[bytes]:
        # In a process group of its own: Ctrl-C ends the supervisor, which then ends the others in order. `-P`: a
        # folder that happens to be called jitgate where this was started is not what runs with our rights.
        return subprocess.Popen(
            [sys.executable, "-P", *arguments],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[*fds, self._plan.lock],
            process_group=0,
        )

    def _hand_over_link(self) -> None:
        if self._link is None or self._control is None:
            return
        try:
            socket.send_fds(self._control, [LINK], [self._link.fileno()])
        except OSError:
            # The server has just died; its successor gets the link.
            return
        self._link.close()
        self._link = None

    def _join_gateway(self) -> None:
        """Give the gateways and the server a link to each other, unless these two have one."""
        if self._is_joined or self._to_gateway is None or self._control is None:
            return
        ones, others = socket.socketpair()
        with ones, others:
            try:
                socket.send_fds(self._to_gateway, [LINK], [ones.fileno()])
                socket.send_fds(self._control, [GATEWAY_LINK], [others.fileno()])
            except OSError:
                # One of them has just died; its successor gets another.
                return
        self._is_joined = True

    def _forget_control(self) -> None:
        if self._control is not None:
            self._selector.unregister(self._control)
            self._control.close()
            self._control = None

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP and not os.isatty(0):
            # No terminal that was hung up: the service manager has the server look again at what others replace.
            self._server.tell(signal.SIGHUP)
            return
        if self._ending and number in _ENDING:
            # Told twice: at once.
            self._server.tell(signal.SIGTERM)
        self._ending = self._ending or number in _ENDING

    def _drain(self) -> int:
        """End the server, which finishes what it is doing; the agent ends with it."""
        _log.info("ending")
        self._server.tell(signal.SIGTERM)
        # The server has it too, and accepts as long as it likes; after that nobody shall be left waiting.
        self._plan.listening.close()
        give_up = time.monotonic() + self._plan.notice + _DRAIN_SECONDS
        _wait_for(self._server, give_up)
        self._end_others(give_up + 1.0)
        _remove(self._plan.directory.server)
        return 0

    def _give_up(self, code: int) -> int:
        self._end_others(time.monotonic() + 1.0)
        return code

    def _end_others(self, until: float) -> None:
        """All but the server."""
        others = [child for child in self._children if child is not self._server]
        for child in others:
            child.tell(signal.SIGTERM)
        for child in others:
            _wait_for(child, until)


def _wait_for(child: Child, until: float) -> None:
    if child.process is None:
        return
    try:
        child.process.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        _log.error("the %s does not end; killing it", child.name)
        child.process.kill()
        child.process.wait()


def _announce(plan: Plan) -> None:
    """Say where the server is: to people in one line, to systemd as it likes it."""
    try:
        print(f"jitgate is ready at {plan.url}  data {plan.directory.path}", flush=True)
        if plan.directory.sign_in.exists():
            # Not the link itself: what this prints is kept in logs.
            print(f"to sign in in a browser, open the link in {plan.directory.sign_in}", flush=True)
    except OSError as error:
        # Nobody who listens. What serves goes on serving.
        _log.error("cannot say where the server is: %s", error)
    notify_systemd("READY=1")


def notify_systemd(state: str) -> None:
    """Tell the service manager (sd_notify(3)); nobody where there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.suppress(OSError):
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.sendall(state.encode())


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _signals(heard: Callable[[int], None]) -> Iterator[socket.socket]:
    """Wakes a socket for each signal that ends us or tells of an ended child; puts back what was there."""
    numbers = (*_ENDING, signal.SIGCHLD)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    former = {number: signal.signal(number, lambda caught, _: heard(caught)) for number in numbers}
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in former.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()
