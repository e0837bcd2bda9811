"""`jitgate ssh`: open, connect, and shut when the session ends."""

import os
from typing import Annotated

import typer

from jitgate.cli import completion, opening, words
from jitgate.cli.borrowing import Borrowing, borrowed
from jitgate.cli.child import run
from jitgate.cli.exits import Usage
from jitgate.cli.hints import checked_address
from jitgate.cli.interruptions import Interruption, interruptible
from jitgate.cli.open import PATIENCE, TimeoutOption, WhyOption, seconds, show_origin
from jitgate.cli.opening import Wish
from jitgate.cli.origin import FromOption, find_origin
from jitgate.cli.screen import Output
from jitgate.cli.server import Json
from jitgate.cli.session import DataDirOption, Session, session
from jitgate.cli.words import ForOption, UntilOption

KeepOption = Annotated[bool, typer.Option("--keep", help="Leave the port open until its own end.")]


def ssh(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Argument(metavar="[USER@]MACHINE", help="The machine.", autocompletion=completion.machines)
    ],
    port: Annotated[str, typer.Option("--port", help="The machine's SSH port.", metavar="PORT")] = "ssh",
    length: ForOption = None,
    until: UntilOption = None,
    source: FromOption = None,
    why: WhyOption = "",
    keep: KeepOption = False,
    timeout: TimeoutOption = PATIENCE,
    data_dir: DataDirOption = None,
) -> None:
    """Open a machine's SSH port, run ssh, and shut the port when it ends.

    What follows the machine goes to ssh: `jitgate ssh --for 1h web-1 -A uptime`.
    """
    with session(Output.TABLE, data_dir) as s:
        machine = host.rpartition("@")[2]
        if host.startswith("-") or not machine:
            raise Usage(
                f"{host!r} is not a machine. Options of jitgate come before the machine, those of ssh after it."
            )
        origin = find_origin(s.server, source, [machine], os.environ)
        show_origin(s.screen, origin)
        wish = Wish([machine], [words.needed_port(port)], origin.sources, words.span(length, until), why)
        raise typer.Exit(_connect(s, wish, [host, *ctx.args], seconds(timeout), keep=keep))


def _connect(s: Session, wish: Wish, arguments: list[str], patience: float, *, keep: bool) -> int:
    try:
        with interruptible(), borrowed(Borrowing(s.server, s.screen, patience, keep), wish) as grants:
            s.screen.note(f"{opening.describe(grants[0])}.")
            return run(["ssh", *where(grants[0]), *arguments], os.environ)
    except Interruption as interruption:
        return interruption.exit


def where(grant: Json) -> list[str]:
    """Options that bring ssh to where the grant leads; without an address, ssh finds the machine by its name."""
    connection = grant["connection"]
    if connection is None:
        return []
    options = ["-o", f"HostName={checked_address(connection['address'])}"]
    return options if connection["port"] == 22 else [*options, "-p", str(int(connection["port"]))]
