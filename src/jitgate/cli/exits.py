"""How commands end: one family of failures, and the exit code of each.

The codes are an interface (docs/reference/cli.md): scripts tell by them what happened.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    FORBIDDEN = 5
    WAITING = 6
    UNREACHABLE = 7
    TIMED_OUT = 124
    NOT_RUNNABLE = 126
    NO_COMMAND = 127
    INTERRUPTED = 130


DIFFERENCE = 2
"""`policy apply --dry-run` found something to change."""


class Failure(Exception):
    """A command cannot do what it was asked. `body` is what the server said, if it was the server."""

    exit = Exit.FAILED

    def __init__(self, message: str, *, exit: Exit | None = None, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.exit = self.exit if exit is None else exit
        self.body = body or {"code": type(self).__name__, "message": message}


class Usage(Failure):
    """The command line says something that cannot be."""

    exit = Exit.USAGE


class NotThere(Failure):
    """There is no such machine, grant or policy."""

    exit = Exit.NOT_FOUND


class NotAllowed(Failure):
    """Nobody known is asking, or somebody without the right."""

    exit = Exit.FORBIDDEN


class Unreachable(Failure):
    """The server does not answer."""

    exit = Exit.UNREACHABLE


class TimedOut(Failure):
    """What was asked for was not done in time; it may still be."""

    exit = Exit.TIMED_OUT
