"""`jitgate activity`: who asked, what was decided, and what the firewalls did."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from jitgate.cli import completion, words
from jitgate.cli.exits import Usage
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import local


def activity(
    since: Annotated[str | None, typer.Option(help="From when: 2h, 09:00, 2030-01-31.", metavar="WHEN")] = None,
    until: Annotated[str | None, typer.Option(help="Until when.", metavar="WHEN")] = None,
    machine: Annotated[str | None, typer.Option(help="About one machine.", autocompletion=completion.machines)] = None,
    operation: Annotated[str | None, typer.Option(help="Only this, such as Jitgate.Access/grants/open.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    csv: Annotated[bool, typer.Option("--csv", help="Export all of it, oldest first, as CSV.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Export all of it, oldest first, a JSON object a line.")
    ] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show the record, newest first, or export it. An export is on record, too."""
    with session(output, data_dir) as s:
        if csv and jsonl:
            raise Usage("--csv and --jsonl exclude each other. Give one of them.")
        now = datetime.now().astimezone()
        resource = s.server.get(path("machines", machine))["id"] if machine else None
        query = {
            "since": words.since(since, now),
            "until": words.since(until, now),
            "resource": resource,
            "operation": operation,
        }
        if csv or jsonl:
            _export(s, {**query, "format": "csv" if csv else "jsonl"})
            return
        found = list(s.server.pages("/activity", most=limit, **query))
        if not s.screen.data(found):
            columns = ("TIME", "WHAT", "OUTCOME", "WHO", "ABOUT")
            s.screen.table(columns, map(_row, found), empty="Nothing is on record for this.")


def _export(s: Session, query: dict[str, str | None]) -> None:
    with s.server.stream("/activity/export", **query) as pieces:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def _row(entry: Json) -> tuple[str, ...]:
    return (
        local(entry["timeUtc"]),
        _what(entry["operation"]),
        entry["outcome"],
        entry["caller"],
        entry["resource"].rpartition("/")[2] or entry["resource"],
    )


def _what(operation: str) -> str:
    """The end of an operation's name, which tells them apart: ``grants/open``."""
    return "/".join(operation.removesuffix("/action").split("/")[-2:])
