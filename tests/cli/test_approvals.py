"""`jitgate inbox`, `approve`, `deny`, `withdraw`, `review`, `freeze`, `thaw`: as people type them."""

import pytest
from tests.cli.conftest import Cli


@pytest.fixture
def dora(cli: Cli) -> dict[str, str]:
    """The environment of an approver, with a guardrail that asks for one."""
    token = cli.server.token_of("dora", "JIT Approver")
    assert cli("guardrail", "set", "four-eyes", "--approvals", "1").code == 0
    return {"JITGATE_TOKEN": token}


def ask(cli: Cli, *words: str) -> str:
    """The id of a request that waits."""
    ran = cli("open", "web-1", "ssh", "-m", "INC-7", "--no-wait", "-o", "json", *words)
    assert ran.code == 0, ran
    return str(ran.data["id"])


def test_what_waits_is_in_the_inbox_and_opens_when_it_is_approved(cli: Cli, dora: dict[str, str]) -> None:
    request = ask(cli)
    inbox = cli("inbox", **dora)
    assert request[:8] in inbox.out
    assert "INC-7" in inbox.out
    assert "Nothing waits for you" in cli("inbox").out
    ran = cli("approve", request[:8], "-m", "fine", **dora)
    assert (ran.code, "opening" in ran.out) == (0, True)
    grant = cli.grants()[0]["id"]
    assert cli("ls", "--mine").code == 0
    with cli.server.client() as client:
        client.get(f"/api/v1/grants/{grant}", params={"wait": 60})
    assert cli.reaches()
    again = cli("approve", request[:8], **dora)
    assert (again.code, "decided already" in again.err) == (1, True)


def test_nobody_approves_their_own(cli: Cli, dora: dict[str, str]) -> None:
    ran = cli("approve", ask(cli))
    assert (ran.code, "their own" in ran.err) == (5, True)
    assert dora


def test_a_request_is_denied_or_withdrawn(cli: Cli, dora: dict[str, str]) -> None:
    denied, withdrawn = ask(cli), ask(cli, "--from", "192.0.2.1")
    assert cli("deny", denied[:8], "-m", "no", **dora).code == 0
    assert cli("withdraw", withdrawn[:8]).code == 0
    assert cli.grants() == []
    ended = {grant["request"]: grant for grant in cli.grants(state="closed")}
    assert (ended[denied]["reason"], ended[denied]["detail"]) == ("denied", "dora denied it: no")
    assert ended[withdrawn]["reason"] == "withdrawn"
    assert cli("withdraw", "00000000").code == 3


def test_breaking_the_glass_opens_and_is_reviewed_by_somebody_else(cli: Cli, dora: dict[str, str]) -> None:
    ran = cli("open", "web-1", "ssh", "--break-glass", "-m", "site down", "-o", "json")
    assert ran.code == 0
    assert cli.reaches()
    request = ran.data["id"]
    assert request[:8] in cli("review", **dora).out
    assert cli("review", request, "-m", "mine").code == 5
    assert cli("review", request, "-m", "disk was full", **dora).code == 0
    assert "Nothing is left" in cli("review", **dora).out


def test_what_is_scheduled_opens_later(cli: Cli) -> None:
    ran = cli("open", "web-1", "ssh", "--at", "2099-01-01T00:00Z")
    assert (ran.code, "too far ahead" in ran.err) == (4, True)
    ran = cli("open", "web-1", "ssh", "--at", "23:59:59", "-o", "json")
    assert (ran.code, ran.data["grants"][0]["state"]) == (0, "scheduled")


def test_a_freeze_shuts_and_refuses_until_it_is_thawed(cli: Cli) -> None:
    assert cli("open", "web-1", "ssh").code == 0
    assert cli("freeze", "-m", "why").code == 2
    assert cli("freeze", "--everything", "--person", "x", "-m", "why").code == 2
    held = cli("freeze", "--everything", "-m", "incident 7", "-o", "json").data["id"]
    ran = cli("open", "web-1", "ssh")
    assert (ran.code, "incident 7" in ran.err) == (4, True)
    assert not [grant for grant in cli.grants() if grant["state"] == "open"]
    assert "everything" in cli("freezes").out
    assert cli("thaw", held[:8], "-m", "over").code == 0
    assert "Nothing is frozen" in cli("freezes").out
    assert "over" in cli("freezes", "--all").out
    assert cli("open", "web-1", "ssh").code == 0


def test_an_approver_reads_where_the_source_lies_and_shortens(cli: Cli, dora: dict[str, str]) -> None:
    assert "No network" in cli("network", "ls").out
    assert cli("network", "set", "office", "192.0.2.0/24", "2001:db8::/48", "-m", "second floor").code == 0
    assert "2001:db8::/48" in cli("network", "ls").out
    request = ask(cli, "--from", "192.0.2.1", "--for", "2h")
    assert "192.0.2.1 (office)" in " ".join(cli("inbox", **dora).out.split())
    longer = cli("approve", request[:8], "--for", "3h", **dora)
    assert (longer.code, "1 min to 2 h" in longer.err) == (2, True)
    assert cli("approve", request[:8], "--for", "30m", **dora).code == 0
    [grant] = cli.grants()
    assert (grant["duration"], grant["detail"]) == ("PT30M", "dora shortened it from 2 h to 30 min")
    assert cli("network", "delete", "office").code == 0
    assert cli("network", "delete", "office").code == 3


def test_a_move_says_that_it_waits_and_that_the_old_source_stays_open(cli: Cli, dora: dict[str, str]) -> None:
    request = ask(cli)
    assert cli("approve", request[:8], **dora).code == 0
    ran = cli("move", "web-1", "--from", "198.51.100.9")
    assert ran.code == 6, ran
    assert "the move of web-1 port 22" in ran.err
    assert "stays open for where it was" in ran.err
    assert cli.reaches()
