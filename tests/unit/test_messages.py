"""A refusal says what was wrong, and what to do about it: read out of the source, each message that people meet."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.test_docs import find_command

ROOT = Path(__file__).parents[2] / "src" / "jitgate"
ROOMS = ("cli", "config", "core", "identity", "ops", "service", "store", "trust", "web")
# The demo tells what it saw, and has no reader but the screen.
ELSEWHERE_TOLD = "demo"
WITH_AN_ALLOWED_VALUE = {"Invalid", "TooLarge"}
SENTENCES = {"Conflict", "Failure", "Forbidden", "NotFound", "NotThere", "TimedOut", "Unavailable", "Usage"}
# What a next step is told by: a command, a verb that tells one to do something, or who has to.
NEXT_STEP = re.compile(
    r"`|jitgate(-agent)? \w|--\w|\b(add|ask|call|change|check|choose|close|connect|create|delete|enable|give|install"
    r"|join|let|list|load|look|make|move|name|open|put|read|remove|restore|revoke|run|say|set|start|stop|take|tell|thaw"
    r"|try|type|use|wait|withdraw|write)\b|\b(must|has to|have to|needs? the right|already|see|names)\b",
    re.IGNORECASE,
)
# What is filled in says it: whole sentences, which are looked at where they are written, and examples.
HANDED_ON = re.compile(r"^\{[^{}]*\}$|\{(why|allowed|_EXAMPLE|'; '\.join\(refused\)|reconsideration\.describe.*)\}")
# Azure's own words, which its clients know.
AS_AZURE_SAYS = "service/inventory.py"


def calls(names: set[str]) -> Iterator[tuple[str, ast.Call, str]]:
    """Where, which call, and the text of its message with ``{}`` for what is filled in."""
    for room in ROOMS:
        folder = ROOT / room
        for path in sorted(folder.rglob("*.py")):
            if ELSEWHERE_TOLD in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                    found = node.args[1 if node.func.id in WITH_AN_ALLOWED_VALUE else 0 :][:1]  # type: ignore[attr-defined]
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, text(found[0]) if found else ""


def text(node: ast.expr) -> str:
    """A message as it is written; names of constants and what is filled in stand in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text(node.left) + text(node.right)
    return "{" + ast.unparse(node).replace("{", "").replace("}", "") + "}"


def test_wrong_input_is_told_what_is_allowed_or_what_to_do() -> None:
    found = list(calls(WITH_AN_ALLOWED_VALUE))
    assert len(found) > 150
    for where, call, message in found:
        allowed = any(keyword.arg == "allowed" for keyword in call.keywords)
        assert allowed or NEXT_STEP.search(message) or "{" in message, f"{where}: {message!r}: and what would do?"


def test_every_refusal_says_what_to_do_next() -> None:
    found = [(where, message) for where, _, message in calls(SENTENCES) if message]
    assert len(found) > 120
    found = [(where, message) for where, message in found if not where.startswith(AS_AZURE_SAYS)]
    silent = [f"{where}: {message}" for where, message in found if not HANDED_ON.search(message) and not step(message)]
    assert not silent, "\n".join(silent)


def step(message: str) -> bool:
    return NEXT_STEP.search(re.sub(r"\{[^{}]*\}", "", message)) is not None


def test_commands_that_people_are_told_to_type_exist() -> None:
    found = [
        (str(path.relative_to(ROOT)), line)
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for line in re.findall(r"`jitgate ([a-z][^`]*)`", text(node))
    ]
    assert len(found) > 100
    for where, line in found:
        command, left, _ = find_command(line.split())
        assert not hasattr(command, "commands") or not left, f"{where}: there is no command jitgate {line}"
