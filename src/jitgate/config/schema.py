"""What a setting is: declared once, with its reader, its default and its words.

The file of the first start, the page of the reference and the reading of a file are all made from that::

    @dataclass(frozen=True, slots=True)
    class Server:
        max_body: int = setting(whole(1 << 16, 1 << 26), "The largest request, in bytes.", default="524288")
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from jitgate.core.errors import Invalid

T = TypeVar("T")

Read = Callable[[Any, str], Any]
"""Makes a value of what TOML holds, for the setting of that name. Raises Invalid."""

_TOLD = "told"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    `key`      its name in the file
    `brief`    what it does, in a sentence or two of Markdown; `more`: what the reference says besides
    `shown`    the default, or where there is none an example, as it stands in a file
    `default`  whether `shown` is the default: what holds when the setting is left out
    `required` it cannot be left out
    """

    key: str
    read: Read
    brief: str
    more: str
    shown: str
    default: bool
    required: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One table of settings. `many`: there may be any number of them."""

    key: str
    kind: type[Any]
    words: str
    many: bool


@runtime_checkable
class Checked(Protocol):
    """A table whose settings must fit each other."""

    def check(self, name: Callable[[str], str]) -> None:
        """Raises Invalid. `name`: the full name of one of its settings."""
        ...


def setting(
    read: Read, brief: str, more: str = "", *, key: str = "", default: str = "", example: str = "", absent: Any = None
) -> Any:
    """Declare a setting.

    `key`      its name in the file, where that is not the attribute's
    `default`  as it stands in a file
    `example`  in place of a default, where leaving it out is not the same as any value; `absent`: what holds then
    """
    told = Setting(key, read, brief, more, default or example, bool(default), required=False)
    value = read(_toml(default), key) if default else absent
    return field(default_factory=lambda: value, metadata={_TOLD: told})


def required(read: Read, brief: str, more: str = "", *, example: str) -> Any:
    """Declare a setting that cannot be left out."""
    return field(metadata={_TOLD: Setting("", read, brief, more, example, default=False, required=True)})


def section(kind: type[Any], words: str = "") -> Any:
    """Declare a table that there is one of, whether or not it is in the file. Its key is the attribute's name."""
    return field(default_factory=kind, metadata={_TOLD: Section("", kind, words, many=False)})


def sections(kind: type[Any], key: str, words: str = "") -> Any:
    """Declare tables that there may be any number of."""
    return field(default=(), metadata={_TOLD: Section(key, kind, words, many=True)})


def settings_of(kind: type[Any]) -> list[Setting]:
    """The settings of a table, in their order."""
    return [told for _, told in _told(kind) if isinstance(told, Setting)]


def sections_of(kind: type[Any]) -> list[Section]:
    """The tables below a table, in their order."""
    return [told for _, told in _told(kind) if isinstance(told, Section)]


def load(kind: type[T], values: Any, path: str = "") -> T:
    """A table as its class, out of what TOML holds below `path`. Raises Invalid, naming the setting."""
    if not isinstance(values, dict):
        raise Invalid(path, f"{values!r:.60} is not a table", allowed=f"[{path}] and settings below it")

    def name(key: str) -> str:
        return f"{path}.{key}" if path else key

    told = dict(_told(kind))
    known = [each.key for each in told.values()]
    found = {each: _take(each_told, values, name(each_told.key)) for each, each_told in told.items()}
    for unknown in (key for key in values if key not in known):
        raise Invalid(name(unknown), "there is no such setting", allowed=", ".join(known))
    made = kind(**{each: value for each, value in found.items() if value is not _ABSENT})
    if isinstance(made, Checked):
        made.check(name)
    return made


_ABSENT = object()


def _take(told: Setting | Section, values: Mapping[str, Any], name: str) -> Any:
    if told.key not in values:
        if isinstance(told, Setting) and told.required:
            raise Invalid(name, "the setting is missing", allowed=f"{told.key} = …")
        return _ABSENT
    value = values[told.key]
    if isinstance(told, Setting):
        return told.read(value, name)
    if not told.many:
        return load(told.kind, value, name)
    if not isinstance(value, list):
        raise Invalid(name, "this is one table", allowed=f"[[{name}]], in double brackets, once for each {name}")
    return tuple(load(told.kind, each, f"{name}[{index}]") for index, each in enumerate(value))


def _told(kind: type[Any]) -> Iterator[tuple[str, Setting | Section]]:
    """What is declared, by attribute."""
    for each in fields(kind):
        told = each.metadata[_TOLD]
        yield each.name, told if told.key else replace(told, key=each.name)


def _toml(text: str) -> Any:
    return tomllib.loads(f"it = {text}")["it"]
