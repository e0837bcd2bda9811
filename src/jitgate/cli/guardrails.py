"""`jitgate guardrail`: what holds whatever a policy says."""

from typing import Annotated, Any

import typer

from jitgate.cli import words
from jitgate.cli.demands import demands
from jitgate.cli.exits import NotThere, Usage
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local
from jitgate.core import duration

app = typer.Typer(help="What holds whatever a policy says.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The guardrail's name.")]


@app.command("ls")
def list_guardrails(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List guardrails, and changes that wait for a second administrator."""
    with session(output, data_dir) as s:
        found = s.server.get("/guardrails")
        if s.screen.data(found):
            return
        rows = [(each["name"], _covers(each["selector"]), demands(each["limits"])) for each in found["items"]]
        s.screen.table(("GUARDRAIL", "COVERS", "DEMANDS"), rows, empty="No guardrail is set.")
        _waiting(s.screen, found["proposals"])


@app.command("set")
def set_guardrail(
    name: NameArgument,
    scope: Annotated[
        str | None, typer.Option(help="Which machines: everything at or below an id.", metavar="SCOPE")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Which machines: those with NAME=VALUE. May be repeated.", metavar="NAME=VALUE"),
    ] = None,
    port: Annotated[
        list[str] | None, typer.Option(help="Which ports; else all. May be repeated.", metavar="PORT")
    ] = None,
    approvals: Annotated[int | None, typer.Option(help="How many others have to agree.", metavar="N")] = None,
    reason: Annotated[bool | None, typer.Option("--reason/--no-reason", help="A justification is required.")] = None,
    reason_pattern: Annotated[
        str | None, typer.Option(help="What it must look like: * any text, # digits, as in INC-#*.", metavar="PATTERN")
    ] = None,
    session_end: Annotated[
        str | None,
        typer.Option(
            "--session", help="end: established sessions are cut at the deadline; keep: they go on.", metavar="end|keep"
        ),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="A request must stay inside these. May be repeated.", metavar="PREFIX")
    ] = None,
    caller_only: Annotated[
        bool | None, typer.Option("--caller-only/--any-source", help="Only for the caller's own address.")
    ] = None,
    longest: Annotated[str | None, typer.Option("--max", help="The longest access.", metavar="TIME")] = None,
    approval_wait: Annotated[
        str | None, typer.Option(help="How long a request may wait for approval.", metavar="TIME")
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            help="In place of --approvals, one after the other: N, or N:APPROVER,APPROVER with user:NAME, group:NAME "
            "or owner. May be repeated.",
            metavar="STEP",
        ),
    ] = None,
    escalate: Annotated[
        str | None,
        typer.Option(help="After so much waiting, whoever holds the right may decide every step.", metavar="TIME"),
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option(
            help="When access may be, as 'Mon-Fri 09:00-17:00 Europe/Berlin'. May be repeated.", metavar="WINDOW"
        ),
    ] = None,
    enforcement: Annotated[
        str | None, typer.Option(help="enforce, or observe: decide and record only.", metavar="enforce|observe")
    ] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Set a guardrail, or change what is named of it.

    To tighten one holds at once; to loosen one waits for a second administrator.
    """
    with session(output, data_dir) as s:
        selector = {"scope": scope, "tags": _tags(tag), "ports": _ports(port)}
        limits = {
            **_approvals(approvals, step, escalate),
            "windows": window or None,
            "reasonRequired": reason,
            "reasonPattern": reason_pattern,
            "session": session_end,
            "sources": source or None,
            "callerOnly": caller_only,
            "maxDuration": _iso(longest, "--max"),
            "approvalWait": _iso(approval_wait, "--approval-wait"),
            "enforcement": enforcement,
        }
        try:
            before = s.server.get(path("guardrails", name))
        except NotThere:
            before = {"selector": {}, "limits": {}}
        body = {"selector": before["selector"] | _said(selector), "limits": before["limits"] | _said(limits)}
        change = s.server.put(path("guardrails", name), body)
        if not s.screen.data(change):
            _tell(s.screen, change)


@app.command("delete")
def delete_guardrail(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Remove a guardrail, which waits for a second administrator."""
    with session(output, data_dir) as s:
        change = s.server.delete(path("guardrails", name))
        if not s.screen.data(change):
            _tell(s.screen, change)


@app.command("confirm")
def confirm_guardrail(
    name: NameArgument,
    proposal: Annotated[
        str, typer.Argument(metavar="CHANGE", help="Which change, as `jitgate guardrail ls` shows it.")
    ],
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Agree, as a second administrator, to a change that loosens: to this one, and to none that was made since."""
    with session(output, data_dir) as s:
        change = s.server.post(path("guardrails", name, "confirm"), {"proposal": proposal})
        if not s.screen.data(change):
            _tell(s.screen, change)


def _tell(screen: Screen, change: Json) -> None:
    if change["inForce"]:
        screen.say(f"{change['name']} is in force as you said.", "green")
    else:
        screen.say(
            f"{change['name']} waits: `jitgate guardrail ls` shows another administrator how to agree.", "yellow"
        )


def _waiting(screen: Screen, proposals: list[Json]) -> None:
    for each in proposals:
        what = f"would demand {demands(each['guardrail']['limits'])}" if each["guardrail"] else "would be removed"
        screen.note(f"{each['name']} {what}: waits since {local(each['proposedTimeUtc'])} for another administrator.")
        screen.note(f"  to agree:  jitgate guardrail confirm {each['name']} {each['id']}")


def _covers(selector: Json) -> str:
    tags = [f"{name}={value}" for name, value in selector["tags"].items()]
    ports = [f"port {number}" for number in selector["ports"]]
    return ", ".join([selector["scope"] if selector["scope"] != "/" else "everything", *tags, *ports])


def _approvals(count: int | None, steps: list[str] | None, escalate: str | None) -> dict[str, Any]:
    """What was said about approvals: a count, or steps; each takes the other's place."""
    if steps is None:
        if escalate is not None:
            raise Usage("--escalate belongs to --step.")
        return {"approvals": count, "steps": None if count is None else []}
    if count is not None:
        raise Usage("--approvals and --step exclude each other. Give one of them.")
    return {"approvals": 0, "steps": [_step(text, _iso(escalate, "--escalate")) for text in steps]}


def _step(text: str, escalate: str | None) -> dict[str, Any]:
    count, _, approvers = text.partition(":")
    if not count.strip().isdigit():
        raise Usage("A step is N or N:APPROVER,…, such as --step 1:owner --step 2:group:ops,user:alice.")
    return {
        "approvals": int(count),
        "approvers": [one for one in approvers.split(",") if one],
        "escalateAfter": escalate,
    }


def _tags(words_given: list[str] | None) -> dict[str, str] | None:
    if words_given is None:
        return None
    pairs = [word.partition("=") for word in words_given]
    if not all(name and equals for name, equals, _ in pairs):
        raise Usage("A tag is NAME=VALUE, such as --tag env=prod.")
    return {name: value for name, _, value in pairs}


def _ports(words_given: list[str] | None) -> list[int] | None:
    return None if words_given is None else [words.needed_port(word).number for word in words_given]


def _iso(text: str | None, option: str) -> str | None:
    return None if text is None else duration.parse_short(text, option).text


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
