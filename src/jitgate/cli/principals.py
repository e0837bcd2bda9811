"""`jitgate principal`: people and programs."""

from typing import Annotated

import typer

from jitgate.cli import secrets
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local
from jitgate.core import duration

app = typer.Typer(help="People and programs.", no_args_is_help=True)
app.add_typer(secrets.app, name="secret")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of a person or program.")]


@app.command("ls")
def list_principals(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List people and programs."""
    with session(output, data_dir) as s:
        found = list(s.server.pages("/principals"))
        if not s.screen.data(found):
            rows = [(each["name"], each["kind"], local(each["createdTimeUtc"]), state(each)) for each in found]
            s.screen.table(("NAME", "KIND", "SINCE", "STATE"), rows, empty="Nobody.")


@app.command("show")
def show_principal(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show somebody's groups and roles."""
    with session(output, data_dir) as s:
        found = s.server.get(path("principals", name))
        if s.screen.data(found):
            return
        s.screen.say(f"{found['name']}: {found['kind']}, {state(found)}, since {local(found['createdTimeUtc'])}")
        s.screen.say(f"groups: {', '.join(found['groups']) or 'none'}")
        rows = [(each["role"], each["scope"], each["via"] or "alone") for each in found["roles"]]
        s.screen.table(("ROLE", "SCOPE", "GIVEN TO"), rows, empty="No roles.")


@app.command("add")
def add_principal(
    name: NameArgument,
    service: Annotated[bool, typer.Option("--service", help="A program, which signs in with a secret.")] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Add a person or program, without any right yet."""
    with session(output, data_dir) as s:
        made = s.server.post("/principals", {"name": name, "kind": "service" if service else "user"})
        if not s.screen.data(made):
            s.screen.say(f"{made['name']} is known now. `jitgate role assign` gives rights.", "green")


@app.command("disable")
def disable_principal(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Let somebody in no more. What they have open closes at once."""
    with session(output, data_dir) as s:
        found = s.server.post(path("principals", name, "disable"))
        if not s.screen.data(found):
            s.screen.say(f"{found['name']} is let in no more.", "green")


@app.command("enable")
def enable_principal(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Let somebody in again, with the roles that they had."""
    with session(output, data_dir) as s:
        found = s.server.post(path("principals", name, "enable"))
        if not s.screen.data(found):
            s.screen.say(f"{found['name']} is let in again.", "green")


@app.command("link")
def link_principal(
    name: NameArgument,
    life: Annotated[str, typer.Option("--for", help="How long it is good: 5m to 7d.", metavar="TIME")] = "24h",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Print a link that signs a person in in a browser, once: a first way in without an identity provider."""
    with session(output, data_dir) as s:
        body = {"life": duration.parse_short(life, "--for").text}
        made = s.server.post(path("principals", name, "sign-in-links"), body)
        url = s.server.place.url + made["path"]
        if not s.screen.data({"id": made["id"], "expiresTimeUtc": made["expiresTimeUtc"], "url": url}):
            s.screen.note(
                f"Good once, until {local(made['expiresTimeUtc'])}, for whoever opens it: hand it to nobody but "
                f"{made['principal']}. It is shown this once. `jitgate token revoke {made['id']}` ends it."
            )
            s.screen.say(url)


def state(account: Json) -> str:
    """Whether somebody is let in."""
    since = account["disabledTimeUtc"]
    return f"disabled since {local(since)}" if since else "enabled"
