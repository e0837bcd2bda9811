"""Empty virtual environments, offline: what a wheel asks for is taken from the locked packages that are installed here.

Exactly that: what is not asked for is not there, so that a dependency that nobody declared is missed.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SERVER, AGENT = ROOT, ROOT / "packages" / "agent"
EXTRAS = ("aws", "azure", "notify", "otel", "postgres")


def build(folder: Path, target: Path, *kinds: str) -> list[Path]:
    """Build a project offline with the locked build tools: ``wheel``, ``sdist``."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    for kind in kinds or ("wheel",):
        subprocess.run([*command, "--target", kind], cwd=folder, check=True, capture_output=True)
    return sorted(target.iterdir())


def asked_for(wheels: list[Path], extras: tuple[str, ...] = ()) -> set[str]:
    """The names of all packages that these wheels need, and what those need in turn."""
    own = {str(canonicalize_name(wheel.name.split("-")[0])) for wheel in wheels}
    waiting = [each for wheel in wheels for each in _needs(_metadata(wheel), extras)]
    found: set[str] = set()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        needed = waiting.pop()
        at = str(canonicalize_name(needed.name)), tuple(sorted(needed.extras))
        if at in seen:
            continue
        seen.add(at)
        if at[0] in own:
            waiting += [
                each for wheel in wheels if wheel.name.startswith(at[0]) for each in _needs(_metadata(wheel), at[1])
            ]
            continue
        found.add(at[0])
        waiting += _needs(metadata.distribution(at[0]).requires or [], at[1])
    return found


class Environment:
    """A virtual environment with these wheels and what they ask for. `bin`: its commands."""

    def __init__(self, place: Path, wheels: list[Path], extras: tuple[str, ...] = ()) -> None:
        self.packages = asked_for(wheels, extras)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        self.bin = place / "bin"
        [self.site] = place.glob("lib/python*/site-packages")
        for name in self.packages:
            _take_over(name, self.site)
        uv = [str(Path(sys.executable).with_name("uv")), "pip"]
        python = ["--python", str(self.bin / "python")]
        install = [*uv, "install", "--quiet", "--offline", "--no-deps", *python, *map(str, wheels)]
        subprocess.run(install, check=True, capture_output=True)
        subprocess.run([*uv, "check", *python], check=True, capture_output=True)

    def run(self, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of its commands, with nothing of the development environment in reach."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        line = [str(self.bin / command), *arguments]
        return subprocess.run(
            line, capture_output=True, text=True, check=False, timeout=120, cwd="/", env={**kept, **environment}
        )


def _needs(requires: list[str], extras: tuple[str, ...]) -> Iterator[Requirement]:
    for text in requires:
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed


@cache
def _metadata(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


def _take_over(name: str, site: Path) -> None:
    for file in metadata.distribution(name).files or ():
        source, target = Path(str(file.locate())), site / file
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except FileExistsError:
            continue
        except OSError:
            shutil.copyfile(source, target)
