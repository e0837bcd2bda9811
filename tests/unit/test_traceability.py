"""Every promise names the test that guards it, and that test exists."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "traceability.md"
# How many there are of each: a row that is lost would be missed by nothing else.
CASES = {
    "J": 27,
    "R": 13,
    "T": 20,
    "CL": 20,
    "OV": 11,
    "AP": 23,
    "PV": 16,
    "FW": 16,
    "HO": 9,
    "CK": 7,
    "RA": 20,
    "UI": 14,
}
ROW = re.compile(r"^\| ([A-Z]+\d+) \| (?:.+) \| (.*) \|$", re.MULTILINE)


def test_every_case_has_a_row_and_there_is_no_other() -> None:
    found = [row[1] for row in ROW.finditer(PAGE.read_text("utf-8"))]
    assert found == [f"{family}{number}" for family, most in CASES.items() for number in range(1, most + 1)]


def test_every_row_names_tests_that_exist() -> None:
    for row in ROW.finditer(PAGE.read_text("utf-8")):
        named = re.findall(r"`([^`]+)`", row[2])
        assert named, f"{row[1]} names no test"
        for test in named:
            path, _, name = test.partition("::")
            assert name in _tests(ROOT / path), f"{row[1]}: there is no {test}"


@cache
def _tests(file: Path) -> frozenset[str]:
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test"))
