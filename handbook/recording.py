"""A terminal recording: a real run of the demo as an animated SVG, whole in itself. `make recording` makes it anew.

The lines and their times are the demo's own; only waits are shortened, so that it is over in seconds. A reader who
wants no motion sees the last frame.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "demo.svg"
TYPED = "make demo"
COMMAND = [str(Path(sys.executable).with_name("jitgate")), "demo", "--once"]
PATIENCE = 180.0
"""Seconds that the demo may take."""

FIRST, LONGEST_WAIT, LAST = 1.0, 1.6, 5.0
"""Seconds: before the first line, between two lines at most, and after the last one."""

LETTER, LINE, SIZE, MARGIN, TOP = 8.15, 22, 13.5, 20, 52
"""Pixels: of a letter, between lines, of the type, around everything, and down to the first line."""

_STEP = re.compile(r"^ *(?P<time>[\d.]+) s  (?P<step>.{9})(?P<seen>.*)$")
_STYLE = """
text{font:%gpx ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#e6edf3}
.time{fill:#8b949e}.step{fill:#56d364;font-weight:600}.prompt{fill:#79c0ff}
g{opacity:0;animation:shown %gs linear infinite}
@media(prefers-reduced-motion:reduce){g{opacity:1;animation:none}}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the demo, and when it was printed: seconds from its beginning."""

    at: float
    text: str


class DemoFailed(Exception):
    """The demo did not come to its end."""


def record() -> None:
    """Run the demo, and draw what it printed. Raises DemoFailed."""
    ran = subprocess.run(COMMAND, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if ran.returncode:
        raise DemoFailed(ran.stdout + ran.stderr)
    PICTURE.write_text(drawing(list(lines(ran.stdout))), "utf-8")


def lines(printed: str) -> Iterator[Line]:
    """The lines with their times. One that tells none belongs to the one before."""
    at = 0.0
    for text in printed.splitlines():
        if found := _STEP.match(text):
            at = float(found["time"])
        yield Line(at, text.rstrip())


def drawing(printed: list[Line]) -> str:
    """An SVG that shows the lines one after the other, and begins again."""
    shown = list(zip(_moments(printed), printed, strict=True))
    length = shown[-1][0] + LAST
    width = 2 * MARGIN + LETTER * max(len(line.text) for line in printed)
    height = TOP + LINE * (len(printed) + 1) + MARGIN / 2
    body = "\n".join(_line(row, line) for row, (_, line) in enumerate(shown, 1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img"><title>A run of the demo in a terminal</title>'
        f"<style>{_STYLE % (SIZE, length)}{_keyframes(shown, length)}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n'
        f'<circle cx="24" cy="22" r="6" fill="#f85149"/><circle cx="44" cy="22" r="6" fill="#d29922"/>'
        f'<circle cx="64" cy="22" r="6" fill="#3fb950"/>\n'
        f'<text x="{MARGIN}" y="{TOP + 4}"><tspan class="prompt">$</tspan> {TYPED}</text>\n{body}\n</svg>\n'
    )


def _moments(printed: list[Line]) -> Iterator[float]:
    """When each line is shown: as it was, with no wait longer than the longest."""
    shown, before = FIRST, printed[0].at
    for line in printed:
        shown += min(line.at - before, LONGEST_WAIT)
        before = line.at
        yield shown


def _keyframes(shown: list[tuple[float, Line]], length: float) -> str:
    """One course of events for each line: it is not there, then it is, until all begins again."""
    return "".join(
        f"@keyframes l{row}{{0%,{100 * moment / length:.2f}%{{opacity:0}}{100 * moment / length + 0.01:.2f}%,100%"
        f"{{opacity:1}}}}"
        for row, (moment, _) in enumerate(shown, 1)
    )


def _line(row: int, line: Line) -> str:
    text = f'<text x="{MARGIN}" y="{TOP + 4 + LINE * row}" xml:space="preserve">{_marked(line.text)}</text>'
    return f'<g style="animation-name:l{row}">{text}</g>'


def _marked(text: str) -> str:
    """A line with its time and its step told apart."""
    if not (found := _STEP.match(text)):
        return escape(text)
    time = text[: found.start("step")]
    return (
        f'<tspan class="time">{escape(time)}</tspan><tspan class="step">{escape(found["step"])}</tspan>'
        f"{escape(found['seen'])}"
    )
