"""`jitgate freeze`, `thaw`, `freezes`: shut everything for somebody or somewhere, at once and until told otherwise."""

from typing import Annotated

import typer

from jitgate.cli import completion
from jitgate.cli.exits import Usage
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain, short

WhyOption = Annotated[
    str, typer.Option("--why", "-m", help="Why; it goes on record, and is told to whoever asks.", metavar="TEXT")
]


def freeze(
    why: WhyOption,
    person: Annotated[str | None, typer.Option("--person", help="Somebody, by name.", metavar="NAME")] = None,
    machine: Annotated[
        str | None,
        typer.Option("--machine", help="One machine.", autocompletion=completion.machines, metavar="MACHINE"),
    ] = None,
    scope: Annotated[str | None, typer.Option("--scope", help="Everything at or below an id.", metavar="ID")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Every machine, for everybody.")] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Shut all that is open, and refuse what is asked, until it is thawed."""
    with session(output, data_dir) as s:
        given = {"person": person, "machine": machine, "scope": "/" if everything else scope}
        named = {name: value for name, value in given.items() if value is not None}
        if len(named) != 1 or (everything and scope is not None):
            raise Usage("Say what to freeze: one of --person, --machine, --scope, --everything.")
        done = s.server.post("/freezes", {**named, "why": why})
        if not s.screen.data(done):
            s.screen.say(f"{_what(done)} is frozen. `jitgate thaw {short(done['id'])}` ends it.", "green")


def thaw(
    freeze: Annotated[str, typer.Argument(metavar="FREEZE", help="Its id or beginning, as `jitgate freezes` shows.")],
    why: WhyOption,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """End a freeze. What it has shut stays shut, and can be asked for again."""
    with session(output, data_dir) as s:
        done = s.server.post(path("freezes", freeze, "thaw"), {"why": why})
        if not s.screen.data(done):
            s.screen.say(f"{_what(done)} is not frozen any more by {short(done['id'])}.", "green")


def freezes(
    every: Annotated[bool, typer.Option("--all", "-a", help="Those that are over, too.")] = False,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List what is frozen, since when and why."""
    with session(output, data_dir) as s:
        found = s.server.get("/freezes", ended=every or None)["items"]
        if not s.screen.data(found):
            rows = [(short(e["id"]), _what(e), local(e["timeUtc"]), e["by"], e["why"], _end(e)) for e in found]
            s.screen.table(("FREEZE", "WHAT", "SINCE", "BY", "WHY", "THAWED"), rows, empty="Nothing is frozen.")


def _what(freeze: Json) -> str:
    if freeze["person"] is not None:
        return plain(freeze["person"])
    return "everything" if freeze["scope"] == "/" else plain(freeze["scope"])


def _end(freeze: Json) -> str:
    if freeze["thawedTimeUtc"] is None:
        return ""
    return f"{local(freeze['thawedTimeUtc'])} by {plain(freeze['thawedBy'])}: {plain(freeze['thawWhy'])}"
