"""The shape of the house, kept by machine: who may import whom, how large things grow, what things are called."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "jitgate"

# A package in the left column may be imported by the rooms in the right one, and nowhere else.
RESERVED = {
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "cryptography": {"trust"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "typer": {"cli", "ops", "main"},
    "rich": {"cli", "ops", "main"},
    "boto3": {"connectors.aws", "testing.aws"},
    "botocore": {"connectors.aws", "testing.aws"},
    "azure": {"connectors.azure"},
    "opentelemetry": {"tracing.exporting"},
}

# What the pure core may not even take from the standard library: the world, the time and chance.
IMPURE = {
    *("asyncio", "concurrent", "ctypes", "http", "io", "logging", "multiprocessing", "os", "pathlib", "queue"),
    *("random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile"),
    *("threading", "time", "urllib"),
}

NO_NAMES = re.compile(r"util|manager|helper", re.IGNORECASE)


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("jitgate", include_external_packages=True, cache_dir=None)


def is_in(module: str, room: str) -> bool:
    return module == f"jitgate.{room}" or module.startswith(f"jitgate.{room}.")


def core_imports() -> set[str]:
    graph = import_graph()
    core = {module for module in graph.modules if is_in(module, "core")}
    return {imported for module in core for imported in graph.find_modules_directly_imported_by(module)} - core


def tracked_files(*folders: str) -> list[Path]:
    """All files of the checkout that git has or would take."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    listed = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    return [path for path in tracked_files(*folders) if path.suffix == ".py"]


def definitions(*folders: str) -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for path in python_files(*folders):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield path, node


def function_lengths() -> dict[str, int]:
    """Lines of each function from its `def` on, without its docstring. What only declares (`...`) is not counted."""
    lengths = {}
    for path, node in definitions("src"):
        if isinstance(node, ast.ClassDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        if not body or ast.unparse(body[0]) == "...":
            continue
        docstring = node.body[0] if ast.get_docstring(node) else None
        spared = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
        where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        lengths[where] = (node.end_lineno or 0) - node.lineno + 1 - spared
    return lengths


def test_every_room_imports_only_the_rooms_below_it() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("package", RESERVED)
def test_a_package_is_imported_by_its_own_room_only(package: str) -> None:
    graph = import_graph()
    if package not in graph.modules:
        return
    importers = graph.find_modules_that_directly_import(package)
    strangers = {module for module in importers if not any(is_in(module, room) for room in RESERVED[package])}
    assert not strangers, f"{package} is for {sorted(RESERVED[package])}"


def test_the_core_imports_the_standard_library_only() -> None:
    assert core_imports() <= sys.stdlib_module_names


def test_the_core_knows_neither_the_world_nor_the_time_nor_chance() -> None:
    assert not core_imports() & IMPURE


def test_the_core_is_told_the_time_and_never_asks_for_it() -> None:
    asking = re.compile(r"\.(now|utcnow|today)\(")
    askers = [path.name for path in python_files("src/jitgate/core") if asking.search(path.read_text(encoding="utf-8"))]
    assert not askers


def test_no_module_is_longer_than_five_hundred_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in python_files("src")
    }
    assert not {path: length for path, length in lengths.items() if length > 500}
    assert statistics.median(lengths.values()) <= 150


def test_functions_stay_small() -> None:
    lengths = function_lengths()
    longest = sorted(((length, where) for where, length in lengths.items()), reverse=True)
    long_ones = [(length, where) for length, where in longest if length >= 30]
    assert statistics.median(lengths.values()) <= 8, (
        f"half of all functions have 8 lines at most; the longest: {longest[:10]}"
    )
    assert len(long_ones) <= len(lengths) / 10, f"nine in ten functions are under 30 lines: {long_ones}"


def test_names_say_what_a_thing_is() -> None:
    folders = ("src", "tests", "bench", "handbook")
    files = [str(path.relative_to(ROOT)) for path in python_files(*folders) if NO_NAMES.search(path.stem)]
    defined = [
        f"{path.relative_to(ROOT)}: {node.name}" for path, node in definitions(*folders) if NO_NAMES.search(node.name)
    ]
    assert not files + defined, "a name with util, manager or helper in it says nothing: name the thing"


def test_no_file_names_a_package_registry() -> None:
    """Hashes pin what is installed, from whichever index or mirror a machine is set up with (decision 0002)."""
    # In pieces, or this file would be the first to fail.
    domains = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("debian", "org")]
    named = re.compile("|".join(rf"\b{name}\.{end}\b" for name, end in domains).encode())
    culprits = [str(path.relative_to(ROOT)) for path in tracked_files() if named.search(path.read_bytes())]
    assert not culprits
