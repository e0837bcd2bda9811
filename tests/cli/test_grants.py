"""`jitgate ls`, `done`, `extend`, `shorten`, `move`."""

import pytest
from tests.cli.conftest import ME, STRANGER, Cli, eventually, protect

from jitgate.core.desired import AccessKey, Protocol
from jitgate.core.prefixes import Prefix


@pytest.fixture
def opened(cli: Cli) -> Cli:
    assert cli("open", "web-1", "ssh", "--for", "1h").code == 0
    return cli


def grant(cli: Cli) -> dict[str, str]:
    return dict(cli.grants()[0])


def test_ls_shows_what_is_open_and_for_whom(opened: Cli) -> None:
    ran = opened("ls")
    assert ran.out.splitlines()[0].split() == ["GRANT", "MACHINE", "PORT", "FROM", "STATE", "LEFT", "WHO"]
    assert ran.out.splitlines()[1].split()[:5] == [grant(opened)["id"][:8], "web-1", "22/tcp", ME, "open"]


def test_ls_shows_closed_ones_only_when_asked(opened: Cli) -> None:
    opened("done")
    assert "Nothing is open" in opened("ls").out
    assert "userRequested" in opened("ls", "--all").out


def test_ls_says_when_there_is_more(opened: Cli) -> None:
    opened("open", "web-1", "22", "--from", STRANGER)
    ran = opened("ls", "--limit", "1")
    assert len(ran.out.splitlines()) == 2
    assert "There may be more" in ran.err


@pytest.mark.parametrize("how", ["nothing", "machine", "id", "short id", "--all"])
def test_done_shuts_the_port_before_it_returns(opened: Cli, how: str) -> None:
    """Case CL15."""
    uid = grant(opened)["id"]
    words = {"nothing": [], "machine": ["WEB-1"], "id": [uid], "short id": [uid[:6].upper()], "--all": ["--all"]}[how]
    ran = opened("done", *words)
    assert ran.code == 0, ran
    assert "is shut since" in ran.out
    assert not opened.reaches()


def test_done_asks_which_when_there_are_several(opened: Cli) -> None:
    protect(opened, "web-2")
    opened("open", "web-2", "ssh")
    ran = opened("done")
    assert ran.code == 2
    assert "web-1 port 22/tcp" in ran.err
    assert "web-2 port 22/tcp" in ran.err
    assert opened.reaches()


def test_done_does_not_say_shut_before_it_is_known(opened: Cli) -> None:
    """Case CL7."""
    opened.server.connector.fail_next(50, "the firewall is away")
    ran = opened("done", "--timeout", "1s")
    assert ran.code == 124
    assert "Not known to be shut yet" in ran.err
    assert "the firewall is away" in ran.err


def test_done_twice_is_done_once(opened: Cli) -> None:
    uid = grant(opened)["id"]
    assert opened("done", uid).code == 0
    assert opened("done", uid).code == 0


@pytest.mark.parametrize(
    "words", [["done"], ["done", "web-2"], ["done", "0123456789abcdef"], ["extend", "db", "--for", "1h"]]
)
def test_what_is_not_there_is_said_to_be_not_there(shared_cli: Cli, words: list[str]) -> None:
    assert shared_cli(*words).code == 3


def test_extend_counts_from_now_and_is_a_new_decision(opened: Cli) -> None:
    before = grant(opened)["endTimeUtc"]
    assert opened("extend", "web-1", "--for", "2h").code == 0
    assert grant(opened)["endTimeUtc"] > before
    ran = opened("extend", "web-1", "--for", "9h")
    assert ran.code == 4
    assert "at most 3 h" in ran.err


def test_an_extension_stands_in_the_firewall_when_it_returns(opened: Cli) -> None:
    """Case OV7."""
    ran = opened("extend", "web-1", "--for", "2h", "-o", "json")
    machine = opened.machine("web-1")
    key = AccessKey(machine.uuid, 22, Protocol.TCP, Prefix(f"{ME}/32"))
    end = opened.server.connector.standing(machine.scope)[key]
    assert end.isoformat().replace("+00:00", "Z") == ran.data[0]["endTimeUtc"]


def test_shorten_makes_the_end_earlier_and_only_that(opened: Cli) -> None:
    """Case OV5."""
    before = grant(opened)["endTimeUtc"]
    assert opened("shorten", "web-1", "--for", "10m").code == 0
    assert grant(opened)["endTimeUtc"] < before
    assert opened("shorten", "web-1", "--for", "2h").code == 2


def test_a_new_end_has_to_be_said(opened: Cli) -> None:
    ran = opened("extend", "web-1")
    assert ran.code == 2
    assert "--for 2h" in ran.err


def test_move_opens_for_the_new_source_and_shuts_for_the_old_one(opened: Cli) -> None:
    """Case OV9."""
    ran = opened("move", "web-1", "--from", STRANGER)
    assert ran.code == 0, ran
    assert opened.reaches(source=STRANGER)
    assert eventually(lambda: not opened.reaches(source=ME))


def test_move_to_me_asks_where_that_is(opened: Cli) -> None:
    assert opened("move", "web-1", SSH_CLIENT="").code == 2
    ran = opened("move", "web-1", "--from", "me", SSH_CLIENT="192.0.2.5 1 22")
    assert ran.code == 0
    assert opened.reaches(source="192.0.2.5")


def test_json_is_a_list_of_grants_with_their_times_in_utc(opened: Cli) -> None:
    found = opened("ls", "-o", "json").data
    assert [each["machine"] for each in found] == ["web-1"]
    assert all(found[0][name].endswith("Z") for name in ("askedTimeUtc", "openedTimeUtc", "endTimeUtc"))
