"""Where the server is, and who gets to see the token."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli

from jitgate.cli.exits import Failure, NotAllowed, Unreachable, Usage
from jitgate.cli.place import Place, find_place
from jitgate.clock import SystemClock
from jitgate.trust import certificates

TOKEN = "jg_secret"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What `serve` leaves in its data directory."""
    (tmp_path / "server.json").write_text(json.dumps({"url": "https://127.0.0.1:8443"}))
    (tmp_path / "owner.token").write_text("jg_owner\n")
    (tmp_path / "ca.pem").write_text("certificate")
    return tmp_path


def test_the_environment_names_a_server() -> None:
    environ = {"JITGATE_URL": "https://jit.example:8443/", "JITGATE_TOKEN": TOKEN, "JITGATE_CA": "/etc/ca.pem"}
    assert find_place(None, environ) == Place("https://jit.example:8443", TOKEN, Path("/etc/ca.pem"))


def test_a_data_directory_names_the_server_of_this_machine(data: Path) -> None:
    expected = Place("https://127.0.0.1:8443", "jg_owner", data / "ca.pem")
    assert find_place(data, {}) == expected
    assert find_place(None, {"JITGATE_DATA_DIR": str(data)}) == expected


def test_a_directory_on_the_command_line_goes_before_the_environment(data: Path) -> None:
    environ = {"JITGATE_URL": "https://jit.example", "JITGATE_TOKEN": TOKEN, "JITGATE_DATA_DIR": "/nowhere"}
    assert find_place(data, environ).url == "https://127.0.0.1:8443"


def test_the_owners_token_never_goes_to_another_server(data: Path) -> None:
    with pytest.raises(NotAllowed, match="JITGATE_TOKEN is not"):
        find_place(None, {"JITGATE_URL": "https://elsewhere.example", "JITGATE_DATA_DIR": str(data)})


def test_a_token_for_another_server_never_goes_to_this_one(data: Path) -> None:
    environ = {"JITGATE_URL": "https://elsewhere.example", "JITGATE_TOKEN": TOKEN}
    assert find_place(data, environ).token == "jg_owner"


def test_a_personal_token_works_with_the_server_of_this_machine(data: Path) -> None:
    assert find_place(data, {"JITGATE_TOKEN": TOKEN}).token == TOKEN


@pytest.mark.parametrize(
    "url",
    [
        "http://jit.example",
        "http://10.0.0.1:8080",
        "http://localhost.evil.example",
        "ftp://jit.example",
        "jit.example:8443",
        "https://",
        "https://jit.example:99999",
        "https://user:secret@jit.example",
        "https://jit.example/?token=x",
    ],
)
def test_a_url_that_could_give_the_token_away_is_refused(url: str) -> None:
    with pytest.raises(Usage):
        find_place(None, {"JITGATE_URL": url, "JITGATE_TOKEN": TOKEN})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"])
def test_plain_http_is_for_this_very_machine_only(url: str) -> None:
    assert find_place(None, {"JITGATE_URL": url, "JITGATE_TOKEN": TOKEN}).url == url


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nX-Evil: 1", "tök", "\0"])
def test_a_token_that_is_none_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        find_place(None, {"JITGATE_URL": "https://jit.example", "JITGATE_TOKEN": token})
    assert "Evil" not in refused.value.message


def test_where_no_server_is_known_it_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="jitgate serve"):
        find_place(tmp_path, {})


def test_a_token_file_that_is_not_for_me_says_so(data: Path) -> None:
    (data / "owner.token").unlink()
    (data / "owner.token").mkdir()
    with pytest.raises(Failure, match="cannot be read") as refused:
        find_place(data, {})
    assert refused.value.exit == 5


def test_the_token_is_never_shown() -> None:
    assert TOKEN not in repr(Place("https://jit.example", TOKEN))


def test_the_token_is_in_no_ones_process_list(cli: Cli) -> None:
    process = cli.start("open", "web-1", "ssh", "--", "sh", "-c", "tr '\\0' ' ' < /proc/$PPID/cmdline")
    out, _ = process.communicate(timeout=90)
    assert b"open web-1 ssh" in out
    assert cli.server.token.encode() not in out


def test_a_server_that_cannot_prove_who_it_is_gets_no_token(cli: Cli, tmp_path: Path) -> None:

    other = tmp_path / "other"
    other.mkdir()
    certificates.ensure(other, ("localhost",), SystemClock().wall())
    ran = cli("whoami", JITGATE_CA=str(other / "ca.pem"))
    assert ran.code == 7
    assert "does not prove who it is" in ran.err
    assert "JITGATE_CA" in ran.err
