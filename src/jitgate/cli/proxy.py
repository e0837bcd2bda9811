"""`jitgate proxy`: a ProxyCommand, so that whatever speaks SSH opens the port by itself."""

import os
from typing import Annotated

import typer

from jitgate.cli import completion, relay, words
from jitgate.cli.borrowing import Borrowing, borrowed
from jitgate.cli.exits import Exit
from jitgate.cli.hints import checked_address
from jitgate.cli.interruptions import Interruption, interruptible
from jitgate.cli.open import PATIENCE, TimeoutOption, WhyOption, seconds, show_origin
from jitgate.cli.opening import Wish
from jitgate.cli.origin import FromOption, find_origin
from jitgate.cli.screen import Output
from jitgate.cli.server import Json
from jitgate.cli.session import DataDirOption, Session, session
from jitgate.cli.ssh import KeepOption
from jitgate.cli.words import ForOption, PortWord, UntilOption


def proxy(
    host: Annotated[
        str,
        typer.Argument(help="The machine: %h, or %n for its name as it was typed.", autocompletion=completion.machines),
    ],
    port: Annotated[str, typer.Argument(help="Its port: %p.")],
    length: ForOption = None,
    until: UntilOption = None,
    source: FromOption = None,
    why: WhyOption = "",
    keep: KeepOption = False,
    timeout: TimeoutOption = PATIENCE,
    data_dir: DataDirOption = None,
) -> None:
    """Open a TCP port and connect standard input and output to it: ProxyCommand jitgate proxy %h %p.

    Connections that run at once share one grant; the last to end shuts the port.
    """
    with session(Output.TABLE, data_dir) as s:
        origin = find_origin(s.server, source, [host], os.environ)
        show_origin(s.screen, origin)
        # A ProxyCommand carries TCP, whatever else the policy would open.
        wanted = PortWord(words.needed_port(port).number, "TCP")
        wish = Wish([host], [wanted], origin.sources, words.span(length, until), why)
        raise typer.Exit(_relay(s, wish, seconds(timeout), keep=keep))


def _relay(s: Session, wish: Wish, patience: float, *, keep: bool) -> int:
    borrowing = Borrowing(s.server, s.screen, patience, keep)
    try:
        with (
            interruptible(),
            borrowed(borrowing, wish) as grants,
            relay.connect(*_target(grants[0], wish)) as connection,
        ):
            return Exit.OK if relay.relay(connection) else Exit.FAILED
    except Interruption as interruption:
        return interruption.exit


def _target(grant: Json, wish: Wish) -> tuple[str, int]:
    """Where the grant leads; without an address, the machine's name is one."""
    connection = grant["connection"]
    if connection is None:
        return wish.machines[0], wish.ports[0].number
    return checked_address(connection["address"]), int(connection["port"])
