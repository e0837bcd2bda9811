"""The file that is written at first start: every setting with its words, and its default or an example, as comments."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from jitgate.config import Config
from jitgate.config.schema import Section, sections_of, settings_of

_HEAD = """\
## The settings of this jitgate installation, read when it starts.
## A line that begins with ## explains. One that begins with # shows a setting with its default, or with an example:
## take the # away to set it.
"""
_WIDTH = 118
_HOW_TO = re.compile(r" \(\[how to\]\([^)]*\)\)")
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")


def first_text() -> str:
    """The file, as TOML that sets nothing."""
    return "\n".join([_HEAD, *("\n".join(_lines(each, each.key)) + "\n" for each in sections_of(Config))])


def _lines(section: Section, path: str) -> Iterator[str]:
    yield from _explained(section.words)
    yield f"# [[{path}]]" if section.many else f"[{path}]"
    yield from _shown(section.kind)
    for inner in sections_of(section.kind):
        yield "#"
        yield from _lines(inner, f"{path}.{inner.key}")


def _shown(kind: type[Any]) -> Iterator[str]:
    for each in settings_of(kind):
        yield from _explained(each.brief)
        yield f"# {each.key} = {each.shown}"


def _explained(words: str) -> Iterator[str]:
    plain = _LINK.sub(r"\1", _HOW_TO.sub("", words))
    for line in textwrap.wrap(plain, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"## {line}"
