"""`jitgate open ... -- COMMAND`: whatever ends the command, and whoever says stop, the port is shut after it."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, eventually, finish

from jitgate.cli import child

SLEEP = ("--", "sleep", "60")


def test_the_port_is_open_while_the_command_runs_and_shut_after_it(cli: Cli, tmp_path: Path) -> None:
    process = cli.start("open", "web-1", "ssh", "--", "sh", "-c", f"touch {tmp_path}/begun; sleep 0.5; exit 7")
    assert eventually(lambda: (tmp_path / "begun").exists())
    assert cli.reaches()
    ran = finish(process)
    assert ran.code == 7
    assert not cli.reaches()


def test_the_command_has_standard_input_and_output_to_itself(cli: Cli) -> None:
    process = cli.start("open", "web-1", "ssh", "--", "tr", "a-z", "A-Z", stdin=-1)
    out, err = process.communicate(b"hello\n", timeout=90)
    assert out == b"HELLO\n"
    assert b"is open for" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_the_port_is_shut(cli: Cli, number: signal.Signals, tmp_path: Path) -> None:
    process = cli.start("open", "web-1", "ssh", "--", "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    assert eventually(lambda: cli.reaches() and (tmp_path / "pid").exists())
    process.send_signal(number)
    ran = finish(process)
    assert ran.code == 128 + number
    assert not cli.reaches()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_signal_while_the_command_is_being_started_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run on, and nobody would know of it."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        made = real(command)
        started.append(made)
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    monkeypatch.setattr(subprocess, "Popen", start)
    assert child.run(["sleep", "60"], os.environ) == 128 + signal.SIGTERM
    assert started[0].returncode == -signal.SIGTERM


def test_a_command_that_is_killed_outright_leaves_nothing_open(cli: Cli, tmp_path: Path) -> None:
    process = cli.start("open", "web-1", "ssh", "--", "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    assert eventually(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    ran = finish(process)
    assert ran.code == 128 + signal.SIGKILL
    assert not cli.reaches()


def test_ctrl_c_belongs_to_the_command(cli: Cli, tmp_path: Path) -> None:
    """The terminal sends it to both; who catches it goes on."""
    script = "import signal,time,pathlib; signal.signal(2, lambda *_: None); "
    script += f"pathlib.Path('{tmp_path}/begun').touch(); time.sleep(0.7)"
    process = cli.start("open", "web-1", "ssh", "--", sys.executable, "-c", script)
    assert eventually(lambda: (tmp_path / "begun").exists())
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 0
    assert not cli.reaches()


def test_a_signal_while_the_port_is_still_opening_withdraws_it(cli: Cli) -> None:
    cli.server.connector.delay_next(timedelta(seconds=1), calls=4)
    process = cli.start("open", "web-1", "ssh", *SLEEP)
    assert eventually(lambda: bool(cli.grants()))
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 128 + signal.SIGTERM
    assert {grant["state"] for grant in cli.grants()} <= {"closing"}
    assert eventually(lambda: not cli.grants())
    assert not cli.reaches()


def test_a_command_that_does_not_exist_opens_nothing_for_long(cli: Cli) -> None:
    ran = cli("open", "web-1", "ssh", "--", "no-such-command")
    assert ran.code == 127
    assert "There is no command" in ran.err
    assert eventually(lambda: not cli.reaches())


def test_a_refusal_runs_nothing(cli: Cli, tmp_path: Path) -> None:
    ran = cli("open", "web-1", "22", "--for", "9h", "--", "touch", str(tmp_path / "ran"))
    assert ran.code == 4
    assert not (tmp_path / "ran").exists()


# --- several commands at once ------------------------------------------------------------------------


def test_commands_that_run_at_once_share_a_grant_and_the_last_one_shuts_it(cli: Cli) -> None:
    first = cli.start("open", "web-1", "ssh", *SLEEP)
    assert eventually(cli.reaches)
    second = cli.start("open", "web-1", "ssh", "--", "sh", "-c", "echo; exec sleep 60")
    assert second.stdout is not None
    assert second.stdout.readline() == b"\n"
    assert len(cli.grants()) == 1
    first.terminate()
    finish(first)
    assert cli.reaches()
    second.terminate()
    finish(second)
    assert not cli.reaches()


def test_a_command_that_is_killed_with_its_opener_does_not_keep_others_from_shutting(cli: Cli) -> None:
    first = cli.start("open", "web-1", "ssh", "--", "sh", "-c", "echo; exec sleep 3")
    assert first.stdout is not None
    assert first.stdout.readline() == b"\n"
    first.kill()
    first.wait()
    ran = cli("open", "web-1", "ssh", "--", "true")
    assert ran.code == 0
    assert eventually(lambda: not cli.reaches())
    first.stdout.close()
    assert first.stderr is not None
    first.stderr.close()


def test_a_grant_that_somebody_opened_by_hand_is_used_and_left_open(cli: Cli) -> None:
    cli("open", "web-1", "ssh", "--for", "2h")
    ran = cli("open", "web-1", "ssh", "--", "true")
    assert ran.code == 0
    assert len(cli.grants()) == 1
    assert cli.reaches()


def test_a_grant_that_ends_too_early_is_not_reused(cli: Cli) -> None:
    cli("open", "web-1", "ssh", "--for", "10m")
    ran = cli("open", "web-1", "ssh", "--for", "1h", "--", "true")
    assert ran.code == 0
    assert eventually(lambda: not cli.reaches())
