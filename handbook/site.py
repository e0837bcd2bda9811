"""The documentation as a site: built by Zensical, strictly, with nothing that is loaded from elsewhere.

The repository's own tree is kept (README.md, docs/…), so that every link that holds there holds on the site.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
CONFIG = Path(__file__).parent / "zensical.toml"
PARTS = ("Tutorials", "How-to", "Reference", "Explanation")

_HEADING = re.compile(r"^(#{2,3}) (.+)$")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s#]+)(?:#[^)]*)?\)")


class SiteRefused(Exception):
    """What the builder found wrong, page by page."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the navigation. `path` is relative to the repository."""

    part: str
    group: str
    path: str


def build(directory: Path) -> None:
    """Build the site into a directory, which is made anew. Raises SiteRefused with all broken links and anchors."""
    with tempfile.TemporaryDirectory(prefix="jitgate-handbook-") as scratch:
        place = Path(scratch)
        lay_out(place / "pages")
        config = CONFIG.read_text("utf-8").replace("nav = []", f"nav = {navigation()}")
        (place / "zensical.toml").write_text(config, "utf-8")
        _run_builder(place)
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(place / "site", directory)


def lay_out(place: Path) -> None:
    """Copy all that the site is made of."""
    place.mkdir()
    for page in [*ROOT.glob("*.md"), ROOT / "LICENSE"]:
        shutil.copy(page, place)
    for folder in ("docs", "deploy"):  # pages link to files of both
        shutil.copytree(ROOT / folder, place / folder)


def entries() -> Iterator[Entry]:
    """The pages in the order of the index, each once, under the part and the group that they first stand in."""
    part = group = ""
    seen: set[Path] = {INDEX}
    for line in INDEX.read_text("utf-8").splitlines():
        if heading := _HEADING.match(line):
            part, group = (heading[2], "") if heading[1] == "##" else (part, heading[2])
        for target in _LINK.findall(line) if part else ():
            page = (INDEX.parent / target).resolve()
            if page.suffix == ".md" and page not in seen:
                seen.add(page)
                yield Entry(part, group, str(page.relative_to(ROOT)))


def navigation() -> str:
    """The site's navigation, as TOML."""
    parts: dict[str, list[str]] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in entries():
        pages = parts.setdefault(entry.part, [])
        if entry.group:
            within = groups.setdefault((entry.part, entry.group), [])
            if not within:
                pages.append(entry.group)
            pages = within
        pages.append(_page(entry.path))
        if entry.path == "docs/decisions/README.md":
            pages += [_page(str(page.relative_to(ROOT))) for page in sorted((ROOT / "docs/decisions").glob("0*.md"))]
    shown = [_page("README.md", "jitgate"), _page("docs/README.md", "All pages")]
    for part, pages in parts.items():
        shown.append(_section(part, [_section(p, groups[part, p]) if (part, p) in groups else p for p in pages]))
    return f"[{', '.join(shown)}]"


def title(path: str) -> str:
    """What a page calls itself: its first heading, without marks."""
    head = next(line for line in (ROOT / path).read_text("utf-8").splitlines() if line.startswith("# "))
    return head.removeprefix("# ").replace("`", "")


def _page(path: str, name: str = "") -> str:
    return f"{{ {json.dumps(name or title(path), ensure_ascii=False)} = {json.dumps(path)} }}"


def _section(name: str, pages: list[str]) -> str:
    return f"{{ {json.dumps(name, ensure_ascii=False)} = [{', '.join(pages)}] }}"


def _run_builder(place: Path) -> None:
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--config-file", "zensical.toml"]
    # The builder colours what it says as it likes; without a terminal that only hides it.
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = re.sub(r"\x1b\[[\d;]*m", "", ran.stdout + ran.stderr)
        raise SiteRefused(said.partition("Traceback")[0])
