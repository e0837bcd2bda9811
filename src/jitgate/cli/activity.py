"""`jitgate activity`: who asked, what was decided, and what the firewalls did."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from jitgate.cli import completion, sealed, words
from jitgate.cli.exits import Usage
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, failures, session
from jitgate.cli.text import local

app = typer.Typer(help="Show the record, newest first, export it, or check what was exported.")


@app.callback(invoke_without_command=True)
def activity(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="From when: 2h, 09:00, 2030-01-31.", metavar="WHEN")] = None,
    until: Annotated[str | None, typer.Option(help="Until when.", metavar="WHEN")] = None,
    machine: Annotated[
        str | None, typer.Option(help="About one machine.", autocompletion=completion.machines, metavar="MACHINE")
    ] = None,
    person: Annotated[str | None, typer.Option(help="What one principal did, by its name.", metavar="NAME")] = None,
    operation: Annotated[
        str | None, typer.Option(help="Only this, such as Jitgate.Access/grants/open.", metavar="OPERATION")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only this: Started, Accepted, Succeeded, Failed or Refused.", metavar="OUTCOME")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.", metavar="N")] = 50,
    csv: Annotated[bool, typer.Option("--csv", help="Export all of it, oldest first, as CSV.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Export all of it, oldest first, a JSON object a line.")
    ] = False,
    with_heads: Annotated[
        bool, typer.Option("--sealed", help="Export it as --jsonl does, with the signed heads: for `activity verify`.")
    ] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show the record, newest first, or export it. An export is on record, too."""
    if context.invoked_subcommand is not None:
        return
    with session(output, data_dir) as s:
        if csv + jsonl + with_heads > 1:
            raise Usage("--csv, --jsonl and --sealed exclude each other. Give one of them.")
        now = datetime.now().astimezone()
        query = {
            "since": words.since(since, now),
            "until": words.since(until, now),
            "resource": s.server.get(path("machines", machine))["id"] if machine else None,
            "operation": operation,
            "person": person,
            "outcome": outcome.capitalize() if outcome else None,
        }
        if csv or jsonl or with_heads:
            export(s, "/activity/export", **query, format="csv" if csv else "jsonl" if jsonl else "sealed")
            return
        found = list(s.server.pages("/activity", most=limit, **query))
        if not s.screen.data(found):
            columns = ("TIME", "WHAT", "OUTCOME", "WHO", "ABOUT")
            s.screen.table(columns, map(_row, found), empty="Nothing is on record for this.")


@app.command()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What --sealed exported; - for standard input.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            help="A file of public keys to trust; without it, record.pub of the data directory.",
            metavar="FILE",
        ),
    ] = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option("--heads", help="Heads that were kept elsewhere: the file must agree with them.", metavar="FILE"),
    ] = None,
    host_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--host-key", help="Files of hosts' public keys: reports signed by any other are a fault.", metavar="FILE"
        ),
    ] = None,
    part: Annotated[
        bool, typer.Option("--part", help="Let the file leave out events; those in it must prove their place.")
    ] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Check an export against its signed heads, without a server: is anything changed, missing, added or moved?"""
    with failures(output) as screen:
        hosts = sealed.read_host_keys(host_key or [])
        finding = sealed.verify(file, sealed.read_keys(key or [], data_dir), heads or [], part=part, hosts=hosts)
        if not screen.data(sealed.as_json(finding)):
            typer.echo(sealed.as_text(finding))
        sealed.check_sound(finding)


@app.command("heads")
def list_heads(
    after: Annotated[int, typer.Option("--after", min=0, help="Only those after this number.", metavar="N")] = 0,
    data_dir: DataDirOption = None,
) -> None:
    """Print the signed heads, a line each, oldest first: to be kept where this server cannot reach."""
    with session(TABLE, data_dir) as s:
        for head in s.server.pages("/activity/heads", start=str(after) if after else None):
            typer.echo(head["line"])


def export(s: Session, where: str, **query: str | None) -> None:
    """A long answer, to standard output as it comes."""
    with s.server.stream(where, **query) as pieces:
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
