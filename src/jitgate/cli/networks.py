"""`jitgate network`: what the places are called that people come from."""

from typing import Annotated

import typer

from jitgate.cli.server import path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import plain

app = typer.Typer(help="Names for the networks that people come from; they allow nothing.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The network's name.")]


@app.command("ls")
def list_networks(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List named networks."""
    with session(output, data_dir) as s:
        found = s.server.get("/networks")["items"]
        if not s.screen.data(found):
            rows = [(plain(one["name"]), ", ".join(one["prefixes"]), plain(one["note"])) for one in found]
            s.screen.table(("NETWORK", "PREFIXES", "NOTE"), rows, empty="No network has a name yet.")


@app.command("set")
def set_network(
    name: NameArgument,
    prefixes: Annotated[list[str], typer.Argument(metavar="PREFIX...", help="203.0.113.0/24, 2001:db8::/48, …")],
    note: Annotated[str, typer.Option("--note", "-m", help="What it is, for who decides.", metavar="TEXT")] = "",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Describe a network, in place of what its name stood for."""
    with session(output, data_dir) as s:
        done = s.server.put(path("networks", name), {"prefixes": prefixes, "note": note})
        if not s.screen.data(done):
            s.screen.say(f"{plain(done['name'])} is {', '.join(done['prefixes'])}.", "green")


@app.command("delete")
def delete_network(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Forget a network. Nothing opens or shuts for that."""
    with session(output, data_dir) as s:
        s.server.delete(path("networks", name))
        if not s.screen.data({"network": name, "deleted": True}):
            s.screen.say(f"{plain(name)} is forgotten.", "green")
