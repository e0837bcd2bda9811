"""What the first page and those that argue claim is made by something: pictures by a command, figures by the bench."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from unittest.mock import Mock

import pytest
from bench.__main__ import PARTS

from handbook import recording
from jitgate.ops.demo.story import Story

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
MEASURED = (ROOT / "docs" / "reference" / "performance.md").read_text("utf-8")
EARLIER = (ROOT / "docs" / "reference" / "earlier-figures.md").read_text("utf-8")
PICTURES = ROOT / "docs" / "pictures"
PRINTED = """jitgate demo: two machines
   6.4 s  set up   web-1 & db-1
   7.4 s  protect  jitgate enable web-1
  60.0 s  activity 22 lines: asked
All that was made is removed.
"""


def test_every_measured_figure_is_a_row_of_the_bench_and_names_what_makes_it() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|([^|]+)\| `make bench ARGS='--only (\w+)'` \|$", README, re.MULTILINE)
    assert len(rows) >= 5
    for what, figure, against, part in rows:
        assert re.search(
            rf"^\| {re.escape(what)} \| {re.escape(figure)} \|.*{re.escape(against.strip())}", MEASURED, re.M
        ), what
        assert part in PARTS


@pytest.mark.parametrize(("page", "heading"), [("capacity", "What was measured"), ("comparison", "What was measured")])
def test_what_a_page_calls_measured_stands_in_the_figures(page: str, heading: str) -> None:
    text = (ROOT / "docs" / "explanation" / f"{page}.md").read_text("utf-8")
    rows = re.findall(
        r"^\| [^|]+ \| (.*[0-9].*) \|$", text.partition(f"## {heading}")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert len(rows) >= 3
    for row in rows:
        for figure in re.findall(r"\d[\d.,]*(?: to \d[\d.,]*)?", re.sub(r"\]\([^)]*\)", "", row)):
            assert figure in MEASURED + EARLIER, figure


def test_pictures_are_small_and_there_for_light_and_dark() -> None:
    shown = set(re.findall(r"docs/pictures/[\w.-]+", README))
    assert {"docs/pictures/portal-light.png", "docs/pictures/portal-dark.png", "docs/pictures/demo.svg"} == shown
    assert sum((ROOT / name).stat().st_size for name in shown) < 200_000
    assert all(text for text in re.findall(r'alt="([^"]*)"|!\[([^\]]*)\]', README))


def test_the_recording_shows_every_step_of_the_demo_and_loads_nothing() -> None:
    text = (PICTURES / "demo.svg").read_text("utf-8")
    steps = re.findall(r'class="step">([^<]+?) *<', text)
    assert steps == ["set up", *(step.name for step in Story(Mock(), Mock()).steps())]
    assert not re.search(r"href|url\(|<script|<foreignObject", text)


@pytest.mark.parametrize("picture", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_is_well_formed_and_says_what_it_shows(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    assert root.find("{http://www.w3.org/2000/svg}title") is not None


def test_a_recording_keeps_the_order_and_shortens_only_waits() -> None:
    lines = list(recording.lines(PRINTED))
    assert [line.at for line in lines] == [0.0, 6.4, 7.4, 60.0, 60.0]
    text = recording.drawing(lines)
    assert "web-1 &amp; db-1" in text
    length = float(re.findall(r"shown ([\d.]+)s", text)[0])
    assert length == pytest.approx(
        recording.FIRST + recording.LONGEST_WAIT + 1.0 + recording.LONGEST_WAIT + recording.LAST
    )


def test_a_demo_that_fails_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recording, "COMMAND", ["false"])
    monkeypatch.setattr(recording, "PICTURE", tmp_path / "demo.svg")
    with pytest.raises(recording.DemoFailed):
        recording.record()
    assert not (tmp_path / "demo.svg").exists()
