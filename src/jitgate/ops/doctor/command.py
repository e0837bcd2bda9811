"""The command: looks at everything, says what to do, and tells by its exit code."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from jitgate.clock import Clock, SystemClock
from jitgate.ops import directory
from jitgate.ops.command_line import SYSTEM_DIR, DataDir, refusals_told
from jitgate.ops.directory import DataDirectory
from jitgate.ops.doctor.finding import Finding, State

_MEND, _UNSEEN = 1, 2


def doctor(
    data_dir: DataDir = SYSTEM_DIR,
    backup_days: Annotated[
        int, typer.Option("--backup-days", min=1, help="How old the last backup may be.", metavar="DAYS")
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look whether all is well with this installation, and say what to do. Exit 1: something to mend; 2: something
    could not be looked at."""
    with refusals_told():
        found = list(_look(directory.existing(data_dir), timedelta(days=backup_days), SystemClock()))
    print(json.dumps([asdict(each) for each in found], indent=2) if as_json else _table(found))
    raise typer.Exit(exit_code(found))


def exit_code(found: Sequence[Finding]) -> int:
    """0: all is well; 1: something to mend; 2: nothing to mend was seen, and something could not be looked at."""
    states = {each.state for each in found}
    if State.MEND in states:
        return _MEND
    return _UNSEEN if State.UNSEEN in states else 0


def _look(opened: DataDirectory, backup_age: timedelta, clock: Clock) -> Iterator[Finding]:
    # Not at the top: they load what stands between us and databases.
    from jitgate.ops.doctor import here, server

    settings = directory.read_settings(opened)
    url, now = opened.database_url(settings), clock.wall()
    yield from here.database(url, clock)
    yield here.synchronisation()
    yield here.certificate(opened.path, "ca.pem", now)
    yield here.certificate(opened.path, "server.pem", now)
    if settings.server.certificate_file is not None:
        yield here.own_certificate(settings.server.certificate_file, now)
    yield here.backup(opened.path, url, now, backup_age)
    yield from server.look(opened)


def _table(found: Sequence[Finding]) -> str:
    width = max(len(each.check) for each in found)
    return "\n".join(line for each in found for line in _lines(each, width))


def _lines(found: Finding, width: int) -> Iterator[str]:
    yield f"{found.state:<6}  {found.check:<{width}}  {_plain(found.what)}"
    if found.do:
        yield f"{'':<6}  {'':<{width}}  {_plain(found.do)}"


def _plain(text: str) -> str:
    """Without what would steer a terminal: some of it was told by clouds and hosts."""
    return "".join(character if character.isprintable() else " " for character in text)
