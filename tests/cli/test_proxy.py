"""`jitgate proxy`, and `jitgate ssh`: what speaks SSH opens the port by itself."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.conftest import ME, Cli, eventually, finish, furnish, running
from tests.cli.listener import listening
from tests.server import Server

from jitgate.core.machine import Machine


class Loopback(Server):
    """Its machines are right here, so that there is something to connect to."""

    def _machine(self, name: str) -> Machine:
        return replace(super()._machine(name), addresses=("127.0.0.1",))


@pytest.fixture
def port() -> Iterator[int]:
    with listening() as found:
        yield found


@pytest.fixture
def near(tmp_path: Path, port: int) -> Iterator[Cli]:
    """A command line whose web-1 has a protected port that really listens."""
    with running(Loopback(furnish(tmp_path))) as cli:
        ran = cli("policy", "set", "web-1", str(port), "--yes")
        assert ran.code == 0, ran
        yield cli


def test_bytes_go_both_ways_with_a_half_close_and_the_port_is_shut_after_it(near: Cli, port: int) -> None:
    process = near.start("proxy", "web-1", str(port), stdin=-1)
    out, err = process.communicate(b"hello" * 100_000, timeout=90)
    assert process.returncode == 0, err
    assert out == b"HELLO" * 100_000
    assert not near.reaches(port=port)


def test_only_tcp_from_where_i_am_is_opened(near: Cli, port: int) -> None:
    process = near.start("proxy", "web-1", str(port), stdin=-1)
    assert eventually(lambda: near.reaches(port=port))
    grant = near.grants()[0]
    assert (grant["protocol"], grant["sources"]) == ("TCP", [ME])
    process.communicate(b"", timeout=90)


def test_connections_that_run_at_once_do_not_shut_each_other(near: Cli, port: int) -> None:
    first = near.start("proxy", "web-1", str(port), stdin=-1)
    assert eventually(lambda: near.reaches(port=port))
    second = near.start("proxy", "web-1", str(port), stdin=-1)
    out, _ = second.communicate(b"two", timeout=90)
    assert out == b"TWO"
    assert near.reaches(port=port)
    out, _ = first.communicate(b"one", timeout=90)
    assert out == b"ONE"
    assert not near.reaches(port=port)


def test_hanging_up_shuts_the_port(near: Cli, port: int) -> None:
    """That is how ssh ends its ProxyCommand."""
    process = near.start("proxy", "web-1", str(port), stdin=-1)
    assert eventually(lambda: near.reaches(port=port))
    process.send_signal(signal.SIGHUP)
    assert finish(process).code == 128 + signal.SIGHUP
    assert not near.reaches(port=port)


def test_it_can_be_told_to_leave_the_port_open(near: Cli, port: int) -> None:
    near.start("proxy", "web-1", str(port), "--keep", stdin=-1).communicate(b"x", timeout=90)
    assert near.reaches(port=port)


def test_a_refusal_goes_to_standard_error_and_nothing_to_standard_output(near: Cli) -> None:
    ran = near("proxy", "web-1", "8080")
    assert ran.code == 4
    assert ran.out == ""
    assert "not in the policy" in ran.err


# --- ssh ---------------------------------------------------------------------------------------------


@pytest.fixture
def fake_ssh(tmp_path: Path) -> Path:
    """An ssh that writes down how it was called, and whether it came through."""
    place = tmp_path / "bin"
    place.mkdir()
    script = place / "ssh"
    script.write_text(f"#!{sys.executable}\nimport sys, json; print(json.dumps(sys.argv[1:])); sys.exit(3)\n")
    script.chmod(0o755)
    return place


def test_ssh_is_run_with_its_own_options_and_its_exit_code_is_kept(near: Cli, fake_ssh: Path) -> None:
    path = f"{fake_ssh}:{near.environ['PATH']}"
    ran = finish(near.start("ssh", "--for", "1h", "-m", "INC-7", "root@web-1", "-A", "-p", "22", "uptime", PATH=path))
    assert ran.code == 3, ran
    assert ran.out == '["-o", "HostName=127.0.0.1", "root@web-1", "-A", "-p", "22", "uptime"]\n'
    assert not near.reaches()


def test_ssh_reuses_a_live_grant_and_leaves_it_open(near: Cli, fake_ssh: Path) -> None:
    near("open", "web-1", "ssh", "--for", "2h")
    finish(near.start("ssh", "web-1", PATH=f"{fake_ssh}:{near.environ['PATH']}"))
    assert len(near.grants()) == 1
    assert near.reaches()


def test_a_machine_cannot_pass_for_an_option_of_ssh(near: Cli) -> None:
    ran = near("ssh", "--", "-oProxyCommand=touch /tmp/x")
    assert ran.code == 2
    assert not near.grants()
