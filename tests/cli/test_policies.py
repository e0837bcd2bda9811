"""`jitgate policy`, `enable` and `disable`: protection as code."""

from pathlib import Path

import pytest
from tests.cli.conftest import ME, Cli, eventually, protect

FILE = """
policies:
  - name: {name}
    machines:
      - id: web-1
        ports:
          - {{number: 22, protocol: TCP, maxDuration: PT1H}}
          - {{number: 5986, sources: [10.0.0.0/8, "2001:db8::/32"]}}
"""


@pytest.fixture
def file(cli: Cli, tmp_path: Path) -> Path:
    """The policy of web-1's group and place, as somebody would write it."""
    written = tmp_path / "policies.yaml"
    policy = cli("machine", "show", "web-1", "-o", "json").data["policies"][0]
    written.write_text(FILE.format(name="x").replace("name: x", f"id: {policy}"))
    return written


def apply(cli: Cli, file: Path, *words: str) -> int:
    return cli("policy", "apply", "-f", str(file), *words).code


def test_apply_shows_the_difference_and_then_makes_it_so(cli: Cli, file: Path) -> None:
    """Case UI2."""
    ran = cli("policy", "apply", "-f", str(file), "--yes")
    assert ran.code == 0, ran
    assert "-    - '*'" in ran.err
    assert "+    maxDuration: PT1H" in ran.err
    assert not cli.reaches(port=5986)
    assert cli("open", "web-1", "ssh", "--for", "2h").code == 4


def test_apply_twice_changes_nothing_the_second_time(cli: Cli, file: Path) -> None:
    assert apply(cli, file, "--yes") == 0
    ran = cli("policy", "apply", "-f", str(file))
    assert ran.code == 0
    assert ran.out == "Nothing to change.\n"
    assert ran.err == ""


def plan(cli: Cli, file: Path) -> int:
    return cli("policy", "plan", "-f", str(file)).code


def test_a_plan_tells_by_its_exit_code_whether_anything_would_change(cli: Cli, file: Path) -> None:
    before = cli("policy", "get").out
    assert plan(cli, file) == 2
    assert cli("policy", "get").out == before
    apply(cli, file, "--yes")
    assert plan(cli, file) == 0


def test_a_policy_that_selects_is_read_back_as_it_was_written(cli: Cli, file: Path) -> None:
    policy = cli("machine", "show", "web-1", "-o", "json").data["policies"][0]
    scope = cli("machine", "show", "web-1", "-o", "json").data["id"].partition("/providers/")[0]
    file.write_text(f"policies: [{{id: {policy}, select: [{{scope: {scope}, ports: [{{number: 5986}}]}}]}}]")
    planned = cli("policy", "plan", "-f", str(file))
    assert planned.code == 2
    assert "would lose" not in planned.err
    assert apply(cli, file, "--yes") == 0
    assert not cli.reaches("web-2", 5986)
    assert plan(cli, file) == 0
    file.write_text(cli("policy", "get").out)
    assert plan(cli, file) == 0
    refused = cli("policy", "delete", "web-2", "--yes")
    assert (refused.code, "Change what it selects" in refused.err) == (2, True)
    assert cli("policy", "set", "web-1", "ssh", "--yes").code == 0
    assert not cli.reaches("web-2", 5986)


def test_nothing_changes_where_nobody_can_be_asked(cli: Cli, file: Path) -> None:
    before = cli("policy", "get").out
    ran = cli("policy", "apply", "-f", str(file))
    assert ran.code == 2
    assert "--yes" in ran.err
    assert cli("policy", "get").out == before


def test_what_get_prints_is_what_apply_takes(cli: Cli, file: Path) -> None:
    apply(cli, file, "--yes")
    file.write_text(cli("policy", "get").out)
    assert plan(cli, file) == 0


def test_a_machine_that_would_lose_its_protection_is_named(cli: Cli, file: Path) -> None:
    """Case PV4."""
    protect(cli, "web-2")
    ran = cli("policy", "plan", "-f", str(file))
    assert "web-2 would lose this protection" in ran.err


def test_set_changes_one_port_of_one_machine_and_keeps_the_rest(cli: Cli) -> None:
    """Case PV4."""
    protect(cli, "web-2")
    assert cli("policy", "set", "web-1", "winrms", "--max", "30m", "--yes").code == 0
    machines = cli("policy", "get", "-o", "json").data[0]["machines"]
    assert [[port["number"] for port in machine["ports"]] for machine in machines] == [[22, 5986], [22]]
    assert machines[0]["ports"][1]["maxDuration"] == "PT30M"


def test_set_protects_a_machine_that_had_no_policy(cli: Cli) -> None:
    assert cli("policy", "set", "win-1", "rdp", "--from", "10.0.0.0/8", "--yes").code == 0
    assert not cli.reaches("win-1", 3389)
    ran = cli("open", "win-1", "rdp")
    assert ran.code == 4
    assert "Allowed: 10.0.0.0/8" in ran.err


def test_a_live_grant_stays_while_its_policy_still_covers_it(cli: Cli) -> None:
    cli("open", "web-1", "ssh")
    cli("policy", "set", "web-1", "5986", "--yes")
    assert cli.reaches()


def test_delete_takes_a_port_away_or_a_machine_or_a_policy(cli: Cli) -> None:
    cli("policy", "set", "web-1", "5986", "--yes")
    assert cli("policy", "delete", "web-1", "22", "--yes").code == 0
    assert eventually(cli.reaches)
    assert not cli.reaches(port=5986)
    assert cli("policy", "delete", "web-1", "--yes").code == 0
    assert eventually(lambda: cli.reaches(port=5986))
    protect(cli, "web-2")
    policy = cli("machine", "show", "web-2", "-o", "json").data["policies"][0]
    assert cli("policy", "delete", policy, "--yes").code == 0
    assert cli("policy", "get", policy).code == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no list of policies"),
        ("policies: []", "no list of policies"),
        ("policies: [", "is not YAML"),
        ("policies: [{name: a}]", "has no machines"),
        ("policies: [{machines: []}]", "needs an id, or a name"),
        ("policies: [{name: a, id: b, machines: []}]", "not both"),
        ("policies: [{name: a, machines: [], port: 22}]", "port, which means nothing"),
        ("policies: [{name: a, machines: []}, {name: A, machines: []}]", "a policy twice"),
        ("policies: [{name: a, machines: [{id: web-1, ports: [{number: 0}]}]}]", "1 to 65535"),
        ("policies: [{name: a, machines: [{id: web-1, ports: [{number: 22, maxDuration: PT1M}]}]}]", "5 min to 24 h"),
        ("policies: [{name: a, machines: [{id: web-1, ports: [{number: 22, sauces: []}]}]}]", "Extra inputs"),
        ("policies: [{name: a, machines: [{id: web-1, ports: []}]}]", "at least one port"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_the_allowed_value(
    shared_cli: Cli, tmp_path: Path, text: str, told: str
) -> None:
    """Case PV3."""
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    before = shared_cli("policy", "get").out
    ran = shared_cli("policy", "apply", "-f", str(file), "--yes")
    assert ran.code == 2
    assert told in ran.err
    assert shared_cli("policy", "get").out == before


def test_a_file_with_an_unknown_machine_says_which(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("policies: [{name: a, machines: [{id: web-9, ports: [{number: 22}]}]}]")
    ran = cli("policy", "apply", "-f", str(file), "--yes")
    assert ran.code == 3
    assert "web-9" in ran.err


# --- enable, disable, machine ------------------------------------------------------------------------


def test_enable_returns_when_the_port_is_really_shut(cli: Cli) -> None:
    assert cli.reaches("win-1", 3389)
    ran = cli("enable", "win-1")
    assert ran.code == 0
    assert "win-1 port 3389 is shut, and opens on request." in ran.out
    assert not cli.reaches("win-1", 3389)


def test_enable_all_protects_what_is_not_protected_yet(cli: Cli) -> None:
    ran = cli("enable", "--all", "-o", "json")
    assert ran.code == 0
    assert [machine["name"] for machine in ran.data] == ["web-2", "win-1"]


def test_enable_does_not_say_protected_before_the_firewall_has(cli: Cli) -> None:
    cli.server.connector.fail_next(50, "the firewall is away")
    ran = cli("enable", "web-2", "--timeout", "1s")
    assert ran.code == 124
    assert "the firewall is away" in ran.err


def test_disable_gives_the_port_back(cli: Cli) -> None:
    ran = cli("disable", "web-1")
    assert ran.code == 0
    assert cli.reaches()


@pytest.mark.parametrize("words", [["enable"], ["enable", "web-1", "--all"], ["disable"]])
def test_machines_have_to_be_named(shared_cli: Cli, words: list[str]) -> None:
    assert shared_cli(*words).code == 2


def test_machine_ls_shows_every_machine_whatever_its_policy_is_called(cli: Cli) -> None:
    """Case UI4."""
    cli("policy", "set", "web-2", "2222", "--policy", "my-own", "--yes")
    lines = {line.split()[0]: line for line in cli("machine", "ls").out.splitlines()}
    assert set(lines) == {"MACHINE", "web-1", "web-2", "win-1"}
    assert lines["web-1"].split()[3] == "22"
    assert lines["web-2"].split()[3] == "2222"
    assert lines["win-1"].split()[3] == "none"


def test_a_machine_is_found_by_name_and_id_in_any_case(cli: Cli) -> None:
    """Case UI9."""
    found = cli("machine", "show", "WEB-1", "-o", "json").data
    assert cli("machine", "show", found["id"].upper(), "-o", "json").data["uuid"] == found["uuid"]
    assert ME not in found["addresses"]


@pytest.mark.parametrize(
    ("held", "word", "left"),
    [
        ("*", "53/udp", [("TCP", "PT3H"), ("UDP", "PT1H")]),
        ("TCP", "53/udp", [("TCP", "PT3H"), ("UDP", "PT1H")]),
        ("UDP", "53/udp", [("UDP", "PT1H")]),
        ("TCP", "53", [("*", "PT1H")]),
    ],
)
def test_setting_one_protocol_of_a_port_keeps_the_other_protected(
    cli: Cli, held: str, word: str, left: list[tuple[str, str]]
) -> None:
    cli("policy", "set", "web-2", f"53/{held.replace('*', 'any')}", "--yes")
    assert cli("policy", "set", "web-2", word, "--max", "1h", "--yes").code == 0
    found = next(m for m in cli("policy", "get", "-o", "json").data[0]["machines"] if m["id"].endswith("web-2"))
    assert sorted((port["protocol"], port["maxDuration"]) for port in found["ports"]) == left


def test_a_plan_for_programs_holds_the_difference_and_who_would_lose(cli: Cli, file: Path) -> None:
    protect(cli, "web-2")
    ran = cli("policy", "plan", "-f", str(file), "-o", "json")
    assert ran.code == 2
    assert ran.data[0]["lostMachines"][0].endswith("/web-2")
    assert any(line.startswith("+") for line in ran.data[0]["difference"])
