"""`jitgate open`: a port that opens for one source, and shuts by itself."""

import os
from contextlib import ExitStack
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from jitgate.cli import completion, opening, words
from jitgate.cli.borrowing import Borrowing, borrowed
from jitgate.cli.child import run
from jitgate.cli.exits import Usage
from jitgate.cli.hints import how_to_connect
from jitgate.cli.interruptions import Interruption, interruptible
from jitgate.cli.opening import Wish
from jitgate.cli.origin import FromOption, Origin, find_origin
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import plain, short
from jitgate.cli.words import ForOption, StartOption, UntilOption
from jitgate.core import duration

COMMAND = "jitgate.command"

WhyOption = Annotated[str, typer.Option("--why", "-m", help="Why you need it; it goes on record.", metavar="TEXT")]
TimeoutOption = Annotated[str, typer.Option("--timeout", help="How long to wait for the firewall.", metavar="TIME")]
PATIENCE = "2m"


class OpenCommand(TyperCommand):
    """Keeps what follows ``--`` apart: it is a command to run, not a machine."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


def open_ports(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="MACHINE... PORT... [-- COMMAND...]",
            help="Machines, and ports: 22, 53/udp, ssh, rdp, winrm, winrms.",
            autocompletion=completion.machines_and_ports,
        ),
    ],
    length: ForOption = None,
    until: UntilOption = None,
    source: FromOption = None,
    why: WhyOption = "",
    start: StartOption = None,
    break_glass: Annotated[
        bool,
        typer.Option(
            "--break-glass", help="In an emergency: without approval, for an hour at most. Approvers are told."
        ),
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until the ports are really open.")] = False,
    timeout: TimeoutOption = PATIENCE,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Open ports of machines for a source and a time; they shut by themselves.

    Waits until they are really open. With a command after `--`: opens, runs it, and shuts when it ends.
    """
    with session(output, data_dir) as s:
        machines, ports = words.machines_and_ports(targets)
        origin = find_origin(s.server, source, machines, os.environ)
        wish = Wish(machines, ports, origin.sources, words.span(length, until), why, words.start(start), break_glass)
        command = ctx.meta.get(COMMAND)
        if command is not None:
            raise typer.Exit(_run(s, wish, origin, command, seconds(timeout)))
        _open(s, wish, origin, 0 if no_wait else seconds(timeout))


def seconds(timeout: str) -> float:
    """How long to wait. Raises Invalid."""
    return duration.parse_short(timeout, "--timeout").length.total_seconds()


def show_origin(screen: Screen, origin: Origin) -> None:
    """Say what should be known about how the source was found."""
    if origin.remark:
        screen.note(f"Source {', '.join(origin.sources)}. {origin.remark}", "yellow")


def _open(s: Session, wish: Wish, origin: Origin, patience: float) -> None:
    show_origin(s.screen, origin)
    request = _ask(s, wish, patience)
    shown = s.screen.data(request)
    if patience:
        opening.check_open(request["grants"])
    if not shown:
        for grant in request["grants"]:
            _say(s.screen, grant)


def _ask(s: Session, wish: Wish, patience: float) -> Json:
    try:
        request = opening.ask(s.server, wish, wait=patience)
        return opening.wait_until_open(s.server, request, patience) if patience else request
    except KeyboardInterrupt:
        s.screen.note(
            "What was accepted is still being opened: `jitgate ls --mine` shows it, `jitgate done` withdraws it."
        )
        raise


def _say(screen: Screen, grant: Json) -> None:
    is_open = grant["state"] == "open"
    screen.say(f"{opening.describe(grant)}.", "green" if is_open else "")
    hint = how_to_connect(grant)
    if is_open and hint:
        screen.say(f"  connect:     {hint}")
    if grant["detail"]:
        screen.say(f"  note:        {plain(grant['detail'])}")
    screen.say(f"  done early:  jitgate done {short(grant['id'])}")
    if is_open:
        screen.say(f"  at the end:  {_at_the_end(grant)}")


def _at_the_end(grant: Json) -> str:
    if grant["session"] == "end" and grant["endsSessions"]:
        return "established sessions are cut"
    return "no new connections; established sessions go on"


def _run(s: Session, wish: Wish, origin: Origin, command: list[str], patience: float) -> int:
    if not command:
        raise Usage("There is no command after `--`.")
    show_origin(s.screen, origin)
    try:
        with interruptible(), ExitStack() as stack:
            grants = stack.enter_context(borrowed(Borrowing(s.server, s.screen, patience), wish))
            for grant in grants:
                s.screen.note(f"{opening.describe(grant)}.")
            return run(command, os.environ)
    except Interruption as interruption:
        return interruption.exit
