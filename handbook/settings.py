"""The page of all settings, out of their declarations."""

from collections.abc import Iterator
from typing import Any

from handbook.tables import cell, table
from jitgate.config import Config
from jitgate.config.schema import Section, Setting, sections_of, settings_of

HEAD = """# Settings: `jitgate.toml`

Made from the program: `make reference` renews this page, and a test fails when it is old.

The file is in the [data directory](data-directory.md). `jitgate serve` writes it at the first start, with every
setting as a comment that shows its default; [deploy/jitgate.toml](../../deploy/jitgate.toml) is the same.

- It is read once, when `jitgate serve` starts. After a change: restart. A restart opens and shuts nothing.
- A setting that does not exist, or a value that is not understood, is refused with its name and what would do. The
  server then does not start, and what is shut stays shut.
- Prefixes are IPv4 or IPv6, an address alone or with its length: `192.0.2.10`, `2001:db8::/32`.

A default of "none" means that leaving the setting out is not the same as any value of it; the last column says what
happens then.

Not in the file: where everything is kept (`--data-dir`, `JITGATE_DATA_DIR`), where to accept clients (`--listen`:
`HOST:PORT`, `127.0.0.1:8443` if nothing is said), and policies and guardrails, which are in the database
([policies as files](../how-to/policies-as-files.md)).
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([HEAD, *_parts(Config, "")])


def _parts(kind: type[Any], path: str) -> Iterator[str]:
    for each in sections_of(kind):
        name = f"{path}.{each.key}".strip(".")
        yield _part(each, name)
        yield from _parts(each.kind, name)


def _part(section: Section, name: str) -> str:
    heading = f"## `[[{name}]]`" if section.many else f"## `[{name}]`"
    rows = [(f"`{each.key}`", _default(each), cell(f"{each.brief} {each.more}")) for each in settings_of(section.kind)]
    words = f"{section.words}\n\n" if section.words else ""
    return f"{heading}\n\n{words}{table(('setting', 'default', 'what it does'), rows)}"


def _default(setting: Setting) -> str:
    if setting.required:
        return "required"
    return f"`{setting.shown}`" if setting.default else "none"
