"""`jitgate sweep`: with every process of jitgate gone, what is overdue is shut with Azure's credentials alone."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from tests.connectors.azure.scene import AzureHouse, allow
from tests.connectors.azure.test_groups import ADDRESS, one_machine, span
from tests.house import ELSEWHERE, HERE, HOUR, SUBSCRIPTION
from typer.testing import CliRunner

from jitgate.connectors.azure import overdue
from jitgate.connectors.azure.settings import check, read
from jitgate.ops.sweep import sweep

ROLES = Path(__file__).parents[3] / "deploy" / "azure"
MINUTE = timedelta(minutes=1)


async def test_an_overdue_rule_is_shut_with_no_server_and_no_database(azure: AzureHouse) -> None:
    nsg = await opened(azure)
    azure.clock.advance(HOUR + 2 * MINUTE)
    assert azure.passes(nsg, ADDRESS), "nobody is there to shut it"
    [shut] = await swept(azure)
    assert (shut.group, shut.error) == (nsg, "")
    assert not azure.passes(nsg, ADDRESS)
    assert len(azure.ours(nsg)) == 1, "the deny stays"


async def test_what_has_time_left_and_what_others_wrote_is_left_alone(azure: AzureHouse) -> None:
    nsg = await opened(azure)
    old = "[jitgate 0123456789ab until 2001-01-01T00:00:00Z]"
    azure.scene.add_rule(nsg, allow("a-users-own", 3000, description=old))
    azure.scene.add_rule(nsg, allow("jitgate-allow-0123456789ab-22-tcp-v4", 3001, description="mine"))
    before = azure.scene.rules(nsg)
    azure.clock.advance(HOUR + MINUTE / 2)
    assert await swept(azure) == []
    assert azure.scene.rules(nsg) == before


async def test_a_lock_does_not_keep_it_open(azure: AzureHouse) -> None:
    nsg = await opened(azure)
    azure.scene.lock(nsg)
    azure.clock.advance(2 * HOUR)
    [shut] = await swept(azure)
    assert shut.error == ""
    assert not azure.passes(nsg, ADDRESS)
    assert await swept(azure) == []


async def test_of_several_sources_in_a_rule_the_earliest_end_shuts_it_and_a_jitgate_that_comes_back_mends_it(
    azure: AzureHouse,
) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1", sources=[HERE], span=span("PT1H"))
    await azure.open("vm-1", sources=[ELSEWHERE], span=span("PT3H"))
    azure.clock.advance(HOUR + 2 * MINUTE)
    assert len(await swept(azure)) == 1
    assert not azure.passes(nsg, ADDRESS, ELSEWHERE), "which of them is over it cannot know"
    await azure.begin_anew()
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    assert not azure.passes(nsg, ADDRESS, HERE)


async def test_what_cannot_be_shut_is_told_with_the_reason(azure: AzureHouse) -> None:
    nsg = await opened(azure)
    azure.scene.lock(nsg, "ReadOnly")
    azure.clock.advance(2 * HOUR)
    [left] = await swept(azure)
    assert "ScopeLocked" in left.error


async def test_its_role_is_enough_for_it(azure: AzureHouse) -> None:
    nsg = await opened(azure)
    azure.arm.world.permissions = [granted("sweep-role.json")]
    azure.scene.lock(nsg)
    azure.clock.advance(2 * HOUR)
    [shut] = await swept(azure)
    assert shut.error == ""


async def test_the_connectors_role_is_enough_for_the_connector_and_less_is_named(azure: AzureHouse) -> None:
    granted_here = granted("connector-role.json")
    azure.arm.world.permissions = [granted_here]
    nsg = await opened(azure)
    azure.scene.lock(nsg)
    await azure.pass_time(2 * HOUR)
    assert not azure.passes(nsg, ADDRESS)
    assert await azure.cloud.missing_permissions() == []
    for action in granted_here["actions"]:
        rest = [each for each in granted_here["actions"] if each != action]
        azure.arm.world.permissions = [{"actions": rest, "notActions": []}]
        [missing] = await azure.cloud.missing_permissions()
        assert missing == f"{action} at /subscriptions/{SUBSCRIPTION}"


def test_the_command_refuses_what_cannot_be_with_what_can() -> None:
    app = typer.Typer()
    app.command()(sweep)
    for words in (["--subscription", "mine"], ["--subscription", SUBSCRIPTION, "--kind", "moon"]):
        assert CliRunner().invoke(app, words).exit_code == 2


async def opened(azure: AzureHouse) -> str:
    """A machine with a port that is open for an hour."""
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1", span=span("PT1H"))
    return nsg


async def swept(azure: AzureHouse) -> list[overdue.Overdue]:
    """A sweep, as the timer makes it."""
    settings = read(check({"endpoint": azure.arm_url, "credential": "none"}))
    return list(await overdue.sweep([SUBSCRIPTION], settings, azure.clock.wall()))


def granted(file: str) -> dict[str, list[str]]:
    """What a role that ships grants."""
    role = json.loads((ROLES / file).read_text("utf-8"))
    return {"actions": role["Actions"], "notActions": role["NotActions"]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "POLL_SECONDS", 0.001)
