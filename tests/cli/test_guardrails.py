"""`jitgate guardrail`: what holds whatever a policy says."""

from dataclasses import replace

from tests.cli.conftest import Cli

from jitgate.cli import demands
from jitgate.core.machine import SESSIONS_GO_ON
from jitgate.store import machines
from jitgate.store.database import Tx
from jitgate.web.api.guardrail_forms import LimitsForm


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
    assert "at most 30 min" in cli("guardrail", "ls").out
    assert "would demand at most 2 h" in cli("guardrail", "ls").err


def test_what_is_demanded_is_said_in_words(cli: Cli) -> None:
    said = [
        "--step",
        "1:owner",
        "--step",
        "2",
        "--reason",
        "--reason-pattern",
        "INC-#*",
        "--session",
        "end",
        "--caller-only",
    ]
    more = ["--max", "1h30m", "--approval-wait", "4h", "--source", "203.0.113.0/24", "--enforcement", "enforce"]
    assert cli("guardrail", "set", "all", *said, *more, "--window", "Mon-Fri 09:00-17:00 Europe/Berlin").code == 0
    listed = " ".join(cli("guardrail", "ls", COLUMNS="2000").out.split())
    for words in (
        "1 approval by owner, then 2 approvals by anybody with the right",
        "a reason, a reason of the form INC-#*, sessions end",
        "the caller's own address",
        "at most 1 h 30 min, approval within 4 h",
        "a source in 203.0.113.0/24",
        "enforced",
        "only in Mon,Tue,Wed,Thu,Fri 09:00-17:00 Europe/Berlin",
    ):
        assert words in listed, (words, listed)


def test_every_limit_of_a_guardrail_has_its_words() -> None:
    assert set(demands._SAID) == {field.alias or name for name, field in LimitsForm.model_fields.items()}


def test_who_proposes_cannot_confirm_and_somebody_else_can(cli: Cli) -> None:
    second = cli.server.token_of("second", "Owner")
    cli("guardrail", "set", "short", "--max", "30m")
    cli("guardrail", "delete", "short")
    [change] = [each["id"] for each in cli("guardrail", "ls", "-o", "json").data["proposals"]]
    assert f"jitgate guardrail confirm short {change}" in cli("guardrail", "ls").err
    ran = cli("guardrail", "confirm", "short", change)
    assert ran.code == 5
    assert "another administrator must" in ran.err
    late = cli.server.token_of("late", "Owner")
    assert cli("guardrail", "confirm", "short", change, JITGATE_TOKEN=late).code == 5
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
    assert "1 approval by owner or group:ops, then 2 approvals by anybody with the right" in cli("guardrail", "ls").out


def test_sessions_that_shall_end_and_cannot_are_told_of_before_anything_is_asked_for(cli: Cli) -> None:
    def go_on(tx: Tx) -> None:
        (found,) = machines.find(tx, "web-1")
        machines.put(tx, [replace(found, facts={SESSIONS_GO_ON: "groups let them go on"})])

    cli.server.call(cli.server.service.store.write(go_on))
    limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
    with cli.server.client() as owner:
        assert owner.put("/api/v1/guardrails/end", json=limits).is_success
    ran = cli("why", "web-1", "ssh")
    assert "sessions shall end with it, and cannot here: groups let them go on" in ran.out, ran.err
