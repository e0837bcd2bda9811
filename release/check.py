"""The list to go through before a release. Nothing is changed, unless a tag is asked for."""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jitgate
from release import licences, sbom
from release.parts import ROOT, parts

PROJECTS = (ROOT / "packages" / "agent", ROOT)


def versions_agree() -> str:
    """Both distributions, the package itself and what the server asks of the agent have one version."""
    found = {str(folder.relative_to(ROOT)): _project(folder)["version"] for folder in PROJECTS}
    found["jitgate.__version__"] = jitgate.__version__
    pinned = [line for line in _project(ROOT)["dependencies"] if line.startswith("jitgate-agent==")]
    found["the agent that the server asks for"] = pinned[0].partition("==")[2] if pinned else "none"
    return "" if len(set(found.values())) == 1 else f"they differ: {found}"


def changelog_has_a_section() -> str:
    """CHANGELOG.md tells of this version, with its day, and holds nothing back as unreleased."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## {re.escape(jitgate.__version__)}, \d{{1,2}} \w+ \d{{4}}$", text, re.MULTILINE):
        return f"CHANGELOG.md has no heading '## {jitgate.__version__}, DAY MONTH YEAR'"
    return "CHANGELOG.md has still a section 'Unreleased'" if "\n## Unreleased\n" in text else ""


def tree_is_clean() -> str:
    """What is released is what is committed."""
    changed = _git("status", "--porcelain")
    return f"these are not committed: {changed}" if changed else ""


def tag_is_free() -> str:
    """The version has no tag yet, or its tag is what is checked out."""
    tag = f"v{jitgate.__version__}"
    if not _git("tag", "--list", tag):
        return ""
    return "" if _git("rev-parse", f"{tag}^{{commit}}") == _git("rev-parse", "HEAD") else f"{tag} is another commit"


def licences_are_accepted() -> str:
    """Every part tells a licence that is accepted, and the page of them is of today."""
    if refused := [why for part in parts() if (why := licences.refused(part))]:
        return "; ".join(refused)
    shown = (ROOT / "docs" / "reference" / "licences.md").read_text("utf-8")
    return "" if shown == licences.page() else "the page of licences is old: make reference"


def bill_of_materials_is_made() -> str:
    """CycloneDX, valid by its own schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.bill())
    return str(wrong) if wrong is not None else ""


def built_twice_it_is_the_same() -> str:
    """From two directories, at two times, with two umasks: the same bytes."""
    with tempfile.TemporaryDirectory(prefix="jitgate-release-") as directory:
        first, second = (build(Path(directory, name), copy=name == "second") for name in ("first", "second"))
    return "" if first == second else f"they differ: {sorted(first.items() ^ second.items())}"


def build(place: Path, *, copy: bool) -> Mapping[str, str]:
    """The hashes of both wheels and both source distributions, by name, from the tree or a copy of it."""
    source, target = ROOT, place / "dist"
    target.mkdir(parents=True)
    if copy:
        source = place / "tree"
        _copy(source)
    for folder in PROJECTS:
        command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
        environment = {"PATH": "/usr/bin:/bin"}
        subprocess.run(
            command,
            cwd=source / folder.relative_to(ROOT),
            check=True,
            capture_output=True,
            env=environment,
            umask=0o077 if copy else 0o022,
        )
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(target.iterdir())}


def tests_pass() -> str:
    """All of them, as a change has to pass them."""
    return "" if subprocess.run(["make", "test"], cwd=ROOT, check=False).returncode == 0 else "make test failed"


CHECKS: tuple[Callable[[], str], ...] = (
    versions_agree,
    changelog_has_a_section,
    tree_is_clean,
    tag_is_free,
    licences_are_accepted,
    bill_of_materials_is_made,
    built_twice_it_is_the_same,
)


def run(*, with_tests: bool, tag: bool) -> int:
    """Go through the list; the exit code. `tag`: if all is well, tag what is checked out."""
    failed = [check for check in (*CHECKS, *((tests_pass,) if with_tests else ())) if _fails(check)]
    if failed:
        print(f"{len(failed)} to mend before a release.")
        return 1
    if not tag:
        print("Ready. Nothing was changed: `python -m release check --tests --tag` tags it, `make dist` builds it.")
        return 0
    if not with_tests:
        print("A tag takes --tests, too.", file=sys.stderr)
        return 2
    _git("tag", "--annotate", f"v{jitgate.__version__}", "--message", f"jitgate {jitgate.__version__}")
    print(f"v{jitgate.__version__} is tagged. Push it, and publish what `make dist` builds.")
    return 0


def _fails(check: Callable[[], str]) -> bool:
    wrong = check()
    said = (check.__doc__ or "").partition("\n")[0]
    print(f"{'  no' if wrong else ' yes'}  {said}" + (f"\n      {wrong}" if wrong else ""), flush=True)
    return bool(wrong)


def _project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def _copy(target: Path) -> None:
    """What git has of the tree, and what was fetched for the portal; all of it is of now."""
    fetched = ROOT / "src/jitgate/web/portal/static/fetched"
    for name in (*_listed(), *(str(file.relative_to(ROOT)) for file in fetched.iterdir())):
        made = target / name
        made.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            made.symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            made.write_bytes((ROOT / name).read_bytes())


def _listed() -> Iterator[str]:
    return filter(None, _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"))


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
