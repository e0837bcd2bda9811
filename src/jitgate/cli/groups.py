"""`jitgate group`: groups, and who is in them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jitgate.cli.exits import NotThere
from jitgate.cli.server import Server, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain

app = typer.Typer(help="Groups, which are given roles for all their members.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
WhoArgument = Annotated[list[str], typer.Argument(metavar="NAME...", help="People or programs.")]


@app.command("ls")
def list_groups(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List groups."""
    with session(output, data_dir) as s:
        found = list(s.server.pages("/groups"))
        if not s.screen.data(found):
            rows = [(each["name"], _who_decides(each), local(each["createdTimeUtc"])) for each in found]
            s.screen.table(("GROUP", "WHO IS IN IT", "SINCE"), rows, empty="No groups.")


@app.command("show")
def show_group(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show who is in a group."""
    with session(output, data_dir) as s:
        where = _path(s.server, name)
        group = s.server.get(where, limit=1)["group"]
        members: list[dict[str, str]] = []
        after: str | None = None
        while True:
            page = s.server.get(where, limit=500, after=after)["members"]
            members += page["items"]
            after = page["after"]
            if after is None:
                break
        if s.screen.data({"group": group, "members": members}):
            return
        s.screen.say(f"{group['name']}: {_who_decides(group)}")
        s.screen.table(("NAME", "KIND"), [(each["name"], each["kind"]) for each in members], empty="Nobody is in it.")


@app.command("add")
def add_group(
    name: NameArgument,
    claimed: Annotated[
        bool, typer.Option("--claimed", help="Who is in it, an identity provider says at each sign-in, by this name.")
    ] = False,
    issuer: Annotated[
        str,
        typer.Option(
            "--issuer", help="Which one, by its name; without it, the only one where people sign in.", metavar="ISSUER"
        ),
    ] = "",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Make a group, without any right yet."""
    with session(output, data_dir) as s:
        made = s.server.post("/groups", {"name": name, "claimed": claimed, "issuer": issuer})
        if not s.screen.data(made):
            s.screen.say(f"{made['name']} is made. `jitgate role assign` gives rights.", "green")


@app.command("delete")
def delete_group(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Remove a group. What it allowed closes at once."""
    with session(output, data_dir) as s:
        s.server.delete(_path(s.server, name))
        if not s.screen.data({"group": name, "deleted": True}):
            s.screen.say(f"{name} is gone.", "green")


@app.command("join")
def join_group(
    name: NameArgument, who: WhoArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None
) -> None:
    """Put people or programs into a group."""
    with session(output, data_dir) as s:
        where = _path(s.server, name)
        for one in who:
            s.server.put(where + path("members", one), {})
        if not s.screen.data({"group": name, "joined": who}):
            s.screen.say(f"In {name} now: {', '.join(who)}.", "green")


@app.command("leave")
def leave_group(
    name: NameArgument, who: WhoArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None
) -> None:
    """Take people or programs out of a group. What it allowed them closes at once."""
    with session(output, data_dir) as s:
        where = _path(s.server, name)
        for one in who:
            s.server.delete(where + path("members", one))
        if not s.screen.data({"group": name, "left": who}):
            s.screen.say(f"In {name} no more: {', '.join(who)}.", "green")


def _path(server: Server, name: str) -> str:
    """The path of a group. One whose name holds slashes goes by its id. Raises NotThere."""
    if "/" not in name:
        return path("groups", name)
    for group in server.pages("/groups"):
        if group["name"].casefold() == name.casefold():
            return path("groups", group["id"])
    raise NotThere(f"There is no group {plain(name)!r}. `jitgate group ls` lists them.")


def _who_decides(group: Mapping[str, Any]) -> str:
    return (
        f"the identity provider {group['issuer'] or '(unknown)'} says"
        if group["kind"] == "claimedGroup"
        else "kept here"
    )
