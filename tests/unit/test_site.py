"""The site: whole, and of one piece. Built once, as `make docs` does."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from handbook import site

ROOT = Path(__file__).parents[2]
LOADS = {"src", "srcset", "poster", "data"}
LOADING_LINKS = {"stylesheet", "icon", "preload", "preconnect", "prefetch", "modulepreload", "manifest"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Broken links and anchors fail the build."""
    place = tmp_path_factory.mktemp("built") / "site"
    site.build(place)
    return place


class Loaded(HTMLParser):
    """What a page has its reader's browser fetch, and the classes that make its scripts fetch more."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.classes |= set(values.get("class", "").split())
        self.found += [values[name] for name in LOADS & values.keys()]
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and LOADING_LINKS & set(values.get("rel", "").split()):
            self.found.append(values.get("href", ""))


def loaded(built: Path) -> Iterator[tuple[Path, Loaded]]:
    for page in built.rglob("*.html"):
        parser = Loaded()
        parser.feed(page.read_text("utf-8"))
        yield page, parser


def test_every_page_of_the_documentation_is_on_the_site(built: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        name = "" if page.name == "README.md" else page.stem
        assert (built / page.parent.relative_to(ROOT) / name / "index.html").is_file(), page


def test_the_navigation_has_the_four_parts_and_every_page() -> None:
    found = list(site.entries())
    assert list(dict.fromkeys(entry.part for entry in found)) == list(site.PARTS)
    decisions = set((ROOT / "docs" / "decisions").glob("0*.md"))
    pages = set((ROOT / "docs").rglob("*.md")) - decisions - {site.INDEX}
    assert {ROOT / entry.path for entry in found} >= pages
    assert all(f'"docs/decisions/{page.name}"' in site.navigation() for page in decisions)


def test_no_page_of_the_site_loads_anything_from_elsewhere(built: Path) -> None:
    """Nor do the site's own scripts, which fetch what draws diagrams or enlarges pictures where a page has such."""
    pages = list(loaded(built))
    assert len(pages) > 60
    for page, parser in pages:
        assert not [target for target in parser.found if re.match(r"(https?:)?//", target)], page
        assert not {"mermaid", "glightbox", "pyodide"} & parser.classes, page
    for sheet in built.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text("utf-8")), sheet


def test_every_link_and_picture_of_the_site_is_on_it(built: Path) -> None:
    """The builder looks at links between pages, and not at those to other files."""
    for page, parser in loaded(built):
        if page.name == "404.html":
            continue
        for target in {*parser.links, *parser.found}:
            path = unquote(urlsplit(target).path)
            if urlsplit(target).scheme or not path:
                continue
            found = (page.parent / path).resolve()
            assert found.is_file() or (found / "index.html").is_file(), f"{page.relative_to(built)}: {target}"


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out = site.lay_out

    def with_a_broken_link(place: Path) -> None:
        lay_out(place)
        with (place / "SECURITY.md").open("a") as page:
            page.write("\n[nowhere](docs/no-such-page.md)\n")

    monkeypatch.setattr(site, "lay_out", with_a_broken_link)
    with pytest.raises(site.SiteRefused, match=r"SECURITY\.md"):
        site.build(tmp_path / "site")
    assert not (tmp_path / "site").exists()
