"""What a look at one thing has found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is. `unseen`: it could not be looked at."""

    FINE = "fine"
    MEND = "mend"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: what was looked at; `what`: how it is; `do`: what helps, "" where nothing has to."""

    check: str
    state: State
    what: str
    do: str = ""


def fine(check: str, what: str) -> Finding:
    """It is as it must be."""
    return Finding(check, State.FINE, what)


def mend(check: str, what: str, do: str) -> Finding:
    """Somebody has to do something."""
    return Finding(check, State.MEND, what, do)


def unseen(check: str, what: str, do: str) -> Finding:
    """It could not be looked at."""
    return Finding(check, State.UNSEEN, what, do)
