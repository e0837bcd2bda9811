"""What commands of this machine have in common."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from jitgate.core.errors import JitgateError

SYSTEM_DIR = Path("/var/lib/jitgate")
_CANNOT = 2

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="JITGATE_DATA_DIR", help="Where everything is kept that an installation needs or makes.", metavar="DIR"
    ),
]


@contextmanager
def refusals_told() -> Iterator[None]:
    """Ends the command with what was refused, and why."""
    try:
        yield
    except JitgateError as error:
        print(f"jitgate: {error.message}", file=sys.stderr)
        raise typer.Exit(_CANNOT) from None
