"""`jitgate recommend`: management ports that somebody reaches without asking, worst first, and what mends each."""

import shlex
from collections.abc import Iterator
from typing import Annotated

import typer

from jitgate.cli.machines import reached
from jitgate.cli.server import Json
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.core.machine import MANAGEMENT_PORTS

_MOST = 20


def recommend(
    most: Annotated[int, typer.Option("--limit", min=1, help="So many machines at most.", metavar="N")] = _MOST,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List machines whose management ports are reached without a grant, worst first, and what mends each."""
    with session(output, data_dir) as s:
        found = list(_exposed(s.server.pages("/machines", order="exposure"), most))
        advice = [_advice(machine) for machine in found]
        if s.screen.data(advice):
            return
        rows = [(each["machine"], "\n".join(each["exposed"]), each["command"]) for each in advice]
        empty = "No management port is known to be reached without a grant."
        s.screen.table(("MACHINE", "EXPOSED", "WHAT MENDS IT"), rows, empty=empty)
        bare = [each["machine"] for each in advice if each["command"].startswith("jitgate enable")]
        if len(bare) > 1:
            s.screen.say(f"All of them: jitgate enable {shlex.join(bare)}")


def _exposed(machines: Iterator[Json], most: int) -> Iterator[Json]:
    """The first machines, of a list with the most exposed first, that have exposed management ports."""
    for machine in machines:
        if most == 0 or all(each["effectiveDeny"] for each in machine["exposure"]):
            return
        if _ports(machine):
            most -= 1
            yield machine


def _ports(machine: Json) -> list[Json]:
    return [each for each in machine["exposure"] if each["port"] in MANAGEMENT_PORTS and not each["effectiveDeny"]]


def _advice(machine: Json) -> Json:
    exposed = [f"{each['port']} {MANAGEMENT_PORTS[each['port']]} {reached(each)}" for each in _ports(machine)]
    return {"machine": machine["name"], "id": machine["id"], "exposed": exposed, "command": _command(machine)}


def _command(machine: Json) -> str:
    """A machine that a policy covers already is reached past it, by a rule that only people can judge."""
    name = shlex.quote(machine["name"])
    return (
        f"jitgate machine show {name}" if machine["policies"] or not machine["supported"] else f"jitgate enable {name}"
    )
