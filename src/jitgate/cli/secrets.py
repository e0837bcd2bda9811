"""`jitgate principal secret`: what programs sign in with."""

from typing import Annotated

import typer

from jitgate.cli import tokens
from jitgate.cli.server import path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.tokens import IdArgument, LifeOption
from jitgate.core import duration

app = typer.Typer(help="Client secrets of service principals.", no_args_is_help=True)

PrincipalArgument = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="The name of a service principal.")]


@app.command("create")
def create_secret(
    principal: PrincipalArgument,
    name: Annotated[str, typer.Option(help="What it is for.", metavar="NAME")] = "client secret",
    life: LifeOption = "90d",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Make a client secret, besides those that there are. It is shown this once."""
    with session(output, data_dir) as s:
        body = {"name": name, "life": duration.parse_short(life, "--for").text}
        tokens.tell_secret(s.screen, s.server.post(path("principals", principal, "secrets"), body))


@app.command("ls")
def list_secrets(
    principal: PrincipalArgument,
    all_: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List the client secrets of a service principal."""
    with session(output, data_dir) as s:
        items = s.server.get("/tokens", principal=principal)["items"]
        tokens.show(s.screen, [each for each in items if each["kind"] == "secret"], with_ended=all_)


@app.command("revoke")
def revoke_secret(id: IdArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Make a client secret useless at once, and what was lent for it."""
    with session(output, data_dir) as s:
        s.server.delete(path("tokens", id))
        s.screen.say(f"{id} is revoked.", "green")
