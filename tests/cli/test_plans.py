"""`jitgate plan` and `jitgate jit`."""

from tests.cli.conftest import Cli


def test_the_plan_is_shown_set_and_honoured(cli: Cli) -> None:
    assert "Standard P2. Just-in-time access can be asked for." in cli("plan", "show").out
    assert "cannot be asked for" in cli("plan", "set", "free").out
    refused = cli("open", "web-1", "ssh")
    assert refused.code == 4
    assert "'web-1' is not onboarded to Defender For Servers offering." in refused.err
    assert "a trial until" in cli("plan", "set", "trial").out
    assert cli("open", "web-1", "ssh").code == 0
    assert cli("plan", "set", "p2", "-o", "json").data["hasJit"]
    assert cli("plan", "set", "gold").code == 2


def test_the_cost_elsewhere_has_every_row_and_its_date(cli: Cli) -> None:
    out = cli("plan", "cost", "--machines", "100").out
    assert "100 servers: $1460.00 a month there, $0 here." in out
    assert "2020-10-06" in out
    data = cli("plan", "cost", "--machines", "3", "-o", "json").data
    assert (data["elsewhereDollars"], data["freeDays"]) == ("43.80", 30)
    assert len(data["prices"]) == 10
    assert {"what": "MySQL and PostgreSQL", "dollars": None, "per": "server and month"} in data["prices"]


def test_jit_is_switched_off_for_a_group_and_on_again(cli: Cli) -> None:
    assert "switched off." in cli("jit", "disable", "prod", "--why", "audit").out
    assert "switched off already." in cli("jit", "disable", "prod").out
    assert "unsupported: disabled by policy" in cli("machine", "ls").out.replace("\n", " ")
    assert [one["why"] for one in cli("jit", "ls", "-o", "json").data] == ["audit"]
    assert cli("open", "web-1", "ssh").code == 4
    assert "switched on." in cli("jit", "enable", "prod").out
    assert cli("open", "web-1", "ssh").code == 0
