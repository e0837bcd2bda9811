"""When a port shuts: at its deadline, with nobody alive, whatever the clocks show."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.connectors.hosts.scene import END, MACHINE, PORT, Scene, both, key
from tests.connectors.hosts.ticker import Ticker, time_of_last_tick
from tests.netns import ALICE4, ALICE4_SECOND, ALICE6, BOB4, HOST4, HOST6, Network, echoes
from tests.stalls import Stalls

from jitgate.clock import ManualClock, SystemClock
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.core.desired import AccessKey, SessionEnd

pytestmark = pytest.mark.needs_root

Eventually = Callable[[Callable[[], bool]], bool]
DOOMED = Path(__file__).with_name("doomed.py")


class Doomed:
    """An agent process that opened the port and waits to be killed."""

    def __init__(self, network: Network, state_dir: Path, session: SessionEnd, seconds: float, prefix: str) -> None:
        arguments = [network.host.name, str(state_dir), session, str(int(seconds * 1000)), prefix]
        self._process = subprocess.Popen(
            [sys.executable, str(DOOMED), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.end = datetime.fromisoformat(self._process.stdout.readline().strip())
        took = SystemClock().wall() - (self.end - timedelta(seconds=seconds))
        self.earliest = self.end - max(2 * took, timedelta(seconds=0.5))
        """The kernel counts from when it reads an element: a slow transaction must not lengthen it."""

    def die(self) -> None:
        """Let it kill itself, and see that nothing of it is left."""
        self._process.communicate()
        assert self._process.returncode == -signal.SIGKILL


def sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - SystemClock().wall()).total_seconds()))


def milliseconds_left(scene: Scene, asked: AccessKey) -> int:
    """What the kernel itself says is left of an element's time."""
    family, bits = (6, 128) if ":" in asked.prefix else (4, 32)
    with contextlib.closing(Reader(scene.network.host.name)) as reader:
        (found,) = reader.elements("jitgate", f"open{family}_{bits}")
    assert found.expires_ms is not None
    return found.expires_ms


def test_a_port_shuts_at_its_deadline_with_every_process_dead(network: Network, tmp_path: Path) -> None:
    """Cases CL1, CL3 and HO9: nothing of ours is alive when the time comes, for TCP, UDP, IPv4 and a live session."""
    doomed = Doomed(network, tmp_path, SessionEnd.END, 6, f"{ALICE4}/32")
    doomed.die()
    assert network.alice.can_connect(HOST4, PORT)
    assert network.alice.can_exchange(HOST4, PORT)
    with network.alice.connect(HOST4, PORT) as session:
        assert echoes(session)
        assert SystemClock().wall() < doomed.end, "the test was too slow to see the port open"
        sleep_until(doomed.end)
        assert not echoes(session), "a session that had to end went on"
    assert not network.alice.can_connect(HOST4, PORT)
    assert not network.alice.can_exchange(HOST4, PORT)


def test_a_stream_from_the_server_stops_at_the_deadline_with_every_process_dead(tmp_path: Path) -> None:
    """Case CK5: no packet after the end, though the client sends nothing that could be refused."""
    with Network() as network, Ticker(network.host, PORT), Stalls() as stalls:
        doomed = Doomed(network, tmp_path, SessionEnd.END, 5, f"{ALICE4}/32")
        doomed.die()
        with network.alice.connect(HOST4, PORT) as session:
            last = time_of_last_tick(session)
    assert last <= doomed.end + timedelta(milliseconds=40)
    assert last > doomed.earliest - timedelta(seconds=stalls.seconds)


def test_a_transaction_that_takes_long_lengthens_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts from when it reads an element, which on a busy machine may be long after it was asked to."""
    run = Nft.run
    held_up = iter([0.4, 0.2])

    def slow(self: Nft, commands: list[str]) -> None:
        time.sleep(next(held_up, 0.0))
        run(self, commands)

    asked = scene.clock.elapsed()
    monkeypatch.setattr(Nft, "run", slow)
    scene.open(f"{ALICE4}/32", seconds=30)
    before = scene.clock.elapsed()
    left = milliseconds_left(scene, key(f"{ALICE4}/32")) / 1000
    assert before + left <= asked + 30.01
    assert scene.clock.elapsed() + left > asked + 30 - max(2, 2 * (before - asked))


def test_a_flush_with_the_owner_dead_and_the_boot_ruleset_loaded_leaves_the_port_shut(
    network: Network, tmp_path: Path
) -> None:
    """Cases HO1 and HO2: what the boot unit, and the drop-in of nftables.service, run."""
    Doomed(network, tmp_path, SessionEnd.KEEP, 60, f"{ALICE4}/32").die()
    network.host.nft("flush ruleset")
    assert network.alice.can_connect(HOST4, PORT), "without our table the port is open: nothing else guards it here"
    network.host.run("nft", "-f", str(tmp_path / "boot.nft"))
    assert not network.alice.can_connect(HOST4, PORT)
    assert not network.alice.can_connect(HOST6, PORT)
    assert not network.alice.can_exchange(HOST4, PORT)
    assert network.host.can_connect("127.0.0.1", PORT)


def test_a_restarted_agent_neither_lengthens_nor_drops_what_stands(network: Network, tmp_path: Path) -> None:
    """Case CL3, and a table that its dead owner left behind is owned again."""
    doomed = Doomed(network, tmp_path, SessionEnd.KEEP, 60, f"{ALICE4}/32")
    doomed.die()
    scene = Scene(network, tmp_path)
    begun = time.monotonic()
    before = milliseconds_left_of_two(scene)
    report = scene.start()
    try:
        after = milliseconds_left_of_two(scene)
        passed = 1000 * (time.monotonic() - begun)
        assert report.standing[key(f"{ALICE4}/32")] == doomed.end
        assert report.repaired == ()
        assert before - passed - 20 <= after <= before
        assert network.alice.can_connect(HOST4, PORT)
        with pytest.raises(AssertionError, match="Operation not permitted"):
            network.host.nft("delete table inet jitgate")
    finally:
        scene.close()


def milliseconds_left_of_two(scene: Scene) -> int:
    with contextlib.closing(Reader(scene.network.host.name)) as reader:
        left = [each.expires_ms for each in reader.elements("jitgate", "open4_32")]
    assert len(left) == 2
    assert all(left)
    return max(each for each in left if each)


def test_the_kernel_lets_go_at_the_deadline_and_never_after_it(scene: Scene) -> None:
    """Early by what a slow transaction is allowed for at most: the kernel counts from when it reads an element."""
    begun = SystemClock().wall()
    end = scene.open(f"{ALICE4}/32", seconds=4)
    allowed = 2 * (SystemClock().wall() - begun)
    scene.close()
    with contextlib.closing(Reader(scene.network.host.name)) as reader:
        seen = begun
        while True:
            before = SystemClock().wall()
            if not reader.elements("jitgate", "open4_32"):
                break
            seen = before
            time.sleep(0.001)
        gone = SystemClock().wall()
    assert seen > begun, "the test was too slow to see it stand"
    assert seen <= end, f"it stood {seen - end} after its deadline"
    assert gone >= end - max(allowed, timedelta(milliseconds=20)), f"it was gone {end - gone} before its deadline"
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_closing_the_agent_neither_opens_nor_shuts_anything(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32")
    scene.close()
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.bob.can_connect(HOST4, PORT)


def test_a_later_end_holds(scene: Scene) -> None:
    """Cases OV4 and OV7."""
    scene.open(f"{ALICE4}/32", seconds=0.5)
    end = scene.open(f"{ALICE4}/32", seconds=90)
    assert 80_000 < milliseconds_left(scene, key(f"{ALICE4}/32")) <= 90_000
    time.sleep(0.6)
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert scene.ask({key(f"{ALICE4}/32"): end}).standing == {key(f"{ALICE4}/32"): end}


def test_an_earlier_end_holds(scene: Scene) -> None:
    """Case OV5."""
    scene.open(f"{ALICE4}/32", seconds=90)
    end = scene.open(f"{ALICE4}/32", seconds=4)
    assert scene.network.alice.can_connect(HOST4, PORT)
    sleep_until(end + timedelta(milliseconds=20))
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_several_deadlines_in_one_moment_are_all_kept(scene: Scene, eventually: Eventually) -> None:
    """Cases CL10, CL11 and CL16: each kind ends, and nothing of it is left in the table."""
    scene.ports = both(END)
    end = scene.clock.wall() + timedelta(seconds=0.4)
    keys = [key(prefix) for prefix in (f"{ALICE4}/32", "10.71.0.0/16", f"{ALICE6}/128", "::/0", BOB4 + "/32")]
    asked = scene.ask(dict.fromkeys(keys, end))
    assert eventually(lambda: asked.shut.union(*(report.shut for report in scene.reports)) == set(keys))
    assert ALICE4 not in scene.ruleset()
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.alice.can_connect(HOST6, PORT)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_stepped_wall_clock_lengthens_nothing(idle: Scene, step: timedelta) -> None:
    """Case CK1: the service asks again with the same end, the table is wiped and put right; the deadline stays."""
    clock = idle.clock = ManualClock()
    idle.start()
    idle.ask(complete=True)
    end = idle.open(f"{ALICE4}/32", seconds=600)
    before = milliseconds_left(idle, key(f"{ALICE4}/32"))
    clock.step(step)
    if step < timedelta(0):
        assert idle.ask({key(f"{ALICE4}/32"): end}, complete=True).standing == {key(f"{ALICE4}/32"): end}
    assert milliseconds_left(idle, key(f"{ALICE4}/32")) <= before
    clock.advance(timedelta(seconds=599))
    idle.enforcer.tick()
    assert idle.network.alice.can_connect(HOST4, PORT)
    clock.advance(timedelta(seconds=1))
    idle.enforcer.tick()
    assert not idle.network.alice.can_connect(HOST4, PORT)
    if step < timedelta(0):
        assert idle.ask({key(f"{ALICE4}/32"): end}).shut == {key(f"{ALICE4}/32")}, "it was given its time twice"
        assert not idle.network.alice.can_connect(HOST4, PORT)


def test_a_new_end_after_the_old_one_opens_again(idle: Scene) -> None:
    clock = idle.clock = ManualClock()
    idle.start()
    idle.open(f"{ALICE4}/32", seconds=10)
    clock.advance(timedelta(seconds=11))
    idle.enforcer.tick()
    assert not idle.network.alice.can_connect(HOST4, PORT)
    idle.open(f"{ALICE4}/32", seconds=10)
    assert idle.network.alice.can_connect(HOST4, PORT)


def test_an_end_in_a_distant_year_is_kept_exactly(scene: Scene) -> None:
    """Case CK3: nft takes numbers of eight digits; the milliseconds of four years have twelve."""
    end = scene.open(f"{ALICE4}/32", seconds=4 * 365 * 86400)
    left = milliseconds_left(scene, key(f"{ALICE4}/32"))
    assert abs((end - scene.clock.wall()).total_seconds() * 1000 - left) < 5_000
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert not scene.network.alice.can_connect(HOST4, PORT, source=ALICE4_SECOND)


def test_a_table_made_for_another_machine_opens_nothing(scene: Scene) -> None:
    """A machine made anew inherits no grants; its ports stay shut until it is told which are protected."""
    scene.open(f"{ALICE4}/32")
    scene.close()
    report = scene.start("00000000-0000-0000-0000-000000000001")
    assert report.standing == {}
    assert report.repaired == ("the table had been made for another machine",)
    assert not scene.network.alice.can_connect(HOST4, PORT)
    assert MACHINE not in scene.ruleset()
