"""The rows that have an aim, as a drawing: how much of what the aim allows each takes."""

import textwrap
from collections.abc import Iterable
from html import escape

from bench.figures import Row, number

_WIDTH, _MARGIN, _LABELS, _SAID = 960, 24, 420, 150
"""Pixels: all, around it, of the names on the left, and of what is said on the right."""
_ROW, _BAR, _TOP = 26, 12, 64
_SHOWN = 1.5
"""The longest bar, in aims: one that is longer is cut off there, and says by its figure how long it is."""
_LETTERS = 62
"""Of a name in its place, at the most."""

_STYLE = (
    "text{font:12.5px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}"
    ".figure,.machine{font-size:11.5px;fill:#57606a}.met{fill:#1a7f37}.missed{fill:#bc4c00}"
    ".aim{stroke:#57606a;stroke-width:1.5;stroke-dasharray:3 3}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.figure,.machine{fill:#9198a1}.met{fill:#3fb950}"
    ".missed{fill:#f0883e}.aim{stroke:#9198a1}}"
)


def chart(rows: Iterable[Row], machine: str) -> str:
    """An SVG: a bar for each row that has an aim; `machine`: where it was measured, as a sentence."""
    aimed = [row for row in rows if row.met is not None]
    low = _TOP + len(aimed) * _ROW
    said = textwrap.wrap(machine, 150)
    height = low + 22 + 16 * len(said)
    at_aim = _MARGIN + _LABELS + _scale(1)
    parts = [
        f'<text class="title" x="{_MARGIN}" y="28">How much of what each aim allows is used. Shorter is better</text>',
        f'<text class="figure" x="{at_aim:g}" y="{_TOP - 10}" text-anchor="middle">the aim</text>',
        *(_bar(row, _TOP + place * _ROW) for place, row in enumerate(aimed)),
        f'<path class="aim" d="M{at_aim:g} {_TOP - 4}V{low}"/>',
        *(
            f'<text class="machine" x="{_MARGIN}" y="{low + 24 + 16 * at}">{escape(line)}</text>'
            for at, line in enumerate(said)
        ),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img"><title>What was measured, against its aims</title><style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def used(row: Row) -> float:
    """How much of what its aim allows a row takes: 1 is the aim itself, whether more is better or less."""
    if row.aim is None or row.value is None:
        raise ValueError(f"{row.what} has no aim, or no figure")
    if row.aim.at_least:
        return row.aim.bound / row.value if row.value else float("inf")
    if row.aim.bound == 0:
        return float(row.value > 0) * 2
    return row.value / row.aim.bound


def _bar(row: Row, top: int) -> str:
    share, left = used(row), _MARGIN + _LABELS
    name = textwrap.shorten(row.what, _LETTERS, placeholder=" …")
    figure = f"{number(row.value or 0)} {row.unit}, {row.aim}"
    return (
        f'<text x="{left - 10}" y="{top + 14}" text-anchor="end"><title>{escape(row.what)}</title>{escape(name)}</text>'
        f'<rect class="{"met" if row.met else "missed"}" x="{left}" y="{top + 4}" height="{_BAR}" rx="2" '
        f'width="{max(2.0, _scale(share)):.1f}"/>'
        f'<text class="figure" x="{_WIDTH - _MARGIN}" y="{top + 14}" text-anchor="end">{escape(figure)}</text>'
    )


def _scale(share: float) -> float:
    return min(share, _SHOWN) / _SHOWN * (_WIDTH - 2 * _MARGIN - _LABELS - _SAID)
