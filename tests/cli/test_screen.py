"""What is printed: nothing of it does anything to a terminal, and scripts can read it."""

import json
import os
import pty

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import MAIN, Cli
from typer.testing import CliRunner

from jitgate import __version__
from jitgate.cli import app
from jitgate.cli.screen import to_json
from jitgate.cli.text import plain

ESCAPE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202ereversed"


@given(st.text())
def test_no_text_of_others_reaches_the_terminal_as_a_command(text: str) -> None:
    for shown in (plain(text), to_json({"text": text})):
        assert not [
            character for character in shown.replace("\n", "") if ord(character) < 32 or 127 <= ord(character) < 160
        ]
    assert json.loads(to_json([text])) == [text]


def test_a_justification_with_escape_sequences_is_shown_without_them(cli: Cli) -> None:
    token = cli.server.token_of(f"mallory{ESCAPE}", "Owner")
    cli("open", "web-1", "ssh", JITGATE_TOKEN=token)
    out = cli("ls").out
    assert "mallory" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def on_terminal(cli: Cli, *words: str, **environ: str) -> str:
    """What a command prints to a terminal of 80 columns."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(MAIN[0], [*MAIN, *words], {**cli.environ, "TERM": "xterm", "COLUMNS": "80", **environ})
    shown = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.waitpid(pid, 0)
    os.close(master)
    return shown.decode()


def test_a_terminal_gets_colour_unless_no_color_is_set(cli: Cli) -> None:
    assert "\x1b[" in on_terminal(cli, "open", "web-1", "ssh")
    assert "\x1b[" not in on_terminal(cli, "ls", NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "\x1b[" not in cli("ls").out


def test_tables_fit_eighty_columns_and_cut_nothing_off(cli: Cli) -> None:
    cli("open", "web-1", "ssh", "--from", "2001:db8:1234:5678:9abc:def0:1234:5678")
    shown = on_terminal(cli, "ls", NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


def test_a_pipe_gets_one_line_for_each_thing(cli: Cli) -> None:
    sources = [word for number in range(9) for word in ("--from", f"2001:db8:1234:5678:9abc:def0:1234:{number}")]
    cli("open", "web-1", "ssh", *sources)
    ran = cli("ls")
    assert len(ran.out.splitlines()) == 2


COMMANDS = [
    ["open", "web-1", "ssh", "--for", "2h"],
    ["ls"],
    ["extend", "web-1", "--for", "3h"],
    ["shorten", "web-1", "--for", "1h"],
    ["move", "web-1", "--from", "192.0.2.9"],
    ["done"],
    ["why", "web-1", "22"],
    ["enable", "web-2"],
    ["disable", "web-2"],
    ["machine", "ls"],
    ["machine", "show", "web-1"],
    ["policy", "get"],
    ["policy", "set", "web-1", "22", "--yes"],
    ["policy", "delete", "web-1", "--yes"],
    ["guardrail", "ls"],
    ["guardrail", "set", "g", "--reason"],
    ["guardrail", "delete", "g"],
    ["activity"],
    ["whoami"],
]


def test_every_command_speaks_json(cli: Cli) -> None:
    cli("guardrail", "set", "g", "--max", "3h")
    for words in COMMANDS:
        ran = cli(*words, "-m", "why", "-o", "json") if words[0] in ("open", "why") else cli(*words, "-o", "json")
        assert ran.code == 0, (words, ran)
        assert ran.data is not None, words
        assert ran.err == "", (words, ran)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_says_what_is_wrong_without_a_traceback(words: list[str]) -> None:
    environ = {"JITGATE_URL": "https://127.0.0.1:9", "JITGATE_TOKEN": "t", "SSH_CLIENT": "192.0.2.1 1 2"}
    result = CliRunner().invoke(app, words, env=environ)
    assert result.exit_code == 7
    assert "cannot be reached" in result.stderr
    assert "Check that the server runs" in result.stderr


def test_the_version_is_told_and_no_command_is_a_question() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"jitgate {__version__}\n"
    assert "Usage: " in CliRunner().invoke(app, []).stdout
    assert "Usage: " in CliRunner().invoke(app, ["open", "-h"]).stdout
