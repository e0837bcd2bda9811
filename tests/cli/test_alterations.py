"""`jitgate machine preview`, `alterations`, `agree`: nothing of others' is touched before somebody has seen it."""

import pytest
from tests.cli.conftest import Cli

from jitgate.core import prefixes

ANYONE = prefixes.parse_all(["0.0.0.0/0"], "source")[0]


@pytest.fixture
def shared(cli: Cli) -> Cli:
    """A rule of others lets everybody reach two machines."""

    async def add() -> None:
        cli.server.connector.add_foreign("open door", 0, 4000, ANYONE, "memory/win-1", "memory/web-2")

    cli.server.call(add())
    return cli


def test_a_preview_shows_which_rules_would_be_altered_and_whom_they_count_for(shared: Cli) -> None:
    ran = shared("machine", "preview", "win-1", "--port", "3389/tcp")
    assert ran.code == 0, ran.err
    assert "alter rule open door, 0-4000 from 0.0.0.0/0: without tcp/3389" in ran.out
    assert "counts for memory/web-2" in ran.out
    assert "Nothing was changed" in ran.out
    assert not shared("machine", "alterations", "-o", "json").data


def test_what_waits_is_shown_before_it_is_agreed_to(shared: Cli) -> None:
    shared("enable", "win-1", "--timeout", "2s")
    ran = shared("machine", "agree", "win-1")
    assert ran.code == 2
    assert "open door" in ran.err
    assert "Nothing was agreed to" in ran.err
    assert "proposed" in shared("machine", "alterations").out
    ran = shared("machine", "agree", "win-1", "--yes")
    assert ran.code == 0, ran.err
    assert "put back" in ran.out
    assert shared("enable", "win-1").code == 0
    assert {each["stage"] for each in shared("machine", "alterations", "win-1", "-o", "json").data[0]["items"]} == {
        "altered"
    }


def test_another_digest_than_what_waits_is_refused(shared: Cli) -> None:
    shared("enable", "win-1", "--timeout", "2s")
    ran = shared("machine", "agree", "win-1", "--digest", "0" * 32)
    assert ran.code == 1
    assert "Read it again" in ran.err


def test_where_nothing_waits_there_is_nothing_to_agree_to(cli: Cli) -> None:
    ran = cli("machine", "agree", "win-1")
    assert ran.code == 1
    assert "Nothing waits" in ran.err
