"""The demo: what it shows holds, and whatever becomes of it, nothing of it is left."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self
from unittest.mock import Mock

import pytest
from tests.netns import ALICE4, ALICE6, HOST4, HOST6, Network
from tests.processes import COMMAND, until

from jitgate.clock import ManualClock
from jitgate.core.errors import Unavailable
from jitgate.ops.demo import rights, traces
from jitgate.ops.demo.connections import PORT, Answer, attempts
from jitgate.ops.demo.listeners import Echo
from jitgate.ops.demo.network import Node
from jitgate.ops.demo.story import Story, expect
from jitgate.ops.demo.telling import Broken, Watched

# Each demo that starts removes what others have left, so no two of these tests run at once.
pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(600)]

DEMO = (*COMMAND, "demo")
UNSHARED = (*rights.UNSHARE, sys.executable, "-P", "-m", "jitgate.ops.demo.unshared")
STEPS = (
    *("set up", "protect", "shut", "open", "only her", "session", "done", "again"),
    *("kill -9", "on time", "restart", "activity"),
)
GATEWAY_STEPS = ("set up", "protect", "open", "only her", "session", "done", "again", "kill -9", "on time", "activity")
CLOUD_STEPS = (
    *("set up", "connect", "protect", "shut", "open", "only her", "session", "done", "again"),
    *("kill -9", "sweep", "restart", "activity"),
)
WITHOUT_RIGHTS = "from jitgate.ops.privileges import drop_all; drop_all(); from jitgate.main import run; run()"


class Demo:
    """A demo as a process of its own. `said` is what it has printed."""

    def __init__(self, folder: Path, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._said = folder / f"said-{os.urandom(4).hex()}"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def until_it_says(self, text: str) -> None:
        until(
            lambda: text in self.said or self.process.poll() is not None, f"it does not say {text!r}: {self.said}", 120
        )
        assert text in self.said

    def missing_steps(self) -> list[str]:
        """Those that it has not told of."""
        return [step for step in STEPS if f" s  {step:<9}" not in self.said]

    def traces(self) -> list[str]:
        """What there is of it: namespaces, directories, and processes that name one of them."""
        mark = f"jg-demo-{self.process.pid}-"
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.splitlines()
        return [
            *(line for line in listed if line.startswith(mark)),
            *(path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith(mark)),
            *(line for line in map(_command_line, Path("/proc").iterdir()) if mark in line),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
        self.process.kill()
        self.process.wait()
        traces.remove(self.process.pid)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Demo]]:
    """Two demos at the same time, which must not disturb each other: one as root that ends by itself, and one in a user
    namespace, as for anybody, that stays up."""
    folder = tmp_path_factory.mktemp("demos")
    with Demo(folder, [*DEMO, "--once"]) as once, Demo(folder, UNSHARED) as stays:
        yield once, stays


def test_every_step_holds_and_nothing_is_left(told: tuple[Demo, Demo]) -> None:
    once, _ = told
    assert once.process.wait(300) == 0, once.said
    assert once.missing_steps() == []
    assert once.traces() == []


def test_the_demo_stays_up_until_ctrl_c_and_leaves_nothing(told: tuple[Demo, Demo]) -> None:
    _, stays = told
    stays.until_it_says("Ctrl-C")
    assert stays.missing_steps() == []
    assert "asked, open, userRequested, asked, open, expired" in stays.said
    assert "jitgate open web-1 ssh" in stays.said
    assert stays.traces()
    stays.process.send_signal(signal.SIGINT)
    assert stays.process.wait(60) == 0
    assert stays.traces() == []


def test_a_demo_that_is_ended_halfway_leaves_nothing(tmp_path: Path) -> None:
    with Demo(tmp_path, DEMO) as demo:
        demo.until_it_says(" shut ")
        demo.process.terminate()
        assert demo.process.wait(60) == 128 + signal.SIGTERM
        assert demo.traces() == []


def test_what_a_killed_demo_left_is_removed_by_the_next_one_and_what_one_that_runs_has_is_not(tmp_path: Path) -> None:
    with Demo(tmp_path, DEMO) as demo:
        demo.until_it_says(" protect ")
        traces.sweep()
        assert demo.traces()
        demo.process.kill()
        demo.process.wait()
        assert demo.traces()
        traces.sweep()
        assert demo.traces() == []


def test_directories_of_other_people_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may make one in /tmp that is called as a demo's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    own, others = tmp_path / f"jg-demo-{gone.pid}-own", tmp_path / f"jg-demo-{gone.pid}-others"
    own.mkdir()
    others.mkdir()
    os.chown(others, 65534, 65534)
    traces.sweep()
    assert list(tmp_path.iterdir()) == [others]


def test_where_the_firewall_cannot_be_driven_the_demo_fails_and_names_the_step(tmp_path: Path) -> None:
    """A library that is none stands for a machine without a firewall that jitgate can drive."""
    (tmp_path / "libnftables.so.1").write_text("no library")
    with Demo(tmp_path, [*DEMO, "--once"], {"LD_LIBRARY_PATH": str(tmp_path)}) as demo:
        assert demo.process.wait(60) == 1
        assert " s  protect  FAILED: " in demo.said
        assert "libnftables" in demo.said
        assert " shut " not in demo.said
        assert demo.traces() == []


@pytest.fixture(scope="module")
def in_clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Demo]]:
    """As root in front of Azure's groups, and as anybody, in a user namespace, in front of AWS's. At the same time: a
    demo waits most of its time, and no step here is held to milliseconds."""
    folder = tmp_path_factory.mktemp("clouds")
    with Demo(folder, [*DEMO, "--azure", "--once"]) as azure, Demo(folder, [*UNSHARED, "--aws", "--once"]) as aws:
        yield {"azure": azure, "aws": aws}


@pytest.mark.parametrize("cloud", ["azure", "aws"])
def test_with_a_clouds_groups_in_front_every_step_holds_and_nothing_is_left(
    in_clouds: Mapping[str, Demo], cloud: str
) -> None:
    demo = in_clouds[cloud]
    assert demo.process.wait(300) == 0, demo.said
    missing = [step for step in CLOUD_STEPS if f" s  {step:<9}" not in demo.said]
    assert missing == []
    assert demo.traces() == []


def test_without_rights_the_story_is_told_with_a_gateway_and_nothing_is_left(tmp_path: Path) -> None:
    """No capability, and no user namespace to be had: each step is proven with real connections all the same."""
    with Demo(tmp_path, [sys.executable, "-c", WITHOUT_RIGHTS, "demo", "--once"]) as demo:
        assert demo.process.wait(300) == 0, demo.said
        assert "sudo make demo" in demo.said
        missing = [step for step in GATEWAY_STEPS if f" s  {step:<9}" not in demo.said]
        assert missing == []
        assert demo.traces() == []


def test_on_another_system_the_demo_says_that_it_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="needs Linux"):
        rights.check_system()


def test_a_port_that_answers_is_not_taken_for_shut_nor_a_silent_one_for_open() -> None:
    with Network() as network:
        host = Node("host", (HOST4, HOST6), network.host.name)
        alice = Node("alice", (ALICE4, ALICE6), network.alice.name)
        with network.host.listen(PORT):
            expect(Answer.ACCEPTED, attempts(alice, host))
            with pytest.raises(Broken, match=f"alice at host .{HOST4}. is accepted"):
                expect(Answer.NONE, attempts(alice, host))
        with pytest.raises(Broken, match="refused"):
            expect(Answer.NONE, attempts(alice, host))
        network.host.nft("table inet other { chain c { type filter hook input priority 0; tcp dport 22 drop; }; }")
        expect(Answer.NONE, attempts(alice, host))
        with pytest.raises(Broken, match="unanswered"):
            expect(Answer.ACCEPTED, attempts(alice, host))


def test_an_echo_takes_the_place_of_an_sshd_whose_connections_and_child_are_not_gone_yet() -> None:
    with Network() as network:
        host = Node("host", (HOST4, HOST6), network.host.name)
        alice = Node("alice", (ALICE4, ALICE6), network.alice.name)
        with network.host.make_socket(socket.AF_INET) as child:
            child.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            child.bind((HOST4, PORT))
            child.listen()
            with network.alice.connect(HOST4, PORT):
                child.accept()[0].close()
            threading.Timer(0.3, child.shutdown, [socket.SHUT_RDWR]).start()
            Echo(Mock(machines=[host]))
        expect(Answer.ACCEPTED, attempts(alice, host))


@pytest.mark.parametrize(("held_up", "silent"), [(0.0, -1.0), (3.0, 1.95)])
def test_a_port_that_falls_silent_too_early_is_told_from_a_machine_that_stands_still(
    held_up: float, silent: float
) -> None:
    """The attempt at one second before the end is not answered; where it took three seconds that says nothing."""
    clock = ManualClock()
    story, end = Story(Mock(), clock), clock.elapsed() + 2
    watched = Watched(-2.0)
    story._look(watched, end, lambda: True)
    clock.advance(timedelta(seconds=1))

    def fail() -> bool:
        clock.advance(timedelta(seconds=held_up))
        return False

    story._look(watched, end, fail)
    assert [watched.answered, watched.silent] == pytest.approx([-2, silent])
    story._look(watched, end, fail)
    assert watched.silent == pytest.approx(silent), "since the first"
    story._look(watched, end, lambda: True)
    assert watched.silent is None


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
