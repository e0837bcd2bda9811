"""What commands print: tables and sentences for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jitgate.cli.text import plain

WIDE = 1000
_PAINTED = {
    "open": "green",
    "opening": "yellow",
    "closing": "yellow",
    "pending": "yellow",
    "scheduled": "cyan",
    "closed": "dim",
    "protected": "green",
    "Refused": "red",
    "Failed": "red",
}


class Output(StrEnum):
    """For whom."""

    TABLE = "table"
    JSON = "json"


class Screen:
    """Standard output for what was asked for, standard error for everything else."""

    def __init__(self, output: Output) -> None:
        self.is_json = output is Output.JSON
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)

    def data(self, value: Any) -> bool:
        """Print a value as JSON if that was asked for. False: it was not, and people want to be told in their way."""
        if self.is_json:
            sys.stdout.write(to_json(value) + "\n")
            sys.stdout.flush()
        return self.is_json

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """Print rows under their headings, or a sentence if there are none."""
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            # Never cut: an id or address that is cut is of no use.
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        if table.row_count:
            self._out.print(table)
        else:
            self.say(empty)

    def say(self, text: str, style: str = "") -> None:
        """Print lines for people."""
        for line in () if self.is_json else text.splitlines():
            self._out.print(Text(plain(line), style), soft_wrap=True)

    def note(self, text: str, style: str = "") -> None:
        """Print lines beside the answer, to standard error. Programs are spared them."""
        for line in () if self.is_json else text.splitlines():
            self._err.print(Text(plain(line), style), soft_wrap=True)

    def error(self, message: str, body: Any) -> None:
        """Print what went wrong: a line for people, an object for programs."""
        if self.is_json:
            sys.stderr.write(to_json({"error": body}) + "\n")
        else:
            self.note(message, "red")

    def confirm(self, question: str) -> bool:
        """Ask somebody who is there. Nobody there says no."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        sys.stderr.write(f"{plain(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def to_json(value: Any) -> str:
    """JSON in plain ASCII: every terminal and pipe can take it."""
    return json.dumps(value, indent=2)


def _cell(value: object) -> Text:
    text = plain("" if value is None else value)
    return Text(text, _PAINTED.get(text, ""))


def _console(file: Any) -> Console:
    """No colour where there is no terminal or NO_COLOR is set; there lines are never folded either."""
    return Console(file=file, width=None if file.isatty() else WIDE, highlight=False, markup=False, emoji=False)
