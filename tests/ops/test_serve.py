"""Starting: what is made, what is refused, and what works without any right."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.processes import COMMAND, Jitgate, until
from tests.stalls import Stalls

from jitgate.core.errors import Conflict, Invalid
from jitgate.ops import directory
from jitgate.ops.serve import parse_listen, url_of

WITHOUT_RIGHTS = """
from jitgate.ops.privileges import drop_all
drop_all()
from jitgate.main import run
run()
"""


def serve(data_dir: Path, listen: str = "127.0.0.1:0") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "serve", "--data-dir", str(data_dir), "--listen", listen]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("[::1]:8443", ("::1", 8443)),
        (":443", ("127.0.0.1", 443)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_to_listen_on_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["", "8443", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "::1:8443", "a:-1"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match=r"127\.0\.0\.1:8443"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("family", "address", "url"),
    [
        (socket.AF_INET, "127.0.0.1", "https://127.0.0.1:"),
        (socket.AF_INET, "0.0.0.0", "https://127.0.0.1:"),
        (socket.AF_INET6, "::1", "https://[::1]:"),
        (socket.AF_INET6, "::", "https://[::1]:"),
    ],
)
def test_clients_on_this_machine_are_told_an_address_they_can_reach(family: int, address: str, url: str) -> None:
    with socket.create_server((address, 0), family=family) as listening:
        assert url_of(listening) == f"{url}{listening.getsockname()[1]}"


def test_a_wrong_setting_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "jitgate.toml").write_text("[server]\nmax_bdy = 1\n")
    refused = serve(tmp_path)
    assert refused.returncode == 2
    assert "server.max_bdy" in refused.stderr
    assert "max_body" in refused.stderr
    assert not (tmp_path / "jitgate.db").exists()


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = serve(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}")
    assert refused.returncode == 2
    assert "in use" in refused.stderr


def test_where_the_server_is_is_left_for_commands_as_soon_as_it_can_be_written(tmp_path: Path) -> None:
    """As with a full disk at the start, here with a folder in the way."""
    blocked = tmp_path / "server.json"
    blocked.mkdir()
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        blocked.rmdir()
        until(blocked.is_file, "nothing is written")
        assert f"is ready at {json.loads(blocked.read_text())['url']} " in said
        process.terminate()
        assert process.stderr.read().count("cannot write where the server is") == 1


def test_what_the_very_first_server_cannot_live_with_ends_everything(tmp_path: Path) -> None:
    (tmp_path / "jitgate.toml").write_text('[store]\nurl = "oracle://somewhere"\n')
    refused = serve(tmp_path)
    assert refused.returncode not in (0, 2)
    assert "database" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="--data-dir"):
        directory.open_directory(tmp_path / "file")


def test_the_first_start_writes_settings_that_show_all_there_is(tmp_path: Path) -> None:
    opened = directory.open_directory(tmp_path / "data")
    settings = directory.read_settings(opened)
    assert settings.hosts[0].name == socket.gethostname()
    assert "trusted_proxies" in opened.settings.read_text()
    assert stat.S_IMODE(opened.settings.stat().st_mode) == 0o600
    assert stat.S_IMODE(opened.path.stat().st_mode) == 0o700


def test_a_host_keeps_its_identity_from_start_to_start_and_a_new_one_gets_its_own(tmp_path: Path) -> None:
    opened = directory.open_directory(tmp_path)
    opened.settings.write_text('[[host]]\nname = "web-1"\n')
    [first] = directory.take_up_hosts(opened, directory.read_settings(opened))
    opened.settings.write_text('[[host]]\nname = "WEB-1"\n[[host]]\nname = "web-2"\nnamespace = "n"\n')
    again, other = directory.take_up_hosts(opened, directory.read_settings(opened))
    assert again.uuid == first.uuid != other.uuid


def test_a_directory_is_held_until_the_last_process_that_holds_it_is_gone(tmp_path: Path) -> None:
    """So that what a killed supervisor has left running cannot meet its successor."""
    opened = directory.open_directory(tmp_path)
    held = directory.lock(opened)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held])
    os.close(held)
    with pytest.raises(Conflict, match=str(os.getpid())):
        directory.lock(opened)
    child.communicate(b"\n")
    os.close(directory.lock(opened))


def test_without_any_right_the_server_runs_and_says_why_it_can_hold_no_host(tmp_path: Path) -> None:
    (tmp_path / "jitgate.toml").write_text('[[host]]\nname = "here"\n')
    with Jitgate(tmp_path, {}, command=(sys.executable, "-c", WITHOUT_RIGHTS)) as jitgate:
        machine = until(lambda: jitgate.machine("here"), "the host is not listed")
        assert not machine["supported"]
        assert machine["unsupportedReason"]


def test_the_database_may_be_in_another_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "jitgate.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path}/elsewhere/j.db"\n')
    with Jitgate(tmp_path / "data", {}) as jitgate:
        assert jitgate.call("GET", "/healthz")
        assert (tmp_path / "elsewhere" / "j.db").exists()
        assert not (tmp_path / "data" / "jitgate.db").exists()


def test_a_supervisor_that_is_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as started:
        until(lambda: (tmp_path / "agent" / "hosts.json").exists(), "it does not start")
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) in (0, -signal.SIGTERM)


def test_it_ends_at_once_also_when_a_client_keeps_its_connection_open(tmp_path: Path) -> None:
    with Jitgate(tmp_path, {}) as jitgate, jitgate.client() as client:
        assert client.get("/healthz").is_success
        with Stalls() as stalls:
            began = time.monotonic()
            jitgate.supervisor.send_signal(signal.SIGTERM)
            assert jitgate.supervisor.wait(60) == 0
            assert time.monotonic() - began < 3 + 3 * stalls.seconds


@pytest.mark.needs_root
def test_systemd_is_told_when_the_server_is_ready(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        with Jitgate(tmp_path / "data", {"a": "jg-none"}, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as jitgate:
            assert manager.recv(64) == b"READY=1"
            where = json.loads((jitgate.directory / "server.json").read_text())
            assert where["pid"] == jitgate.supervisor.pid
            assert where["url"] in jitgate.said


def test_when_it_says_that_it_is_ready_the_hosts_are_listed(tmp_path: Path) -> None:
    with Jitgate(tmp_path, {"web-1": "jg-none"}) as jitgate:
        assert jitgate.machine("web-1")
