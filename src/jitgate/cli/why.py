"""`jitgate why`: what would be decided, and why. The same code decides as for the real thing."""

import os
from typing import Annotated

import typer

from jitgate.cli import completion, words
from jitgate.cli.exits import Exit
from jitgate.cli.open import WhyOption, show_origin
from jitgate.cli.opening import Wish
from jitgate.cli.origin import FromOption, find_origin
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain, port, sources, span
from jitgate.cli.words import ForOption, UntilOption

_EXITS = {"allowed": Exit.OK, "needsApproval": Exit.WAITING, "denied": Exit.REFUSED}


def why(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="MACHINE... PORT...", help="As for open.", autocompletion=completion.machines_and_ports),
    ],
    length: ForOption = None,
    until: UntilOption = None,
    source: FromOption = None,
    justification: WhyOption = "",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Tell whether a port would be opened, and if not, every reason. Changes nothing."""
    with session(output, data_dir) as s:
        machines, ports = words.machines_and_ports(targets)
        origin = find_origin(s.server, source, machines, os.environ)
        wish = Wish(machines, ports, origin.sources, words.span(length, until), justification)
        decision = s.server.post("/requests/explain", wish.body())
        if not s.screen.data(decision):
            show_origin(s.screen, origin)
            _show(s.screen, decision)
        raise typer.Exit(_EXITS[decision["decision"]])


def _show(screen: Screen, decision: Json) -> None:
    if decision["decision"] == "denied":
        screen.say("No:", "red")
        for reason in decision["reasons"]:
            allowed = f" Allowed: {reason['allowed']}." if reason["allowed"] else ""
            screen.say(f"  {reason['message']}.{allowed}")
        return
    if decision["decision"] == "needsApproval":
        by = ", ".join(map(plain, decision["guardrails"]))
        screen.say(f"Yes, once {decision['approvals']} other(s) have agreed, as {by} demands:", "yellow")
    else:
        screen.say("Yes:", "green")
    for terms in decision["terms"]:
        screen.say(f"  {plain(terms['machine'])} port {port(terms)} for {sources(terms)}, {_length(terms)}")
        screen.say(f"    by policy {plain(terms['policy'].rpartition('/')[2])}")
        if terms["sessionNote"]:
            screen.say(f"    sessions shall end with it, and cannot here: {plain(terms['sessionNote'])}", "yellow")


def _length(terms: Json) -> str:
    return f"for {span(terms['duration'])}" if terms["duration"] else f"until {local(terms['endTimeUtc'])}"
