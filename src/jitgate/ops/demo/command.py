"""`jitgate demo`, the command."""

import sys
from typing import Annotated

import typer

from jitgate.core.errors import JitgateError

_CANNOT = 2


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the last step; exit code 0 only if every step held.")
    ] = False,
    gateway: Annotated[
        bool,
        typer.Option("--gateway", help="With a gateway in place of a firewall: needs no rights."),
    ] = False,
) -> None:
    """See it work: two machines, a real firewall, real connections. Until Ctrl-C; leaves nothing behind."""
    from jitgate.ops.demo.run import run

    try:
        raise typer.Exit(run(once=once, gateway=gateway))
    except JitgateError as error:
        print(f"jitgate: {error.message}", file=sys.stderr)
        raise typer.Exit(_CANNOT) from None
