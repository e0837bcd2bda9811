"""`jitgate token`: personal tokens."""

from typing import Annotated

import typer

from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local
from jitgate.core import duration

app = typer.Typer(help="Personal tokens.", no_args_is_help=True)

COLUMNS = ("ID", "NAME", "KIND", "GOOD FOR", "ENDS", "LAST USED")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id that is listed.")]
LifeOption = Annotated[str, typer.Option("--for", help="How long it is good: 5m to 730d.", metavar="TIME")]


@app.command("create")
def create_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    life: LifeOption = "90d",
    action: Annotated[
        list[str] | None,
        typer.Option(help="Good for these actions only, such as */read. May be repeated.", metavar="ACTION"),
    ] = None,
    scope: Annotated[str, typer.Option(help="Good at and below this id only.", metavar="SCOPE")] = "/",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Make a personal token. It is shown this once; standard output holds nothing else."""
    with session(output, data_dir) as s:
        length = duration.parse_short(life, "--for").text
        body = {"name": name, "life": length, "limit": {"actions": action or [], "scope": scope}}
        tell_secret(s.screen, s.server.post("/tokens", body))


@app.command("ls")
def list_tokens(
    principal: Annotated[str | None, typer.Option(help="Somebody else's.", metavar="NAME")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List tokens, with when each was last used."""
    with session(output, data_dir) as s:
        show(s.screen, s.server.get("/tokens", principal=principal)["items"], with_ended=all_)


@app.command("revoke")
def revoke_token(id: IdArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Make a token useless at once."""
    with session(output, data_dir) as s:
        s.server.delete(path("tokens", id))
        s.screen.say(f"{id} is revoked.", "green")


def tell_secret(screen: Screen, made: Json) -> None:
    """The secret alone on standard output, so that it can be piped to where it is kept."""
    if screen.data(made):
        return
    screen.note(f"{made['id']} is good until {local(made['expiresTimeUtc'])}. Keep it: it is shown this once.")
    screen.say(made["secret"])


def show(screen: Screen, items: list[Json], *, with_ended: bool) -> None:
    """Credentials as a table."""
    shown = [each for each in items if with_ended or not each["ended"]]
    if not screen.data(shown):
        screen.table(COLUMNS, map(_row, shown), empty="None.")


def _row(each: Json) -> tuple[str, ...]:
    used = f"{local(each['usedTimeUtc'])} from {each['usedFrom'] or 'unknown'}" if each["usedTimeUtc"] else "never"
    return each["id"], each["name"], each["kind"], _limit(each["limit"]), _end(each), used


def _limit(limit: Json) -> str:
    if limit is None:
        return "all that its holder may do"
    return f"{' '.join(limit['actions'])} at {limit['scope']}"


def _end(each: Json) -> str:
    if each["revokedTimeUtc"]:
        return f"revoked {local(each['revokedTimeUtc'])}"
    return local(each["expiresTimeUtc"]) or "with its holder"
