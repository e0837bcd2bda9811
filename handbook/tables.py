"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are text that is ready for one (`cell`)."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str | None) -> str:
    """A text as it stands in a cell: one line, and nothing that ends the cell."""
    return " ".join((text or "").split()).replace("|", "\\|")
