"""`jitgate sweep`: overdue rules go with cloud credentials alone, and nothing else does."""

import asyncio
from datetime import timedelta

import typer
from tests.connectors.aws.scene import ANYWHERE, BOB, REGION, Scene
from tests.house import HOUR, lasting
from typer.testing import CliRunner

from jitgate.connectors.aws import overdue
from jitgate.ops.sweep import sweep


async def test_what_is_overdue_goes_and_all_else_stays(scene: Scene) -> None:
    scene.allow(ANYWHERE, 443)
    await scene.protect("web-1", "web-2")
    await scene.open("web-1", BOB, span=lasting("1h"))
    await scene.open("web-2", BOB, span=lasting("3h"))
    now = scene.house.clock.wall() + HOUR + timedelta(minutes=2)
    [told] = await overdue.sweep(scene.connector.accounts, now, dry=True)
    assert told.rule == f"tcp 22 from {BOB}/32"
    assert scene.own("web-1")
    [shut] = await overdue.sweep(scene.connector.accounts, now)
    assert not shut.error
    assert scene.own("web-1") == set()
    assert scene.own("web-2") == {("tcp", 22, 22, f"{BOB}/32")}
    assert scene.lets(scene.shared) == {("tcp", 443, 443, ANYWHERE)}


async def test_no_rule_is_over_in_the_second_before_its_end(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", BOB, span=lasting("1h"))
    now = scene.house.clock.wall() + HOUR
    early = now - timedelta(milliseconds=500)
    assert not await overdue.sweep(scene.connector.accounts, early, timedelta(0), dry=True)
    assert await overdue.sweep(scene.connector.accounts, now, timedelta(0), dry=True)


async def test_who_lives_is_given_a_minute(scene: Scene) -> None:
    await scene.protect("web-1")
    await scene.open("web-1", BOB, span=lasting("1h"))
    now = scene.house.clock.wall() + HOUR + timedelta(seconds=30)
    assert not await overdue.sweep(scene.connector.accounts, now)


async def test_the_command_needs_nothing_but_credentials(scene: Scene) -> None:
    """It reads the clock of the machine that it runs on, by which all that is open here is long over."""
    await scene.protect("web-1")
    await scene.open("web-1", BOB, span=lasting("1h"))
    group = scene.own_group("web-1")
    assert group is not None
    [rule] = scene.rules(group)
    past = [{"Key": "jitgate:until", "Value": "2001-01-01T00:00:00Z"}]
    scene.client.create_tags(Resources=[rule["SecurityGroupRuleId"]], Tags=past)
    app = typer.Typer()
    app.command()(sweep)
    words = ["--kind", "aws", "--set", f"regions={REGION}"]
    ran = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert ran.exit_code == 0, ran.output
    assert "until 2001-01-01T00:00:00Z: shut" in ran.output
    assert scene.own("web-1") == set()
    assert CliRunner().invoke(app, ["--kind", "gcp"]).exit_code == 2
