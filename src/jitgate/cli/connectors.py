"""`jitgate connector`: the cloud accounts that machines are found in."""

from typing import Annotated

import typer

from jitgate.cli.exits import Exit, Failure, Usage
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain

app = typer.Typer(help="Cloud accounts, whose machines are found and protected.", no_args_is_help=True)

TEST_MAY_TAKE = 45.0
NameArgument = Annotated[str, typer.Argument(metavar="CONNECTOR", help="The connector's name.")]


@app.command("add")
def add(
    name: NameArgument,
    kind: Annotated[
        str, typer.Option("--kind", help="azure, aws, or what an installed package brings.", metavar="KIND")
    ],
    subscription: Annotated[
        str | None, typer.Option("--subscription", help="The subscription that its machines are in.", metavar="GUID")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="The resource group that machines outside Azure are filed in.", metavar="GROUP"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of its kind; may be repeated.", metavar="NAME=VALUE")
    ] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Add a cloud account, or give one other settings. Secrets stay in files, or in the server's environment."""
    with session(output, data_dir) as s:
        chosen = dict(_setting(each) for each in settings or ())
        body = {"kind": kind, "subscription": subscription, "resourceGroup": group, "settings": chosen}
        made = s.server.put(path("connectors", name), body)
        if not s.screen.data(made):
            s.screen.say(
                f"{made['name']} is connected. `jitgate connector test {made['name']}` shows what it may.", "green"
            )


@app.command("test")
def check_permissions(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Try what a connector needs, and name each permission that it lacks."""
    with session(output, data_dir) as s:
        found = s.server.post(path("connectors", name, "test"), wait=TEST_MAY_TAKE)
        _must_be_tested(found)
        missing = found["missingPermissions"]
        if not s.screen.data(found):
            for each in missing:
                s.screen.say(f"missing: {plain(each)}", "red")
            if not missing:
                s.screen.say(f"{found['name']} has every permission that it needs.", "green")
        if missing:
            raise typer.Exit(Exit.FAILED)


@app.command("ls")
def list_connectors(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List the cloud accounts, and how they fare."""
    with session(output, data_dir) as s:
        found = s.server.get("/connectors")
        if s.screen.data(found):
            return
        columns = ("CONNECTOR", "KIND", "SUBSCRIPTION", "MACHINES", "STATE", "LAST LOOKED")
        empty = "No cloud is connected. `jitgate connector add` connects one."
        s.screen.table(columns, map(_row, found), empty=empty)
        for each in found:
            if each["error"]:
                s.screen.note(f"{each['name']}: {plain(each['error'])}")


@app.command("remove")
def remove(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Remove a cloud account: its grants end, and what was made in its firewalls is taken away."""
    with session(output, data_dir) as s:
        found = s.server.delete(path("connectors", name))
        if not s.screen.data(found):
            s.screen.say(f"{found['name']} is being removed: listed until its firewalls are let go of.", "yellow")


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise Usage(f"--set {plain(text)!r} is not a setting. Write --set NAME=VALUE.")
    return name, value


def _must_be_tested(found: Json) -> None:
    asked, made = found["testAskedTimeUtc"], found["testedTimeUtc"]
    if made is None or made < asked:
        raise Failure("The test was not made yet: no process looks after this connector. Look at the server's log.")
    if found["testError"]:
        raise Failure(plain(found["testError"]))


def _row(each: Json) -> tuple[str, ...]:
    looked = local(each["discoveredTimeUtc"]) if each["discoveredTimeUtc"] else "never"
    return each["name"], each["kind"], each["subscription"], str(each["machines"]), _state(each), looked


def _state(each: Json) -> str:
    if each["removedTimeUtc"]:
        return "being removed"
    if each["failedTimeUtc"]:
        return f"failing since {local(each['failedTimeUtc'])}"
    return "connected" if each["discoveredTimeUtc"] else "beginning"
