"""What the pages show being typed is typed, and prints what they show."""

import os
import time
from pathlib import Path

import pytest
from tests.handbook.console import Console, Typed, agrees, machines, read
from tests.server import Server

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if "```console" in page.read_text("utf-8")
)
# These show how jitgate is used, so what they show is run; of the others all commands are parsed (test_docs.py).
MUST_RUN = {"README.md", *(f"docs/tutorials/{page.name}" for page in (ROOT / "docs" / "tutorials").glob("*.md"))}

GUARDED = (
    "jitgate enable web-1",
    "jitgate principal add ana",
    'jitgate role assign "JIT Requester" --to ana --scope /',
    "jitgate principal add dora",
    "jitgate role assign Owner --to dora --scope /",
)
BEFORE = {
    "approvals": GUARDED,
    "break-glass": (*GUARDED, "jitgate guardrail set prod --approvals 1", "jitgate principal add mallory"),
    "policies-as-files": ("jitgate enable web-1",),
    "audit": ("jitgate enable web-1",),
}
"""What is so already where a page begins, by the page's name."""


def test_the_first_pages_are_among_those_that_are_run() -> None:
    assert {str(page.relative_to(ROOT)) for page in PAGES} >= MUST_RUN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_shows_what_is_printed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - {"PATH"}:
        monkeypatch.delenv(name)
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    monkeypatch.chdir(home)
    with Server(data, machines=machines) as server:
        console = Console(server, home)
        for line in BEFORE.get(page.stem, ()):
            console.run(Typed("", line))
        for happens in read(page):
            if isinstance(happens, Typed):
                printed = patiently(console, happens)
                assert not happens.shown or agrees(happens.shown, printed), f"{happens.line} printed:\n{printed}"
            else:
                console.keep(happens)


def patiently(console: Console, typed: Typed, seconds: float = 60.0) -> str:
    """What is printed. A list is looked at again, as a reader would, where a firewall takes its time."""
    give_up = time.monotonic() + seconds
    printed = console.run(typed)
    while " ls" in typed.line and typed.shown and not agrees(typed.shown, printed) and time.monotonic() < give_up:
        time.sleep(0.05)
        printed = console.run(typed)
    return printed


@pytest.mark.parametrize(
    ("shown", "holds"),
    [
        (["one", "two"], True),
        (["one"], False),
        (["one", "…"], True),
        (["o…e", "…wo"], True),
        (["…", "three"], False),
        (["two", "one"], False),
    ],
)
def test_what_is_shown_is_all_that_is_printed_unless_dots_stand_for_the_rest(shown: list[str], holds: bool) -> None:
    assert agrees(shown, "one\n\n  two  \n") is holds
