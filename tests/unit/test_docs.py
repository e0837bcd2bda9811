"""The documentation says what the program does: names, settings, calls and commands are compared with the code."""

import ast
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from handbook.program import application, commands

from handbook import reference
from jitgate import config
from jitgate.audit import Operation, Outcome
from jitgate.cli import documents, role_files
from jitgate.cli.exits import Exit
from jitgate.core import roles
from jitgate.core.errors import Invalid, JitgateError
from jitgate.web.api.policy_forms import PolicyForm
from jitgate.web.api.roles import RoleForm

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MANUAL = [page for page in PAGES if page.parent == ROOT or page.parent.name != "decisions"]

# Blocks that show what is typed into a shell; the others name their language.
SHELL = {"", "sh", "console"}
FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
ELSEWHERE = re.compile(r"https?://|mailto:")
# Commands speak to people by exit codes (the page of the command line), and the demo has no reader but the screen.
ELSEWHERE_TOLD = {"cli", "demo"}
# What tables have to hold, in front of other settings and after them.
GATEWAY = '[[gateway]]\nname = "g"\naddress = "192.0.2.1"\n'
BEHIND = '[[gateway.machine]]\nname = "b"\naddress = "192.0.2.2"\n'
TABLES = {
    "": ("", ""),
    "host": ('[[host]]\nname = "a"', ""),
    "notify": ('[[notify]]\nname = "a"', ""),
    "issuer": ('[[issuer]]\nname = "a"\nurl = "https://a"', ""),
    "gateway": (GATEWAY, BEHIND),
    "gateway.machine": (GATEWAY + BEHIND, ""),
}
OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<"}

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# --- links and words ----------------------------------------------------------------------------------


@by_name
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(found), f"{target}: there is no such heading"


@by_name
def test_files_of_the_repository_that_a_page_names_are_there(page: Path) -> None:
    folders = "tests|deploy|bench|handbook|examples|packages|tools"
    for named in re.findall(rf"`((?:{folders})/[\w./-]+)(?:::\w+)?`", prose(page)):
        assert (ROOT / named).exists() or "results" in named, f"there is no {named}"


@by_name
def test_no_page_names_this_machine_or_a_package_registry(page: Path) -> None:
    """Pages hold wherever they are read. (Hosts of registries are looked for in all files by another test.)"""
    text = page.read_text("utf-8")
    assert str(ROOT) + "/" not in text
    assert not re.search(r"(?<![\w/])/(work|home|tmp|root)/", text)
    assert not re.search(r"\b(pypi|pythonhosted|npmjs|artifactory|nexus)\b", text, re.IGNORECASE)


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text("utf-8"))}
    docs = {page for page in MANUAL if page.is_relative_to(index.parent)} - {index}
    assert docs <= linked


def test_the_index_of_decisions_has_every_decision_by_its_title() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    for page in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title = page.read_text("utf-8").partition("\n")[0].lstrip("# ")
        number = page.name.partition("-")[0]
        assert f"| [{number}]({page.name}) | {title.removeprefix(number).lstrip(':. ')} |" in index, page.name


def test_no_two_decisions_have_one_number() -> None:
    numbers = [page.name[:4] for page in (ROOT / "docs" / "decisions").glob("0*.md")]
    assert sorted(numbers) == sorted(set(numbers))


@pytest.mark.parametrize("name", reference.MADE)
def test_what_is_made_from_the_program_is_as_the_program_is_now(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == reference.MADE[name](), "it is old: make reference"


# --- settings -----------------------------------------------------------------------------------------


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    tables = known_settings("") | {"gateway.machine"}
    assert {table: set(rows) for table, rows in settings().items()} == {
        table: known_settings(table) for table in tables
    }


def test_the_documented_defaults_are_the_defaults() -> None:
    lines = []
    for table in sorted(settings().keys() - {"notify", "issuer"}):
        lines.append({**TABLES, "gateway.machine": (BEHIND, "")}.get(table, (f"[{table}]", ""))[0])
        found = settings()[table].items()
        lines += [f"{name} = {value}" for name, value in found if value not in {"none", "required"}]
    required = "\n".join([TABLES["host"][0], *TABLES["gateway"]])
    assert config.parse("\n".join(lines), "here") == config.parse(required, "here")


def test_settings_shown_on_pages_are_accepted() -> None:
    shown = [block for page in MANUAL for language, block in blocks(page) if language == "toml"]
    assert shown
    for block in shown:
        found = config.parse(block, "here")
        assert found.hosts or found.gateways, block


def test_policies_and_roles_shown_on_pages_are_accepted(tmp_path: Path) -> None:
    """As `policy apply` and `role apply` read them, and as the server does."""
    file = tmp_path / "shown.yaml"
    shown = [block for page in MANUAL for language, block in blocks(page) if language == "yaml"]
    assert {block.partition(":")[0] for block in shown} == {"policies", "roles"}
    for block in shown:
        file.write_text(block, "utf-8")
        if block.startswith("policies:"):
            forms = [PolicyForm.model_validate(body) for _, body in documents.read(str(file))]
            assert all(form.machines or form.select for form in forms)
        else:
            assert all(RoleForm.model_validate(body).actions for _, body in role_files.read(str(file)))


def test_the_schema_of_policy_files_is_what_the_server_takes() -> None:
    """`JITGATE_GOLDEN=write` writes it anew."""
    file = REFERENCE / "policies.schema.json"
    body = PolicyForm.model_json_schema(by_alias=True)
    name = {
        "description": "The policy's id; or its name, where machines outside the clouds are filed.",
        "type": "string",
    }
    known = {**body["properties"], "id": name, "name": name}
    one = {"type": "object", "properties": known, "additionalProperties": False}
    which = {"oneOf": [{"required": ["id"]}, {"required": ["name"]}]}
    listed = {"type": "array", "items": {**one, **which}, "minItems": 1}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Policies of jitgate, as a file",
        "type": "object",
        "properties": {"policies": listed},
        "required": ["policies"],
        "$defs": body["$defs"],
    }
    text = json.dumps(schema, indent=2) + "\n"
    if os.environ.get("JITGATE_GOLDEN") == "write":
        file.write_text(text, "utf-8")
    assert file.read_text("utf-8") == text


# --- the record, the calls, the refusals ----------------------------------------------------------------


def test_the_record_page_has_every_operation_and_outcome_and_no_other() -> None:
    text = (REFERENCE / "activity.md").read_text("utf-8")
    assert set(first_cells(section(text, "Operations"))) == {str(operation) for operation in Operation}
    assert set(first_cells(section(text, "Outcomes"))) == {str(outcome) for outcome in Outcome}


def test_the_calls_page_has_every_route_and_no_other() -> None:
    routes = {
        (method, re.sub(r":path\}", "}", route.path or ""))
        for route in iter_route_contexts(application().routes)
        for method in route.methods or ()
        if method != "HEAD"
    }
    short = {"SUB": "/subscriptions/{subscriptionId}", "JIT": "/providers/Microsoft.Security"}
    short["GROUP"] = short["SUB"] + "/resourceGroups/{resourceGroupName}"
    rows = re.findall(r"^\| (GET|PUT|POST|DELETE) \| `([^`]+)` \|", (REFERENCE / "api.md").read_text("utf-8"), re.M)
    shown = {(method, "".join(short.get(part, part) for part in path.split())) for method, path in rows}
    assert shown == routes
    assert len(rows) == len(shown), "a route stands twice"


def test_the_errors_page_has_every_code_and_no_other() -> None:
    text = (REFERENCE / "errors.md").read_text("utf-8")
    answers = set(first_cells(section(text, "Codes of the answer")))
    reasons = set(first_cells(section(text, "Reasons of a decision")))
    assert answers | reasons == codes(ROOT / "src" / "jitgate") - {JitgateError.code}
    assert reasons == codes(ROOT / "src" / "jitgate" / "core", "decide.py", "checks.py")


def test_the_roles_page_has_every_action_and_every_built_in_role_and_no_other() -> None:
    text = (REFERENCE / "roles.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section(text, "Actions"), re.MULTILINE))
    assert rows == dict(roles.ACTIONS)
    assert first_cells(section(text, "Built-in roles")) == list(roles.BUILT_IN)


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(r"^\| (\d+) \|", (REFERENCE / "cli.md").read_text("utf-8"), re.M)
    assert {int(row) for row in rows} == {int(code) for code in Exit}


# --- commands -----------------------------------------------------------------------------------------


def test_commands_shown_in_blocks_are_commands_with_their_options() -> None:
    """Parsed as the program would, and not run."""
    found = [(page, words) for page in MANUAL for words in typed(page)]
    assert len(found) > 30
    for page, words in found:
        command, rest, context = find_command(words)
        try:
            command.make_context(" ".join(words), rest, parent=context)
        except Exception as error:  # noqa: BLE001 - whatever the parser raises, the page is wrong
            pytest.fail(f"{page.name}: jitgate {shlex.join(words)}: {error!r}")


def test_commands_named_in_the_text_exist() -> None:
    for page in MANUAL:
        for code in CODE.findall(prose(page)):
            words = re.sub(r"\\\|", " ", code).split()
            if words[0] != "jitgate" or words[1:2] in ([], ["COMMAND"]):
                continue
            command, rest, _ = find_command([word.strip("[]") for word in words[1:]])
            if words[1] in {"agent", "gateway"}:
                continue  # what follows belongs to the agent's own command line
            known = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
            for word in rest[: rest.index("--")] if "--" in rest else rest:
                is_option = word.startswith("--")
                assert not is_option or word.partition("=")[0] in known | {"--help"}, f"{page.name}: {code}"


def test_every_command_is_in_the_list() -> None:
    text = (REFERENCE / "cli.md").read_text("utf-8")
    for words in all_commands(commands()):
        assert f"`jitgate {words}" in text or words.split()[0] in {"host"}, words


def test_an_object_of_a_call_is_where_links_to_it_lead() -> None:
    """A heading that stood there before would take its anchor."""
    text = (REFERENCE / "fields.md").read_text("utf-8")
    headings = [
        re.sub(r"[^\w\- ]", "", each.casefold()).replace(" ", "-") for each in re.findall(r"^#+ (.+)$", text, re.M)
    ]
    for target in set(re.findall(r"\(#([\w-]+)\)", text)):
        assert headings.count(target) == 1, target


def test_every_parameter_and_field_of_a_call_says_what_it_is() -> None:
    """In the description itself, so that `/docs`, `/openapi.json` and the page of fields have it."""
    described = application().openapi()
    silent = [f"{where} {name}" for where, name, said in fields_of(described, "") if not said.strip()]
    assert not silent, "give it a description where it is declared: Field(description=…), or text(…) of web/arm"


def test_help_says_what_each_word_is_for_and_names_no_type_of_the_language() -> None:
    text = (REFERENCE / "commands.md").read_text("utf-8")
    assert not re.findall(r"<(?:str|int|float|path|list|Path)\b[^>]*>", text), "give the option a metavar"
    assert not re.findall(r"^\| `[^`]+` \|  \|$", text, re.MULTILINE), "an option or argument has no help"


# --- reading pages ------------------------------------------------------------------------------------


def fields_of(part: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """All parameters and properties in a part of the OpenAPI description: where it is, its name, what is said of it."""
    if isinstance(part, list):
        for each in part:
            yield from fields_of(each, where)
        return
    if not isinstance(part, dict):
        return
    if "in" in part and "schema" in part:
        yield where, part["name"], part.get("description", "")
    properties = part.get("properties", {})
    if part.get("type") == "object":
        yield from ((where, name, field.get("description", "")) for name, field in properties.items())
    for name, each in part.items():
        yield from fields_of(each, f"{where} {name}")


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page, with their languages."""
    return [(found["language"], found["body"]) for found in FENCE.finditer(page.read_text("utf-8"))]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """The names in the first column of tables."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def settings() -> dict[str, dict[str, str]]:
    """Table → setting → default, as the page has it."""
    text = (REFERENCE / "configuration.md").read_text("utf-8")
    headings = re.findall(r"^## (`\[+([\w.]+)\]+`)$", text, re.MULTILINE)
    row = re.compile(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", re.MULTILINE)
    return {name: dict(row.findall(section(text, heading))) for heading, name in headings}


def known_settings(table: str) -> set[str]:
    """What the program takes in a table of the file: it says so when it refuses another."""
    head, rest = TABLES.get(table, (f"[{table}]", ""))
    with pytest.raises(Invalid) as refused:
        config.parse(f"{head}\nno_such_setting = 1\n{rest}", "here")
    return set(refused.value.reason.allowed.split(", ")) - {"machine"}


def typed(page: Path) -> Iterator[list[str]]:
    """The jitgate commands in the shell blocks of a page, as words after ``jitgate``."""
    for language, block in blocks(page):
        if language not in SHELL:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            yield from jitgate_in(line)


def jitgate_in(line: str) -> Iterator[list[str]]:
    if not re.search(r"(^|[\s/=])jitgate ", line):
        return
    words = shlex.split(re.sub(r"\$\([^)]*\)", "web-1", line).replace("; ", " ; "), comments=True)
    starts = [at for at, word in enumerate(words) if Path(word).name == "jitgate" and at + 1 < len(words)]
    # `/opt/jitgate` is a place, and `ln -s` makes one.
    if not starts or words[0] in {"ln", "pip", "cp", "az"}:
        return
    rest = words[starts[0] + 1 :]
    end = next((at for at, word in enumerate(rest) if word in OPERATORS), len(rest))
    yield rest[:end]


# --- reading the program ------------------------------------------------------------------------------


def find_command(words: list[str]) -> tuple[Any, list[str], Any]:
    """The command that words name, and what is left for it."""
    command, left = commands(), list(words)
    if left[0].startswith("-"):
        return command, left, None
    context = command.context_class(command, info_name="jitgate")
    while hasattr(command, "commands") and left and left[0] in command.commands:
        command = command.commands[left.pop(0)]
        if hasattr(command, "commands"):
            context = command.context_class(command, parent=context)
    assert command is not commands(), f"there is no command jitgate {shlex.join(words)}"
    return command, left, context


def all_commands(group: Any, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield before + name


def codes(folder: Path, *files: str) -> set[str]:
    """The codes of refusals in the source: `code = …`, `code=…`, and the first word of a reason."""
    trees = [
        ast.parse(path.read_text("utf-8"))
        for path in folder.rglob("*.py")
        if (path.name in files or not files) and not ELSEWHERE_TOLD & set(path.parts)
    ]
    names = {
        target.id: node.value.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    said = [expression for tree in trees for node in ast.walk(tree) for expression in code_in(node)]
    values = {each.value if isinstance(each, ast.Constant) else names.get(getattr(each, "id", "")) for each in said}
    return {value for value in values if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Za-z]+", value)}


def code_in(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "code" for t in node.targets):
        yield node.value
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
        yield from node.args[: name in {"Reason", "reason", "cloud_error"}]
