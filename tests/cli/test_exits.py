"""Exit codes are an interface: what happened, told to scripts."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import Cli

from jitgate.cli.exits import Exit
from jitgate.cli.server import failure

DOCUMENTED = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_every_exit_code_is_documented_and_none_that_is_not() -> None:
    table = re.findall(r"^\| (\d+) \|", DOCUMENTED.read_text(), re.MULTILINE)
    assert {int(code) for code in table} == {int(code) for code in Exit}


def test_each_code_means_one_thing(cli: Cli) -> None:
    stranger = {"JITGATE_TOKEN": "jg_unknown"}
    guest = {"JITGATE_TOKEN": cli.server.token_of("guest", "Reader")}
    cases = [
        (0, cli("whoami")),
        (2, cli("open", "web-1")),
        (2, cli("open", "web-1", "22", "--from", "nowhere")),
        (2, cli("open", "web-1", "22", "--no-such-option")),
        (3, cli("machine", "show", "web-9")),
        (3, cli("policy", "get", "nothing")),
        (3, cli("done", "feedbeef")),
        (4, cli("open", "web-1", "22", "--for", "9h")),
        (4, cli("why", "web-1", "22", "--for", "9h")),
        (5, cli("whoami", **stranger)),
        (5, cli("whoami", JITGATE_TOKEN="")),
        (5, cli("enable", "web-2", **guest)),
        (7, cli("whoami", JITGATE_URL="https://127.0.0.1:9")),
        (7, cli("whoami", "--data-dir", "/nowhere")),
        (2, cli("whoami", JITGATE_CA="/nowhere")),
        (127, cli("open", "web-1", "ssh", "--", "no-such-command")),
        (126, cli("open", "web-1", "ssh", "--", "/etc/hostname")),
        (42, cli("open", "web-1", "ssh", "--", "sh", "-c", "exit 42")),
    ]
    assert [(expected, ran.code) for expected, ran in cases if ran.code != expected] == []


def test_waiting_for_approval_and_for_the_firewall_have_their_own(cli: Cli) -> None:
    cli.server.connector.delay_next(timedelta(minutes=1), calls=20)
    assert cli("open", "web-1", "ssh", "--timeout", "1s").code == 124
    cli.server.token_of("dora", "JIT Approver")
    cli("guardrail", "set", "four-eyes", "--approvals", "1")
    assert cli("open", "web-1", "ssh").code == 6
    assert cli("why", "web-1", "ssh").code == 6


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "InvalidInput", Exit.USAGE),
        (400, "RequestRefused", Exit.REFUSED),
        (401, "AuthenticationFailed", Exit.FORBIDDEN),
        (403, "AuthorizationFailed", Exit.FORBIDDEN),
        (404, "ResourceNotFound", Exit.NOT_FOUND),
        (409, "Conflict", Exit.FAILED),
        (413, "RequestTooLarge", Exit.USAGE),
        (500, "InternalServerError", Exit.FAILED),
        (503, "ServiceUnavailable", Exit.UNREACHABLE),
    ],
)
def test_what_the_server_says_has_an_exit_code(status: int, code: str, expected: Exit) -> None:
    answer = httpx.Response(status, json={"error": {"code": code, "message": "told"}})
    assert failure(answer).exit == expected
    assert failure(answer).message == "told"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error": 7}'])
def test_an_answer_that_is_none_of_ours_is_no_traceback(body: bytes) -> None:
    assert "502" in failure(httpx.Response(502, content=body)).message
