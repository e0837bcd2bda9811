"""`jitgate guardrail`: what holds whatever a policy says."""

from tests.cli.conftest import Cli


def test_a_guardrail_that_tightens_holds_at_once(cli: Cli) -> None:
    ran = cli("guardrail", "set", "short", "--max", "30m", "--session", "end")
    assert ran.code == 0
    assert "in force" in ran.out
    ran = cli("open", "web-1", "ssh", "--for", "1h")
    assert ran.code == 4
    assert "at most 30 min" in ran.err


def test_setting_one_thing_keeps_the_others(cli: Cli) -> None:
    cli("guardrail", "set", "short", "--max", "30m", "--tag", "env=prod", "--port", "ssh")
    cli("guardrail", "set", "short", "--reason")
    found = cli("guardrail", "ls", "-o", "json").data["items"][0]
    assert found["limits"]["maxDuration"] == "PT30M"
    assert found["limits"]["reasonRequired"] is True
    assert found["selector"] == {"scope": "/", "tags": {"env": "prod"}, "ports": [22]}


def test_one_that_loosens_waits_for_a_second_administrator(cli: Cli) -> None:
    cli("guardrail", "set", "short", "--max", "30m")
    ran = cli("guardrail", "set", "short", "--max", "2h")
    assert ran.code == 0
    assert "another administrator" in ran.out
    assert "PT30M" in cli("guardrail", "ls").out
    assert "would demand maxDuration: PT2H" in cli("guardrail", "ls").err


def test_who_proposes_cannot_confirm_and_somebody_else_can(cli: Cli) -> None:
    cli("guardrail", "set", "short", "--max", "30m")
    cli("guardrail", "delete", "short")
    [change] = [each["id"] for each in cli("guardrail", "ls", "-o", "json").data["proposals"]]
    assert f"jitgate guardrail confirm short {change}" in cli("guardrail", "ls").err
    ran = cli("guardrail", "confirm", "short", change)
    assert ran.code == 5
    assert "another administrator must" in ran.err
    second = cli.server.token_of("second", "Owner")
    assert cli("guardrail", "confirm", "short", "0" * 32, JITGATE_TOKEN=second).code == 1
    assert cli("guardrail", "confirm", "short", change, JITGATE_TOKEN=second).code == 0
    assert "No guardrail is set" in cli("guardrail", "ls").out


def test_what_no_guardrail_can_say_is_refused(cli: Cli) -> None:
    for words in (
        ["--approvals", "11"],
        ["--max", "soon"],
        ["--scope", "prod"],
        ["--session", "never"],
        ["--tag", "env"],
    ):
        assert cli("guardrail", "set", "bad", *words).code == 2, words
    assert not cli("guardrail", "ls", "-o", "json").data["items"]


def test_steps_of_approval_and_windows_are_said_in_words(cli: Cli) -> None:
    steps = ["--step", "1:owner,group:ops", "--step", "2", "--escalate", "30m", "--window", "Mon-Fri 08:00-18:00"]
    assert cli("guardrail", "set", "two", *steps).code == 0
    limits = cli("guardrail", "ls", "-o", "json").data["items"][0]["limits"]
    assert [(s["approvals"], s["approvers"], s["escalateAfter"]) for s in limits["steps"]] == [
        (1, ["owner", "group:ops"], "PT30M"),
        (2, [], "PT30M"),
    ]
    assert limits["windows"] == ["Mon,Tue,Wed,Thu,Fri 08:00-18:00"]
    assert "1 by owner or group:ops, 2 by anybody with the right" in cli("guardrail", "ls").out
