"""`jitgate machine preview`, `alterations` and `agree`: what protection changes of what others made."""

from typing import Annotated

import typer

from jitgate.cli import completion
from jitgate.cli.changes import YesOption
from jitgate.cli.exits import Failure, TimedOut, Usage
from jitgate.cli.open import TimeoutOption, seconds
from jitgate.cli.screen import Screen
from jitgate.cli.server import LONGEST_WAIT, Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain
from jitgate.cli.words import needed_port

MachineArgument = Annotated[str, typer.Argument(metavar="MACHINE", autocompletion=completion.machines)]
WAITING = "proposed"


def preview(
    name: MachineArgument,
    ports: Annotated[
        list[str] | None,
        typer.Option("--port", "-p", help="Which port; else the system's. May be repeated.", metavar="PORT"),
    ] = None,
    timeout: TimeoutOption = "30s",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show what protecting a machine would do, and which rules of others it would alter. Changes nothing."""
    with session(output, data_dir) as s:
        body = {"machine": name} | ({"ports": [needed_port(word).body() for word in ports]} if ports else {})
        wait = seconds(timeout)
        first = s.server.post("/previews", body, wait=min(wait, LONGEST_WAIT))
        found = s.server.settle(path("previews", first["id"]), lambda each: bool(each["answered"]), first, wait)
        if not s.screen.data(found):
            _tell_preview(s.screen, found)
        if not found["answered"]:
            raise TimedOut(f"What protecting {name} would do is not worked out yet. Try again.")
        if found["error"]:
            raise Failure(f"It could not be worked out: {plain(found['error'])} Try again.")


def list_alterations(
    name: Annotated[str | None, typer.Argument(metavar="[MACHINE]", autocompletion=completion.machines)] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List which rules of others are altered for a machine; else all that waits for consent."""
    with session(output, data_dir) as s:
        found = s.server.get("/alterations", machine=name)["items"]
        if not s.screen.data(found):
            columns = ("MACHINE", "PORT", "STAGE", "WHAT", "AGREED BY", "SINCE")
            rows = [_row(machine, each) for machine in found for each in machine["items"]]
            s.screen.table(columns, rows, empty="Nothing of others' is altered or waits.")


def agree(
    name: MachineArgument,
    yes: YesOption = False,
    digest: Annotated[
        str | None,
        typer.Option(
            help="Agree to just this, as `alterations -o json` shows it; else to what is shown now.", metavar="DIGEST"
        ),
    ] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Agree that rules which others made are altered, so that a machine's ports are really shut."""
    with session(output, data_dir) as s:
        if digest is None:
            digest = _ask(s.screen, s.server.get("/alterations", machine=name)["items"][0], yes=yes)
        found = s.server.post("/alterations/agree", {"machine": name, "digest": digest})
        if not s.screen.data(found):
            s.screen.say(f"Agreed. What is altered for {found['machine']} is put back when its protection ends.")


def add_commands(group: typer.Typer) -> None:
    """Add these to the commands about machines."""
    group.command("preview")(preview)
    group.command("alterations")(list_alterations)
    group.command("agree")(agree)


def _ask(screen: Screen, found: Json, *, yes: bool) -> str:
    """Show what waits, and the digest that stands for it once somebody has said yes."""
    waiting = [each for each in found["items"] if each["stage"] == WAITING]
    if not waiting:
        raise Failure(
            f"Nothing waits for consent at {found['machine']}. `jitgate machine alterations` lists what does."
        )
    for each in waiting:
        screen.note(f"- {plain(each['what'])}")
        for concerned in each["concerns"]:
            screen.note(f"    counts for {plain(concerned)}")
    if not yes and not screen.confirm(
        "Alter these rules? Their originals are kept, and put back when protection ends."
    ):
        raise Usage("Nothing was agreed to. Say yes, or give --yes where nobody can be asked.")
    return str(found["digest"])


def _tell_preview(screen: Screen, found: Json) -> None:
    for step in found["steps"]:
        screen.say(f"{plain(step['verb'])} {plain(step['what'])}")
    for each in found["alterations"]:
        screen.say(f"alter {plain(each['what'])}", "yellow")
        for concerned in each["concerns"]:
            screen.say(f"    counts for {plain(concerned)}")
    if found["answered"] and not found["error"]:
        count = len(found["alterations"])
        says = f"{count} rules of others would be altered, with consent." if count else "No rule of others is altered."
        screen.say(f"{says} Nothing was changed.")


def _row(machine: Json, each: Json) -> tuple[object, ...]:
    return (
        machine["machine"],
        ", ".join(each["ports"]),
        each["stage"],
        each["what"],
        each["agreedBy"],
        local(each["agreedTimeUtc"] or each["foundTimeUtc"]),
    )
