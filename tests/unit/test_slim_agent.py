"""One source, two distributions: `jitgate-agent` stands on its own, and `jitgate` is the rest."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

import jitgate
from jitgate.web.portal import assets

ROOT = Path(__file__).parents[2]
SERVER, AGENT = ROOT, ROOT / "packages" / "agent"

# Runs on the agent's wheel and cryptography alone: `-S` keeps the development install out, the hook the server's needs.
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class Refused:
    names = set("alembic fastapi httpx pydantic rich sqlalchemy starlette structlog typer uvicorn".split())

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} does not belong on a host")

sys.meta_path.insert(0, Refused())
sys.path[:0] = sys.argv[1:]
import jitgate
for module in pkgutil.walk_packages(jitgate.__path__, "jitgate."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""


@cache
def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return table


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """The wheels of both distributions, built offline."""
    built = {}
    for folder in (SERVER, AGENT):
        target = tmp_path_factory.mktemp("wheel")
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        [built[folder]] = target.glob("*.whl")
    return built


def modules_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("jitgate/")}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def asked_of(lock: str) -> list[Requirement]:
    """What the two projects ask for, less each other, and the dependency group that the lock serves."""
    group = project(SERVER)["dependency-groups"]["dev" if "dev" in lock else "build"]
    listed = [needed for needed in group if isinstance(needed, str)]
    for folder in (SERVER, AGENT):
        listed += project(folder)["project"]["dependencies"]
    return [needed for needed in map(Requirement, listed) if needed.name != "jitgate-agent"]


def met(needed: Requirement, locked: dict[NormalizedName, Version]) -> bool:
    version = locked.get(canonicalize_name(needed.name))
    return version is not None and needed.specifier.contains(version)


def test_the_agent_runs_with_nothing_of_the_server_installed(wheels: dict[Path, Path]) -> None:
    command = [sys.executable, "-I", "-S", "-c", IMPORT_EVERYTHING, str(wheels[AGENT]), sysconfig.get_path("purelib")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert {"jitgate.agent", "jitgate.connectors.hosts"} <= set(ran.stdout.split())


def test_the_agent_imports_what_its_distribution_brings_even_where_it_imports_late(wheels: dict[Path, Path]) -> None:
    graph = grimp.build_graph("jitgate", include_external_packages=True, cache_dir=None)
    brought = {module_name(path) for path in modules_in(wheels[AGENT]) if path.endswith(".py")}
    imported = {other for module in brought for other in graph.find_modules_directly_imported_by(module)}
    assert imported - brought - sys.stdlib_module_names <= {"cryptography"}


def test_the_two_wheels_share_no_file_and_together_are_the_whole_source(wheels: dict[Path, Path]) -> None:
    server, agent = modules_in(wheels[SERVER]), modules_in(wheels[AGENT])
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "src/jitgate"]
    listed = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    source = {name.removeprefix("src/") for name in listed.split("\0") if name and (ROOT / name).is_file()}
    assert not server & agent
    fetched = {name for name in server if name.startswith("jitgate/web/portal/static/fetched/")}
    assert server - fetched | agent == source
    # Not committed, and yet there: what the portal's pages load of others.
    assert {name.rpartition("/")[2] for name in fetched} >= set(assets.FETCHED)


def test_the_server_brings_exactly_its_own_version_of_the_agent() -> None:
    assert project(SERVER)["project"]["version"] == project(AGENT)["project"]["version"] == jitgate.__version__
    assert f"jitgate-agent=={jitgate.__version__}" in project(SERVER)["project"]["dependencies"]


def test_a_host_needs_one_package_beside_python() -> None:
    assert [Requirement(needed).name for needed in project(AGENT)["project"]["dependencies"]] == ["cryptography"]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_satisfies_what_the_project_asks_for(lock: str) -> None:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)
    locked = {canonicalize_name(name): Version(version) for name, version in pins}
    unmet = [str(needed) for needed in asked_of(lock) if not met(needed, locked)]
    assert not unmet, "run `make lock`"
