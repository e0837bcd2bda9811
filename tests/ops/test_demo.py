"""The demo holds what it shows, and leaves nothing behind."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.processes import COMMAND, until

from jitgate.ops.demo.place import STRANGER, YOU, make, remove
from jitgate.ops.demo.visits import Echo, is_alive, visiting

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("processes")]


def left_behind(pid: int, directory: Path) -> list[str]:
    namespaces = [each.name for each in Path("/run/netns").glob(f"jg-demo-{pid}-*")]
    return [*namespaces, *(each.name for each in directory.iterdir())]


def test_every_step_holds_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo", "--once"], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as demo:
        assert demo.stdout is not None
        told = demo.stdout.read()
        assert demo.wait(10) == 0, told
    for step in ("before", "shut", "asked", "session", "closed early", "asked again", "killed", "shut on time"):
        assert f"✓ {step} " in told, told
    assert "✗" not in told
    assert not left_behind(demo.pid, tmp_path)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_it_leaves_nothing_behind(tmp_path: Path, end: signal.Signals) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*COMMAND, "demo"], stdout=subprocess.DEVNULL, env=environment) as demo:
        until(lambda: list(Path("/run/netns").glob(f"jg-demo-{demo.pid}-web-2")), "it makes no machines")
        time.sleep(0.5)
        demo.send_signal(end)
        assert demo.wait(30) != 0
    assert not left_behind(demo.pid, tmp_path)


def test_where_there_is_no_sshd_a_listener_stands_in() -> None:
    place = make()
    try:
        door = Echo(place)
        assert place.reaches(STRANGER, "web-2", 22)
        with visiting(door, "web-1") as visit:
            time.sleep(0.3)
            assert is_alive(visit)
            subprocess.run(["ip", "-n", place.namespace(YOU), "link", "set", "eth0", "down"], check=True)
            until(lambda: not is_alive(visit), "it lives on without a link", 3)
    finally:
        remove(place)


def test_what_a_killed_demo_left_is_removed_by_the_next_one() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = f"jg-demo-{dead.pid}-switch"
    subprocess.run(["ip", "netns", "add", left], check=True)
    remove(make())
    assert not Path("/run/netns", left).exists()
