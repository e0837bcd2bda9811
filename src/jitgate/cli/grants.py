"""`jitgate ls`, `done`, `extend`, `shorten`, `move`: what is open, and what becomes of it."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from jitgate.cli import completion, opening, selection, words
from jitgate.cli.exits import TimedOut
from jitgate.cli.open import PATIENCE, TimeoutOption, seconds, show_origin
from jitgate.cli.origin import FromOption, find_origin
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import left, local, plain, port, short, sources, span
from jitgate.cli.words import ForOption, UntilOption

_IN_A_FIREWALL = ("opening", "open", "closing")
ALL_STATES = ("pending", "scheduled", "opening", "open", "closing", "closed")

GrantArgument = Annotated[
    str,
    typer.Argument(
        metavar="GRANT|MACHINE", help="A grant's id or its beginning, or a machine.", autocompletion=completion.grants
    ),
]
MineOption = Annotated[bool, typer.Option("--mine", help="Only what you asked for.")]


def ls(
    every: Annotated[bool, typer.Option("--all", "-a", help="Closed ones too.")] = False,
    mine: MineOption = False,
    machine: Annotated[
        str | None,
        typer.Option("--machine", help="Of one machine.", autocompletion=completion.machines, metavar="MACHINE"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.", metavar="N")] = 100,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List what is open, or asked for."""
    with session(output, data_dir) as s:
        states = ALL_STATES if every else None
        found = list(s.server.pages("/grants", most=limit, state=states, mine=mine or None, machine=machine))
        if not s.screen.data(found):
            _table(s.screen, found)
        if len(found) == limit:
            s.screen.note(f"There may be more than these {limit}: --limit shows more.")


def done(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GRANT|MACHINE]...", help="Without it: your only grant.", autocompletion=completion.grants
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that you asked for.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until the ports are really shut.")] = False,
    timeout: TimeoutOption = PATIENCE,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Shut ports early. Established sessions are cut."""
    with session(output, data_dir) as s:
        chosen = selection.several(s.server, targets or (), every=every)
        wait = 0 if no_wait else seconds(timeout)
        closed = [s.server.post(path("grants", grant["id"], "close")) for grant in chosen]
        if wait:
            closed = [_settle(s, grant, wait) for grant in closed]
        if not s.screen.data(closed):
            s.screen.say("\n".join(f"{_what(each)} is {_shut_word(each)}." for each in closed) or "Nothing was open.")
        _check_shut(closed if wait else ())


def extend(
    target: GrantArgument,
    length: ForOption = None,
    until: UntilOption = None,
    timeout: TimeoutOption = PATIENCE,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Let a port be open longer: a new decision by the same rules. --for counts from now."""
    with session(output, data_dir) as s:
        _change_end(s, "extend", target, words.needed_span(length, until), seconds(timeout))


def shorten(
    target: GrantArgument,
    length: ForOption = None,
    until: UntilOption = None,
    timeout: TimeoutOption = PATIENCE,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Let a port shut earlier. --for counts from now."""
    with session(output, data_dir) as s:
        _change_end(s, "shorten", target, words.needed_span(length, until), seconds(timeout))


def move(
    target: GrantArgument,
    source: FromOption = None,
    timeout: TimeoutOption = PATIENCE,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Open a port for another source until the same end; the old source shuts once the new one is open.

    Where a guardrail asks for approval, the old source stays open while that is waited for; exit code 6.
    """
    with session(output, data_dir) as s:
        chosen = selection.one_or_more(s.server, target)
        origin = find_origin(s.server, source, sorted({grant["machineId"] for grant in chosen}), os.environ)
        show_origin(s.screen, origin)
        body = {"sources": list(origin.sources)}
        moved = [s.server.post(path("grants", grant["id"], "move"), body) for grant in chosen]
        _show(s, [_settle(s, grant, seconds(timeout)) for grant in moved])


def _change_end(s: Session, verb: str, target: str, span: dict[str, str], patience: float) -> None:
    chosen = selection.one_or_more(s.server, target)
    changed = [s.server.post(path("grants", grant["id"], verb), span) for grant in chosen]
    _show(s, [_settle(s, grant, patience) for grant in changed])


def _settle(s: Session, grant: Json, patience: float) -> Json:
    """A grant once no firewall is still to do something for it."""
    at = path("grants", grant["id"])
    return s.server.settle(at, _is_settled, s.server.get(at, wait=min(patience, 30)), patience)


def _is_settled(grant: Json) -> bool:
    return grant["state"] not in opening.UNDER_WAY


def _show(s: Session, grants: Sequence[Json]) -> None:
    shown = s.screen.data(list(grants))
    opening.check_open(grants)
    if not shown:
        for grant in grants:
            s.screen.say(f"{opening.describe(grant)} ({left(grant['endTimeUtc'])}).")


def _what(grant: Json) -> str:
    return f"{grant['machine']} port {port(grant)} for {sources(grant)}"


def _shut_word(grant: Json) -> str:
    return f"shut since {local(grant['closedTimeUtc'])}" if grant["state"] == "closed" else "being shut"


def _check_shut(grants: Sequence[Json]) -> None:
    late = [grant for grant in grants if grant["state"] != "closed"]
    if late:
        what = "; ".join(f"{_what(grant)}{': ' + plain(grant['detail']) if grant['detail'] else ''}" for grant in late)
        raise TimedOut(f"Not known to be shut yet, and tried again until it is: {what}. `jitgate ls` shows when.")


def _table(screen: Screen, grants: Sequence[Json]) -> None:
    rows = [_row(grant) for grant in grants]
    screen.table(("GRANT", "MACHINE", "PORT", "FROM", "STATE", "LEFT", "WHO"), rows, empty="Nothing is open.")
    for grant in grants:
        for attempt in grant["attempts"]:
            screen.note(_elsewhere(grant, attempt))


def _elsewhere(grant: Json, attempt: Json) -> str:
    """For whom sits behind another address than the one that he asked for."""
    source = plain(attempt["source"])
    return (
        f"{plain(grant['machine'])} port {port(grant)}: {source} was turned away at {local(attempt['timeUtc'])}; the "
        f"grant is for {sources(grant)}. If that was you: jitgate move {short(grant['id'])} --from {source}"
    )


def _row(grant: Json) -> tuple[str, ...]:
    return (
        short(grant["id"]),
        grant["machine"],
        port(grant),
        sources(grant),
        grant["state"] if grant["verified"] or grant["state"] not in _IN_A_FIREWALL else "unverified",
        _rest(grant),
        grant["requestor"],
    )


def _rest(grant: Json) -> str:
    if grant["state"] in ("closing", "closed"):
        return str(grant["reason"])
    return left(grant["endTimeUtc"]) or (span(grant["duration"]) if grant["duration"] else "")
