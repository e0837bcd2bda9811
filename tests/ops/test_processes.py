"""What becomes of ports, people and processes when any of jitgate's processes dies."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import ALICE4, ALICE4_SECOND, BOB4, HOST4, Listener, Network, echoes
from tests.processes import Jitgate, assert_shuts_on_time, until

from jitgate.agent.records import SETTLED
from jitgate.ops.privileges import held_capabilities

pytestmark = pytest.mark.needs_root

MACHINE = "web-1"


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def listener(network: Network) -> Iterator[Listener]:
    with network.host.listen(22) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, network: Network, listener: Listener) -> Iterator[Jitgate]:
    """One jitgate for all these tests, with port 22 of the host protected."""
    with Jitgate(tmp_path_factory.mktemp("data"), {MACHINE: network.host.name}) as made:
        made.enable(MACHINE)
        yield made


@pytest.fixture
def running(shared: Jitgate) -> Jitgate:
    """It runs, whatever the test before has done to it."""
    return shared.start() if shared.supervisor.poll() is not None else shared


def test_the_web_process_holds_no_capability_and_can_get_none(running: Jitgate) -> None:
    server, agent = running.pid("server"), running.pid("agent")
    assert held_capabilities(agent), "or this proves nothing"
    assert not held_capabilities(server)
    status = Path(f"/proc/{server}/status").read_text()
    assert "NoNewPrivs:\t1" in status


def test_secrets_are_for_their_owner_alone(running: Jitgate) -> None:
    assert stat.S_IMODE(running.directory.stat().st_mode) == 0o700
    for name in ("owner.token", "ca.key", "server.pem", "jitgate.db"):
        assert stat.S_IMODE((running.directory / name).stat().st_mode) == 0o600, name


def test_the_token_is_not_in_the_log(running: Jitgate) -> None:
    token = (running.directory / "owner.token").read_text().strip()
    assert token.split("_", 2)[2] not in running.log.read_text()


def test_a_second_serve_on_the_same_directory_is_refused_and_told_by_whom(running: Jitgate) -> None:
    refused = running.run("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 2
    assert str(running.supervisor.pid) in refused.stderr
    assert "--data-dir" in refused.stderr


def test_a_killed_agent_leaves_the_port_open_until_its_end_and_no_longer(running: Jitgate, network: Network) -> None:
    grant = running.open(MACHINE, ALICE4, seconds=7)
    former = running.pid("agent")
    running.kill("agent")
    assert_shuts_on_time(grant, lambda: network.alice.can_connect(HOST4, 22))
    assert running.pid("agent") != former
    assert not network.alice.can_connect(HOST4, 22, source=ALICE4_SECOND)


def test_after_an_agent_was_killed_the_next_one_opens_ports(running: Jitgate, network: Network) -> None:
    running.kill("agent")
    running.open(MACHINE, BOB4, seconds=60)
    assert network.bob.can_connect(HOST4, 22)


def test_a_killed_server_comes_back_with_every_grant_it_had_committed(running: Jitgate, network: Network) -> None:
    grant = running.open(MACHINE, ALICE4, seconds=7)
    running.kill("server")
    assert_shuts_on_time(grant, lambda: network.alice.can_connect(HOST4, 22))
    assert until(lambda: running.grant(grant["id"])["state"] == "closed", "the grant is not closed")
    assert running.grant(grant["id"])["reason"] == "expired"


def test_a_release_opens_everything_and_goes_on_record_once(running: Jitgate, network: Network) -> None:
    """Local root break-glass, with a living agent."""
    running.run("host", "protect", MACHINE)
    assert not network.alice.can_connect(HOST4, 22)
    done = running.run("host", "release", MACHINE, "-m", "locked out")
    assert done.returncode == 0, done.stderr
    assert network.alice.can_connect(HOST4, 22)
    entry = until(lambda: running.activity("scopes/release"), "the release is not on record")[0]
    assert entry["properties"]["reason"] == "locked out"
    assert entry["caller"].startswith("root")
    shown = until(lambda: running.machine(MACHINE), "gone")
    until(lambda: not running.machine(MACHINE)["ports"][0]["protected"], f"still shown as shut: {shown}")  # type: ignore[index]


def test_a_release_outlives_the_agent_and_what_is_told_twice_is_recorded_once(
    running: Jitgate, network: Network
) -> None:
    assert running.run("host", "release", MACHINE).returncode == 0
    count = len(until(lambda: running.activity("scopes/release"), "the release is not on record"))
    settled = running.directory / "agent" / "netns" / network.host.name / SETTLED
    until(settled.exists, "the server does not say that it has it")
    # As if the agent had died before it heard that.
    running.kill("agent")
    settled.unlink()
    until(settled.exists, "the next agent does not tell it again")
    assert len(running.activity("scopes/release")) == count
    assert network.alice.can_connect(HOST4, 22)


def test_protecting_again_shuts_the_port_and_goes_on_record(running: Jitgate, network: Network) -> None:
    assert running.run("host", "release", MACHINE).returncode == 0
    done = running.run("host", "protect", MACHINE, "-m", "found the key")
    assert done.returncode == 0, done.stderr
    until(lambda: not network.alice.can_connect(HOST4, 22), "still open")
    assert (
        until(lambda: running.activity("scopes/protect"), "not on record")[0]["properties"]["reason"] == "found the key"
    )


def test_a_release_is_carried_out_though_the_agent_hangs(running: Jitgate, network: Network) -> None:
    os.kill(running.pid("agent"), signal.SIGSTOP)
    done = running.run("host", "release", MACHINE, "-m", "the agent hangs")
    assert done.returncode == 0, done.stderr
    assert network.alice.can_connect(HOST4, 22)
    until(lambda: running.activity("scopes/release")[0]["properties"]["reason"] == "the agent hangs", "not on record")
    assert running.run("host", "protect", MACHINE).returncode == 0
    until(lambda: not network.alice.can_connect(HOST4, 22), "still open")


def test_with_every_process_dead_a_port_shuts_on_time_and_the_next_start_goes_on(
    running: Jitgate, network: Network
) -> None:
    """Cases CL1 and CL3; that a status needs no server is case HO7."""
    grant = running.open(MACHINE, ALICE4, seconds=15)
    running.kill_all()
    told = running.run("host", "status", MACHINE)
    assert f"tcp/22 from {ALICE4} for 0:00:" in told.stdout, told.stdout + told.stderr
    assert_shuts_on_time(grant, lambda: network.alice.can_connect(HOST4, 22))
    running.start()
    assert until(lambda: running.grant(grant["id"])["state"] == "closed", "the grant is not closed")
    assert not network.alice.can_connect(HOST4, 22)


def test_when_the_supervisor_dies_the_others_end_and_leave_the_firewall_as_it_is(
    running: Jitgate, network: Network
) -> None:
    running.open(MACHINE, ALICE4, seconds=60)
    running.supervisor.kill()
    running.supervisor.wait()
    until(lambda: not running.pids("server") and not running.pids("agent"), "somebody lives on")
    assert network.alice.can_connect(HOST4, 22)
    assert not network.alice.can_connect(HOST4, 22, source=ALICE4_SECOND)


def test_an_orderly_end_leaves_the_firewall_as_it_is(running: Jitgate, network: Network) -> None:
    running.open(MACHINE, ALICE4, seconds=60)
    with network.alice.connect(HOST4, 22, source=ALICE4) as session:
        running.supervisor.terminate()
        assert running.supervisor.wait(60) == 0
        assert not running.pids("server")
        assert not running.pids("agent")
        assert not (running.directory / "server.json").exists()
        assert echoes(session)
    assert not network.alice.can_connect(HOST4, 22, source=ALICE4_SECOND)
