"""What people see: a line for each step with its time, and below them what is being done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

Update = Callable[[str], None]


class Screen:
    """Plain lines where there is no terminal. Times are seconds since it was made."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()

    def say(self, text: str = "", style: str = "") -> None:
        """A line."""
        self._console.print(Text(text, style))

    @contextmanager
    def doing(self, text: str) -> Iterator[Update]:
        """Show what is being done, as long as it is; it can be updated."""
        with self._console.status(Text(text, "dim"), spinner="line") as status:
            yield lambda newer: status.update(Text(newer, "dim"))

    def done(self, step: str, seen: str) -> None:
        """A step that held, and what was seen."""
        self._step(step, "bold green", seen)

    def failed(self, step: str, why: str) -> None:
        """A step that did not hold."""
        self._step(step, "bold red", f"FAILED: {why}")

    def _step(self, step: str, style: str, text: str) -> None:
        passed = time.monotonic() - self._began
        self._console.print(Text.assemble((f"{passed:6.1f} s  ", "dim"), (f"{step:<9}", style), text))
