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
    azure: Annotated[
        bool,
        typer.Option("--azure", help="With security groups of a fake Azure in front of the machines."),
    ] = False,
    aws: Annotated[
        bool,
        typer.Option("--aws", help="With security groups of a fake AWS in front of the machines."),
    ] = False,
) -> None:
    """See it work: two machines, a real firewall, real connections. Until Ctrl-C; leaves nothing behind."""
    from jitgate.ops.demo import run

    show = run.GATEWAY if gateway else run.AZURE if azure else run.AWS if aws else run.FIREWALLS
    try:
        raise typer.Exit(run.run(once=once, show=show))
    except JitgateError as error:
        print(f"jitgate: {error.message}", file=sys.stderr)
        raise typer.Exit(_CANNOT) from None
