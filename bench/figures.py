"""What came out: rows, and the table that they make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound on a figure."""

    bound: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.bound)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `measured`, `against`  the two sides, with units, for people
    `value`                what the aim is about: their ratio, or the figure itself; None: it could not be measured
    `unit`                 of the value; "×" for a ratio
    `skipped`              nothing was to be measured here, and that is no failure
    """

    what: str
    measured: str
    value: float | None
    unit: str = "×"
    against: str = ""
    aim: Aim | None = None
    skipped: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none, or nothing to compare with it."""
        return None if self.aim is None or self.value is None else self.aim.is_met(self.value)


def failed(what: str, error: BaseException) -> Row:
    """The row of something that could not be measured."""
    why = " ".join(f"{type(error).__name__}: {error}".split()).replace("|", "/")
    return Row(what, f"could not be measured: {why}"[:120], None)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that is not below `percent` of all (nearest rank). Raises ValueError for no samples."""
    if not samples:
        raise ValueError("there are no samples")
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return percentile(samples, 50)


def number(value: float) -> str:
    """Three digits that count, and no exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that a terminal shows well too."""
    lines = [["what", "measured", "against", "figure", "aim", "met"], *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _cells(row: Row) -> list[str]:
    value = "" if row.value is None else f"{number(row.value)} {row.unit}"
    met = {True: "yes", False: "no", None: ""}[row.met]
    return [row.what, row.measured, row.against, value, str(row.aim or ""), met]
