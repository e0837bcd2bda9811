"""`jitgate audit`, `jitgate policy history`: what auditors ask, for people, as CSV or as JSON line by line."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated

import typer

from jitgate.cli import words
from jitgate.cli.activity import export
from jitgate.cli.exits import Usage
from jitgate.cli.server import Json
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import local, plain

app = typer.Typer(help="What auditors ask. Each answer is on record.", no_args_is_help=True)

CsvOption = Annotated[bool, typer.Option("--csv", help="As CSV.")]
JsonlOption = Annotated[bool, typer.Option("--jsonl", help="A JSON object a line.")]


@app.command("who-could")
def who_could(
    at: Annotated[str, typer.Option("--at", help="The moment: 2030-01-31, 2030-01-31T17:30, 2h.", metavar="WHEN")],
    csv: CsvOption = False,
    jsonl: JsonlOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show who could open what at a moment, by the roles, policies and guardrails of that moment."""
    with session(output, data_dir) as s:
        moment = words.since(at, datetime.now().astimezone())
        found = _report(s, "/audit/who-could", csv, jsonl, at=moment)
        columns = ("WHO", "MACHINE", "PORT", "FROM", "LONGEST", "APPROVAL", "BY")
        _show(
            s,
            columns,
            found,
            lambda row: (
                row["person"],
                _name(row["machine"]),
                f"{row['port']} {row['protocol']}",
                ", ".join(row["sources"]),
                row["longest"],
                "needed" if row["needsApproval"] else "",
                _by(row),
            ),
        )


@app.command("access-review")
def access_review(
    csv: CsvOption = False,
    jsonl: JsonlOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show who holds which right now, and when they last used it."""
    with session(output, data_dir) as s:
        found = _report(s, "/audit/access-review", csv, jsonl)
        columns = ("WHO", "ROLE", "AT", "LAST USED", "LAST SEEN")
        _show(
            s,
            columns,
            found,
            lambda row: (
                row["person"] + (" (disabled)" if row["disabled"] else ""),
                _by(row),
                row["scope"],
                local(row["lastUsedUtc"]) if row["lastUsedUtc"] else "never",
                local(row["lastSeenUtc"]) if row["lastSeenUtc"] else "never",
            ),
        )


def policy_history(
    policy: Annotated[str | None, typer.Argument(metavar="[POLICY]", help="Its name or id; without it: all.")] = None,
    csv: CsvOption = False,
    jsonl: JsonlOption = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show how policies changed, oldest first: who, when, and what."""
    with session(output, data_dir) as s:
        found = _report(s, "/audit/policy-history", csv, jsonl, policy=policy)
        if found is None or s.screen.data(rows := list(found)):
            return
        for row in rows:
            removed = ", removed" if row["removed"] else ""
            typer.echo(f"{local(row['timeUtc'])}  {plain(row['caller'])}  {_name(row['policy'])}{removed}")
            for change in row["changes"]:
                typer.echo(f"  {_name(change['machine'])}")
                typer.echo("".join(f"  - {plain(line)}\n" for line in change["before"]), nl=False)
                typer.echo("".join(f"  + {plain(line)}\n" for line in change["after"]), nl=False)


def _report(s: Session, where: str, csv: bool, jsonl: bool, **query: str | None) -> Iterator[Json] | None:
    """The rows of a report; None: it has been written out as it came."""
    if csv and jsonl:
        raise Usage("--csv and --jsonl exclude each other. Give one of them.")
    if csv or jsonl:
        export(s, where, **query, format="csv" if csv else "jsonl")
        return None
    return _rows(s, where, query)


def _rows(s: Session, where: str, query: dict[str, str | None]) -> Iterator[Json]:
    left = b""
    with s.server.stream(where, **query) as pieces:
        for piece in pieces:
            *lines, left = (left + piece).split(b"\n")
            yield from map(json.loads, lines)


def _show(
    s: Session, columns: tuple[str, ...], found: Iterator[Json] | None, row: Callable[[Json], tuple[str, ...]]
) -> None:
    if found is None or s.screen.data(rows := list(found)):
        return
    s.screen.table(columns, map(row, rows), empty="Nobody.")


def _name(id: str) -> str:
    return plain(id.rpartition("/")[2])


def _by(row: Json) -> str:
    return plain(row["role"] + (f" (through {row['via']})" if row["via"] else ""))
