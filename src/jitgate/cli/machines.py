"""`jitgate enable`, `disable` and `machine`: what is protected."""

from collections.abc import Sequence
from typing import Annotated

import typer

from jitgate.cli import completion
from jitgate.cli.exits import Failure, TimedOut, Usage
from jitgate.cli.open import TimeoutOption, seconds
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain, port_name

app = typer.Typer(help="The machines that jitgate knows.", no_args_is_help=True)

MachinesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="MACHINE...", help="The machines.", autocompletion=completion.machines)
]
LONGEST_WAIT = 60.0


def enable(
    names: MachinesArgument = None,
    every: Annotated[bool, typer.Option("--all", help="All that can be protected and are not yet.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Protect a port even if that cuts off an established connection.")
    ] = False,
    timeout: TimeoutOption = "30s",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Protect machines with the defaults of their system: SSH or RDP shut, three hours at most, from any source.

    Waits until the ports are really shut.
    """
    with session(output, data_dir) as s:
        if bool(names) == every:
            raise Usage("Name machines, or give --all. `jitgate machine ls` shows what there is.")
        body = {"force": force} | ({"all": True} if every else {"machines": names})
        found = s.server.post("/machines/enable", body, wait=min(seconds(timeout), LONGEST_WAIT))
        if not s.screen.data(found):
            _tell(s.screen, found)
        check_protected(found)


def disable(
    names: MachinesArgument = None,
    timeout: TimeoutOption = "30s",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Protect machines no longer: they leave every policy, their grants end, and their ports are as before."""
    with session(output, data_dir) as s:
        if not names:
            raise Usage("Name the machines. `jitgate machine ls` shows what there is.")
        found = s.server.post("/machines/disable", {"machines": names}, wait=min(seconds(timeout), LONGEST_WAIT))
        if not s.screen.data(found):
            for machine in found:
                s.screen.say(f"{machine['name']} is {'still being released' if machine['ports'] else 'not protected'}.")


@app.command("ls")
def list_machines(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List machines, and whether they are protected."""
    with session(output, data_dir) as s:
        found = list(s.server.pages("/machines"))
        if not s.screen.data(found):
            columns = ("MACHINE", "SYSTEM", "ADDRESS", "PROTECTED PORTS", "OPEN")
            s.screen.table(columns, map(_row, found), empty="No machine is known. Is a host in jitgate.toml?")


@app.command("show")
def show_machine(
    name: Annotated[str, typer.Argument(metavar="MACHINE", autocompletion=completion.machines)],
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show all that is known of a machine."""
    with session(output, data_dir) as s:
        found = s.server.get(path("machines", name))
        if not s.screen.data(found):
            s.screen.table(("", ""), _facts(found), empty="")


def _tell(screen: Screen, machines: Sequence[Json]) -> None:
    for machine in machines:
        if not machine["ports"]:
            screen.say(f"{machine['name']} is not protected yet. {plain(machine['error'])}", "yellow")
        for name, problem in _ports(machine):
            held = f"is NOT protected: {problem}" if problem else "is shut, and opens on request"
            screen.say(f"{machine['name']} port {name} {held}.", "red" if problem else "green")
        for rule in machine["outranked"]:
            screen.say(f"{machine['name']}: a rule of somebody else's outranks jitgate's: {plain(rule)}.", "yellow")


def check_protected(machines: Sequence[Json]) -> None:
    """Raise Failure unless each machine's ports are really shut."""
    refused = [f"{m['name']} port {name}: {problem}" for m in machines for name, problem in _ports(m) if problem]
    if refused:
        raise Failure("Not protected: " + "; ".join(refused))
    late = [f"{m['name']} ({plain(m['error']) or 'no answer yet'})" for m in machines if not m["ports"]]
    if late:
        raise TimedOut(f"Not known to be protected yet: {', '.join(late)}. `jitgate machine ls` shows when they are.")


def _ports(machine: Json) -> list[tuple[str, str]]:
    """Each protected port, and why it is not really shut. TCP and UDP of one number are one where they are alike."""
    found: dict[tuple[int, str], list[str]] = {}
    for each in machine["ports"]:
        found.setdefault((each["number"], plain(each["problem"])), []).append(each["protocol"])
    return [
        (port_name(number, "*" if len(protocols) > 1 else protocols[0]), problem)
        for (number, problem), protocols in found.items()
    ]


def _row(machine: Json) -> tuple[object, ...]:
    addresses = ", ".join(machine["addresses"][:2])
    return (machine["name"], machine["os"], addresses, _protection(machine), machine["openGrants"] or "")


def _protection(machine: Json) -> str:
    if not machine["supported"]:
        return f"unsupported: {machine['unsupportedReason']}"
    if not machine["verified"]:
        return "unverified: its agent has been silent for a minute or longer"
    if machine["error"]:
        return f"unverified: {machine['error']}"
    return ", ".join(f"{name} NOT SHUT" if problem else name for name, problem in _ports(machine)) or "none"


def _facts(machine: Json) -> list[tuple[str, object]]:
    facts = [
        ("name", machine["name"]),
        ("id", machine["id"]),
        ("system", machine["os"]),
        ("connector", machine["connector"]),
        ("addresses", ", ".join(machine["addresses"])),
        ("tags", ", ".join(f"{name}={value}" for name, value in machine["tags"].items())),
        ("protected", _protection(machine)),
        ("open grants", machine["openGrants"]),
        ("policies", ", ".join(machine["policies"])),
        ("outranked by", "; ".join(machine["outranked"])),
        ("listening", ", ".join(machine["listening"])),
        ("published", ", ".join(machine["published"])),
        ("verified", local(machine["verifiedTimeUtc"])),
    ]
    facts += [(f"port {name}", problem) for name, problem in _ports(machine) if problem]
    return [(name, value) for name, value in facts if value not in ("", None)]
