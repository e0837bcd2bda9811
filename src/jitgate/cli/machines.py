"""`jitgate enable`, `disable` and `machine`: what is protected."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

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


class Standing(StrEnum):
    """Whether machines have just-in-time access."""

    CONFIGURED = "configured"
    NOT_CONFIGURED = "notConfigured"
    UNSUPPORTED = "unsupported"


class Order(StrEnum):
    """By what machines are sorted."""

    NAME = "name"
    EXPOSURE = "exposure"
    ACCESS = "lastAccess"


@app.command("ls")
def list_machines(
    search: Annotated[str, typer.Argument(metavar="[TEXT]", help="In the name, an address or a tag.")] = "",
    standing: Annotated[Standing | None, typer.Option(help="Whether they have just-in-time access.")] = None,
    scope: Annotated[str | None, typer.Option(help="A subscription or resource group.", metavar="SCOPE")] = None,
    connector: Annotated[str | None, typer.Option(help="The connector that found them.", metavar="CONNECTOR")] = None,
    system: Annotated[str | None, typer.Option("--os", help="linux, windows or unknown.", metavar="SYSTEM")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="NAME or NAME=VALUE; several: all of them.", metavar="NAME=VALUE")
    ] = None,
    sort: Annotated[Order, typer.Option(help="The most exposed, or the latest accessed, come first.")] = Order.NAME,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    most: Annotated[int | None, typer.Option("--limit", min=1, help="So many at most.", metavar="N")] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """List machines, and whether they are protected."""
    sought: dict[str, Any] = {
        "search": search,
        "standing": standing,
        "scope": scope,
        "connector": connector,
        "os": system,
        "tag": tag,
    }
    asked = {name: value for name, value in sought.items() if value}
    with session(output, data_dir) as s:
        found = list(s.server.pages("/machines", most=most, **asked, order=sort, reverse=reverse))
        if not s.screen.data(found):
            columns = ("MACHINE", "SYSTEM", "ADDRESS", "PROTECTED PORTS", "OPEN", "LAST ACCESS")
            empty = "No machine is like that." if asked else "No machine is known. Is a host in jitgate.toml?"
            s.screen.table(columns, map(_row, found), empty=empty)


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
    last = " ".join(filter(None, [local(machine["lastAccessTimeUtc"]), plain(machine["lastUser"])]))
    return (machine["name"], machine["os"], addresses, _protection(machine), machine["openGrants"] or "", last)


def reached(exposure: Json) -> str:
    """Who gets to a port without a grant, and by which rules."""
    who = {
        "anyone": "anyone",
        "specific": f"these addresses: {_some(exposure['sources'])}",
        "internal": "who is inside the network",
    }[exposure["reach"]]
    note = f". {plain(exposure['note'])}" if exposure["note"] else ""
    return f"open to {who} by {exposure['protocol']} ({_some(exposure['rules'])}){note}"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
    return ", ".join(map(plain, texts[:5])) + more


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
    facts += [(f"port {each['port']}", reached(each)) for each in machine["exposure"] if not each["effectiveDeny"]]
    facts += [(f"port {name}", problem) for name, problem in _ports(machine) if problem]
    return [(name, value) for name, value in facts if value not in ("", None)]
