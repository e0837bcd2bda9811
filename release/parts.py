"""The parts of jitgate: the packages that it asks for with all extras, as installed here, and the portal's scripts."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_FETCHED = ROOT / "src" / "jitgate" / "web" / "portal" / "static" / "fetched"
OWN = ("jitgate", "jitgate-agent")
# The same list on every machine: a requirement that only some systems have is one of those of Linux.
_SYSTEM = {
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "platform_machine": "x86_64",
}
_SPELLINGS: Mapping[str, str] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD Zero Clause License": "0BSD",
    "ISC License": "ISC",
    "MIT License": "MIT",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One package. `source`: pypi or npm; `licence`: an SPDX expression, or "" where it tells none."""

    source: str
    name: str
    version: str
    licence: str
    needs: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:{self.source}/{self.name}@{self.version}"


@cache
def parts() -> tuple[Part, ...]:
    """All, by name. Raises PackageNotFoundError where one is not installed."""
    found: dict[str, set[str]] = {}
    waiting = [("jitgate", frozenset({"all"}))]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        needed = {(str(canonicalize_name(each.name)), frozenset(each.extras)) for each in _needs(name, extras)}
        found.setdefault(name, set()).update(other for other, _ in needed if other != name)
        waiting += needed - seen
        seen |= needed
    return (*(_python(name, found[name]) for name in sorted(found)), *_scripts())


def _needs(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in metadata.requires(name) or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({**_SYSTEM, "extra": extra}) for extra in ("", *extras)):
            yield needed


def _python(name: str, needs: set[str]) -> Part:
    return Part("pypi", name, metadata.version(name), _licence(name), tuple(sorted(needs)))


def _licence(name: str) -> str:
    """As an SPDX expression: a package's own, or what its older fields come to."""
    told = metadata.metadata(name)
    if "License-Expression" in told:
        return told["License-Expression"]
    classified = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License")]
    text = told["License"].strip() if "License" in told else ""
    if len(classified) > 1:
        return " OR ".join(sorted(_SPELLINGS.get(one, one) for one in classified))
    if text and "\n" not in text and len(text) < 40:
        return _SPELLINGS.get(text, text)
    return _SPELLINGS.get(classified[0], classified[0]) if classified else ""


def _scripts() -> Iterator[Part]:
    """The portal's scripts, less what only its tests take."""
    locked = json.loads((ROOT / "packages" / "portal" / "package-lock.json").read_text("utf-8"))["packages"]
    for path, package in sorted(locked.items()):
        if path and not package.get("dev"):
            name = re.sub(r"^.*node_modules/", "", path)
            yield Part("npm", name, package["version"], package.get("license") or _by_its_file(name))


def _by_its_file(name: str) -> str:
    """What the first line of a script's licence comes to; "" for none that is known."""
    file = _FETCHED / f"{name}.LICENSE"
    first = file.read_text("utf-8").partition("\n")[0].strip() if file.exists() else ""
    return _SPELLINGS.get(first, "")
