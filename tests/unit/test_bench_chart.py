"""The drawing of what was measured: no aim that was missed looks as if it were met."""

import xml.etree.ElementTree as ET

import pytest
from bench.chart import chart, used
from bench.figures import Aim, Row, failed

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("value", "aim", "share"),
    [
        (30.0, Aim(60), 0.5),
        (90.0, Aim(60), 1.5),
        (2.0, Aim(0.5, at_least=True), 0.25),
        (0.25, Aim(0.5, at_least=True), 2.0),
        (0.0, Aim(0), 0.0),
        (3.0, Aim(0), 2.0),
        (0.0, Aim(1, at_least=True), float("inf")),
    ],
)
def test_a_bar_is_shorter_than_its_aim_exactly_if_the_aim_is_met(value: float, aim: Aim, share: float) -> None:
    assert used(Row("it", "", value, aim=aim)) == share
    assert (share <= 1) is aim.is_met(value)


def test_every_row_with_an_aim_is_drawn_and_what_was_missed_is_told_by_length_colour_and_figure() -> None:
    rows = [
        Row("open <p99>", "2 ms", 0.5, aim=Aim(1)),
        Row("far too slow", "9 s", 9.0, "s", aim=Aim(1)),
        Row("without an aim", "1 s", 1.0),
        failed("broken", OSError("no")),
    ]
    drawn = ET.fromstring(chart(rows, "two cores & a disk"))
    bars = [(bar.get("class"), float(bar.get("width") or 0)) for bar in drawn.iter(f"{SVG}rect")]
    line = next(path.get("d") for path in drawn.iter(f"{SVG}path"))
    aim = float((line or "").split()[0].removeprefix("M")) - float(next(drawn.iter(f"{SVG}rect")).get("x") or 0)
    assert [kind for kind, _ in bars] == ["met", "missed"]
    assert bars[0][1] < aim < bars[1][1]
    words = " ".join("".join(text.itertext()) for text in drawn.iter(f"{SVG}text"))
    assert "open <p99>" in words
    assert "9 s, ≤ 1" in words
    assert "two cores & a disk" in words
