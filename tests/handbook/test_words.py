"""One word for one thing: every word of the glossary is in use, and none of those that it rules out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "jitgate"
GLOSSARY = ROOT / "docs" / "glossary.md"
# The names of others are theirs: of Microsoft's service, role and rules, what PostgreSQL calls who may do everything.
# `Invalid` is our own error's.
NAMES = re.compile(r"VM access|no superuser|security admin|(?-i:Invalid)|admin rule", re.IGNORECASE)
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SPEAKING = ("cli", "core", "ops", "service", "web")


def rows(heading: str) -> list[tuple[str, str]]:
    """The first two cells of a table below a heading ("": the first table of the page)."""
    text = GLOSSARY.read_text("utf-8")
    part = text.partition(f"\n## {heading}\n")[2] if heading else text.partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", part.partition("\n## ")[0], re.MULTILINE)
    return [(word, meaning) for word, meaning in found if word not in {"word", "not", "reason"} and "---" not in word]


@cache
def said() -> dict[str, str]:
    """All that people read, by where it stands: pages, templates, and the texts in the source."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = {str(page.relative_to(ROOT)): prose(page) for page in pages if page != GLOSSARY}
    found |= {path.name: markup(path) for path in (SOURCE / "web" / "portal" / "templates").rglob("*.html")}
    for room in SPEAKING:
        found |= {str(path.relative_to(SOURCE)): texts(path) for path in (SOURCE / room).rglob("*.py")}
    return {where: NAMES.sub("", text) for where, text in found.items()}


def prose(page: Path) -> str:
    """A page without what is quoted from programs."""
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", " ", FENCE.sub("", page.read_text("utf-8")))


def markup(page: Path) -> str:
    return re.sub(r"\{[{%#].*?[}%#]\}|<[^>]*>", " ", page.read_text("utf-8"), flags=re.DOTALL)


def texts(path: Path) -> str:
    """The texts of a module that hold a blank: sentences, and no names for programs."""
    constants = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)]
    return "\n".join(node.value for node in constants if isinstance(node.value, str) and " " in node.value)


@pytest.mark.parametrize("entry", [word for word, _ in rows("")])
def test_a_word_of_the_glossary_is_in_use(entry: str) -> None:
    everything = "\n".join(said().values()).casefold()
    for word in entry.split(", "):
        assert re.search(rf"\b{re.escape(word.casefold())}", everything), f"nobody says {word!r}: take it out"


@pytest.mark.parametrize("entry", [words for words, _ in rows("Not these words")])
def test_a_word_that_the_glossary_rules_out_is_not_said(entry: str) -> None:
    for word in entry.split(", "):
        pattern = re.compile(rf"\b{re.escape(word)}(s|ed|d)?\b", re.IGNORECASE)
        assert not [where for where, text in said().items() if pattern.search(text)], (
            f"say {dict(rows('Not these words'))[entry]!r}, not {word!r}"
        )


def test_the_glossary_rules_words_out_and_in() -> None:
    assert len(rows("")) > 30
    assert len(rows("Not these words")) > 5
