"""`jitgate open`: what it promises to whoever types it."""

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.conftest import ME, STRANGER, Cli, eventually, finish, protect

from jitgate.core.desired import AccessKey, Protocol
from jitgate.core.prefixes import Prefix


def test_a_port_is_really_open_when_open_returns_and_for_this_source_only(cli: Cli) -> None:
    assert not cli.reaches()
    ran = cli("open", "web-1", "ssh", "--for", "2h", "-m", "INC-7")
    assert ran.code == 0
    assert cli.reaches()
    assert not cli.reaches(source=STRANGER)


def test_it_says_for_whom_until_when_how_to_connect_and_how_to_be_done(cli: Cli) -> None:
    ran = cli("open", "web-1", "ssh", "--for", "2h")
    grant = cli.grants()[0]
    assert f"web-1 port 22/tcp is open for {ME} until" in ran.out
    assert "ssh 10.9.9.9" in ran.out
    assert f"jitgate done {grant['id'][:8]}" in ran.out
    assert "established sessions go on" in ran.out


def test_several_machines_ports_and_sources_open_at_once(cli: Cli) -> None:
    protect(cli, "web-2")
    sources = ("--from", "192.0.2.0/24", "--from", "2001:db8::7")
    ran = cli("open", "web-1", "web-2", "22", *sources, "-o", "json")
    assert ran.code == 0
    assert [(grant["machine"], grant["state"]) for grant in ran.data["grants"]] == [
        ("web-1", "open"),
        ("web-2", "open"),
    ]
    assert cli.reaches("web-2", source="192.0.2.77")
    assert cli.reaches("web-1", source="2001:db8::7")


def test_machines_and_ports_may_come_in_any_order_and_case(cli: Cli) -> None:
    assert cli("open", "SSH", "WEB-1").code == 0


def test_a_named_port_asks_for_its_own_protocol_and_a_number_for_what_the_policy_has(cli: Cli) -> None:
    cli("open", "web-1", "ssh")
    assert not cli.reaches(protocol=Protocol.UDP)
    cli("open", "web-1", "22")
    assert cli.reaches(protocol=Protocol.UDP)


def test_a_refusal_names_the_allowed_value_and_opens_nothing(cli: Cli) -> None:
    ran = cli("open", "web-1", "22", "--for", "9h")
    assert ran.code == 4
    assert "9 h is longer than allowed (port 22 of web-1). Allowed: at most 3 h" in ran.err
    assert not cli.grants()


def test_one_wrong_port_of_several_opens_none(cli: Cli) -> None:
    ran = cli("open", "web-1", "22", "8080")
    assert ran.code == 4
    assert "port 8080 of web-1 is not in the policy. Allowed: 22" in ran.err
    assert not cli.reaches()


def test_a_port_that_the_firewall_refuses_is_reported_as_failed_with_the_reason(cli: Cli) -> None:
    key = AccessKey(cli.machine("web-1").uuid, 22, Protocol.TCP, Prefix(f"{ME}/32"))
    cli.server.connector.refuse(key, "the rule limit is reached")
    ran = cli("open", "web-1", "ssh")
    assert ran.code == 1
    assert "web-1 port 22/tcp was not opened: the rule limit is reached" in ran.err


def test_a_firewall_that_takes_too_long_is_told_from_one_that_fails(cli: Cli) -> None:
    cli.server.connector.delay_next(timedelta(minutes=5), calls=20)
    ran = cli("open", "web-1", "ssh", "--timeout", "1s")
    assert ran.code == 124
    assert "is not open yet" in ran.err
    assert "jitgate done" in ran.err


def test_without_waiting_it_returns_what_was_accepted(cli: Cli) -> None:
    """Case UI13."""
    cli.server.connector.delay_next(timedelta(minutes=5), calls=20)
    ran = cli("open", "web-1", "ssh", "--no-wait", "-o", "json")
    assert ran.code == 0
    assert ran.data["grants"][0]["state"] == "opening"


def test_a_request_that_waits_for_approval_says_so_and_opens_nothing(cli: Cli) -> None:
    assert cli("guardrail", "set", "four-eyes", "--approvals", "1").code == 0
    ran = cli("open", "web-1", "ssh")
    assert ran.code == 4, "nobody could approve it"
    cli.server.token_of("dora", "JIT Approver")
    ran = cli("open", "web-1", "ssh")
    assert ran.code == 6
    assert "waits for approval" in ran.err
    assert not cli.reaches()


def test_until_names_an_absolute_end(cli: Cli) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    ran = cli("open", "web-1", "ssh", "--until", end.isoformat(), "-o", "json")
    assert datetime.fromisoformat(ran.data["grants"][0]["endTimeUtc"]) == end


def test_asking_again_with_a_later_end_extends_without_a_gap(cli: Cli) -> None:
    """Cases OV4 and OV8."""
    cli("open", "web-1", "ssh", "--for", "1h")
    cli("open", "web-1", "ssh", "--for", "2h")
    assert cli.reaches()
    assert eventually(lambda: [grant["duration"] for grant in cli.grants()] == ["PT2H"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("web-1",), "Name at least one port"),
        (("22",), "Name at least one machine"),
        (("web-1", "22", "--for", "2h", "--until", "17:30"), "exclude each other"),
        (("web-1", "22", "--for", "soon"), "for example 2h"),
        (("web-1", "22", "--until", "teatime"), "is not a time"),
        (("web-1", "22", "--from", "300.1.1.1"), "is not a source address"),
        (("web-1", "70000"), "not a port"),
        (("web-1", "22", "--"), "no command after"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    shared_cli: Cli, words: tuple[str, ...], told: str
) -> None:
    ran = shared_cli("open", *words)
    assert ran.code == 2
    assert told in ran.err
    assert not shared_cli.grants()


def test_an_error_for_programs_is_an_object_with_the_failing_field(cli: Cli) -> None:
    ran = cli("open", "web-1", "22", "--for", "9h", "-o", "json")
    error = json.loads(ran.err)["error"]
    assert ran.out == ""
    assert error["code"] == "RequestRefused"
    assert error["details"][0]["target"] == "machines[0].ports[0].duration"


def test_ctrl_c_while_waiting_says_how_to_withdraw(cli: Cli) -> None:
    cli.server.connector.delay_next(timedelta(minutes=5), calls=20)
    process = cli.start("open", "web-1", "ssh")
    assert eventually(lambda: bool(cli.grants()))
    process.send_signal(signal.SIGINT)
    ran = finish(process)
    assert ran.code == 130
    assert "`jitgate done` withdraws it" in ran.err
