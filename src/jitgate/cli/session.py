"""What every command works with: the server, the screen, and an exit code for whatever goes wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from jitgate.cli.exits import Exit, Failure
from jitgate.cli.place import find_place
from jitgate.cli.screen import Output, Screen
from jitgate.cli.server import Server
from jitgate.core.errors import Invalid

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.", show_default=True)]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Where `jitgate serve` keeps its data, for the server on this machine.", metavar="DIR"
    ),
]
TABLE = Output.TABLE


@dataclass(frozen=True, slots=True)
class Session:
    """One command's work."""

    server: Server
    screen: Screen


@contextmanager
def session(output: Output, data_dir: Path | None) -> Iterator[Session]:
    """Find the server, do the work, and end with the exit code of whatever went wrong."""
    with failures(output) as screen, Server(find_place(data_dir, os.environ)) as server:
        yield Session(server, screen)


@contextmanager
def failures(output: Output) -> Iterator[Screen]:
    """Turn failures into a message and an exit code: never a traceback."""
    screen = Screen(output)
    try:
        yield screen
    except Failure as failure:
        screen.error(failure.message, failure.body)
        raise typer.Exit(failure.exit) from None
    except Invalid as invalid:
        screen.error(str(invalid), {"code": invalid.code, "message": str(invalid)})
        raise typer.Exit(Exit.USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
