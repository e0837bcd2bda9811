"""The commands that work on this very machine, without asking a server."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jitgate.clock import SystemClock
from jitgate.config.parts import Part
from jitgate.ops.backup import backup, restore
from jitgate.ops.command_line import SYSTEM_DIR, DataDir, refusals_told
from jitgate.ops.database import db
from jitgate.ops.demo.command import demo
from jitgate.ops.directory import DataDirectory
from jitgate.ops.doctor.command import doctor
from jitgate.ops.keys import keys
from jitgate.ops.serve import DEFAULT_LISTEN
from jitgate.ops.sweep import sweep

HostName = Annotated[str | None, typer.Argument(help="One of the hosts in jitgate.toml; without it: all of them.")]
Why = Annotated[str, typer.Option("--why", "-m", help="The reason, for the record.", metavar="TEXT")]

host = typer.Typer(help="Hosts: those elsewhere, by the server; those here, without one.", no_args_is_help=True)


class Output(StrEnum):
    """For whom."""

    TEXT = "text"
    JSON = "json"


def add_commands(app: typer.Typer) -> None:
    """Add them to the command root."""
    app.command("serve")(serve)
    app.command("demo")(demo)
    app.command("sweep")(sweep)
    app.command("doctor")(doctor)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.add_typer(keys, name="keys")
    app.add_typer(db, name="db")
    app.add_typer(host, name="host")


def serve(
    data_dir: DataDir = SYSTEM_DIR,
    listen: Annotated[
        str, typer.Option(help="Where to accept clients, as HOST:PORT.", metavar="HOST:PORT")
    ] = DEFAULT_LISTEN,
    role: Annotated[Part, typer.Option(help="What this one of several replicas does.")] = Part.ALL,
) -> None:
    """Run jitgate: the server, and the agent that holds this machine's firewall. Ends with Ctrl-C."""
    from jitgate.ops import serve as serving

    with refusals_told():
        raise typer.Exit(serving.serve(data_dir, listen, role))


@host.command("release")
def release(name: HostName = None, why: Why = "", data_dir: DataDir = SYSTEM_DIR) -> None:
    """Open everything that jitgate holds shut on a host, until it is protected again. It goes on record."""
    for found, _ in _order(data_dir, name, why, release=True):
        print(f"{found}: released. Nothing is held shut by jitgate until `jitgate host protect`.")


@host.command("protect")
def protect(name: HostName = None, why: Why = "", data_dir: DataDir = SYSTEM_DIR) -> None:
    """Hold a host shut again, after a release. It goes on record."""
    for found, done in _order(data_dir, name, why, release=False):
        print(f"{found}: protected again." if done else f"{found}: will be protected as soon as `jitgate serve` runs.")


@host.command("status")
def status(
    name: HostName = None,
    data_dir: DataDir = SYSTEM_DIR,
    output: Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")] = Output.TEXT,
) -> None:
    """What stands in the kernel of each host now, read from there; needs no server."""
    from jitgate.connectors.hosts import on_site
    from jitgate.connectors.hosts.status import as_json, as_text

    agent = DataDirectory(data_dir).agent
    with refusals_told():
        found = [on_site.status(agent, each, SystemClock()) for each in on_site.find(agent, name)]
    if output is Output.JSON:
        print(json.dumps(list(map(as_json, found)), indent=2))
    else:
        print("\n".join(line for each in found for line in as_text(each)))
    if any(each.error for each in found):
        raise typer.Exit(1)


def _order(data_dir: Path, name: str | None, why: str, *, release: bool) -> Iterator[tuple[str, bool]]:
    """Give the order to each host; its name, and whether it is carried out."""
    from jitgate.connectors.hosts import on_site
    from jitgate.connectors.hosts.orders import Order

    agent = DataDirectory(data_dir).agent
    clock = SystemClock()
    with refusals_told():
        for each in on_site.find(agent, name):
            order = Order(release, on_site.who(), why, clock.wall())
            yield each.name, on_site.order(agent, each, order, clock)
