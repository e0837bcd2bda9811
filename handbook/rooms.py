"""The drawing of the house: its rooms, and which may import which, out of the rules that `make lint` enforces."""

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "jitgate"

WIDTH, MARGIN, GAP = 960, 40, 12
HEIGHT, LINE, LETTER = 78, 14, 6.0
"""Pixels: of a row, of a line of text in it, and what a letter takes."""

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.name{font-weight:600}.what,.never{font-size:11.5px;fill:#57606a}"
    "rect{fill:#f6f8fa;stroke:#d0d7de}path{stroke:#57606a;fill:none;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.what,.never{fill:#9198a1}rect{fill:#151b23;stroke:#3d444d}"
    "path{stroke:#9198a1}}"
)


def drawing() -> str:
    """An SVG: a row for each layer, the highest on top."""
    layers, never = _rules()
    parts = [box for at, layer in enumerate(layers) for box in _row(layer, MARGIN + at * (HEIGHT + GAP))]
    low = MARGIN + len(layers) * (HEIGHT + GAP)
    parts.append(f'<path d="M18 {MARGIN}V{low - GAP}m-5 -8l5 8l5 -8"/>')
    parts.append(f'<text class="what" x="{MARGIN}" y="26">A room imports those below it, and none beside it.</text>')
    parts += [
        f'<text class="never" x="{MARGIN}" y="{low + 14 + at * 18}">And: {escape(name)}.</text>'
        for at, name in enumerate(never)
    ]
    height = low + 14 + len(never) * 18
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img"><title>The rooms of jitgate, and which may import which</title><style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _rules() -> tuple[list[list[str]], list[str]]:
    """The layers, the highest first, and what else is forbidden."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [layers] = [each["layers"] for each in contracts if each["type"] == "layers"]
    never = [each["name"] for each in contracts if each["type"] == "forbidden"]
    return [[room.strip(" ()") for room in layer.split("|")] for layer in layers], never


def _row(rooms: list[str], top: int) -> list[str]:
    width = (WIDTH - 2 * MARGIN - GAP * (len(rooms) - 1)) / len(rooms)
    return [_box(room, MARGIN + at * (width + GAP), top, width) for at, room in enumerate(rooms)]


def _box(room: str, left: float, top: int, width: float) -> str:
    lines = textwrap.wrap(_purpose(room), int((width - 24) / LETTER), max_lines=3, placeholder=" …")
    said = "".join(
        f'<text class="what" x="{left + 12:g}" y="{top + 38 + at * LINE}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )
    return (
        f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{HEIGHT}" rx="6"/>'
        f'<text class="name" x="{left + 12:g}" y="{top + 22}">{escape(room)}</text>{said}'
    )


def _purpose(room: str) -> str:
    """The first sentence of what a room says about itself."""
    found = [path for path in (SOURCE / f"{room}.py", SOURCE / room / "__init__.py") if path.is_file()]
    text = ast.get_docstring(ast.parse(found[0].read_text("utf-8"))) or ""
    sentence = " ".join(text.partition("\n\n")[0].split()).partition(". ")[0]
    return sentence.rstrip(".").replace("`", "")
