"""`jitgate host token`, `ls`, `approve`, `confirm`, `remove`: hosts elsewhere, by way of the server."""

from typing import Annotated

import typer

from jitgate.cli.server import Json, path
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local
from jitgate.core import duration

NameArgument = Annotated[str, typer.Argument(metavar="HOST", help="The host's name, or its UUID.")]


def add_commands(group: typer.Typer) -> None:
    """Add them to the group of commands about hosts."""
    group.command("token")(token)
    group.command("ls")(list_hosts)
    group.command("approve")(approve)
    group.command("confirm")(confirm)
    group.command("remove")(remove)


def token(
    lifetime: Annotated[str, typer.Option("--for", help="How long it can be used.", metavar="TIME")] = "1h",
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many hosts may join by it.", metavar="N")] = 1,
    group: Annotated[
        str | None,
        typer.Option("--group", help="The resource group that their machines are filed in.", metavar="GROUP"),
    ] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Make a token by which a host elsewhere joins; shows what to run there."""
    with session(output, data_dir) as s:
        body = {"lifetime": duration.parse_short(lifetime, "--for").text, "uses": uses, "resourceGroup": group}
        made = s.server.post("/hosts/tokens", body)
        if s.screen.data(made):
            return
        hosts, until = "one host" if uses == 1 else f"{uses} hosts", local(made["expiresTimeUtc"])
        s.screen.note(f"For {hosts}, until {until}. It is not shown again. On the host, as root:")
        typer.echo(f"jitgate-agent join {s.server.place.url} --token {made['token']} --ca-pin {made['caPin']}")


def list_hosts(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """List the hosts that have joined, and those that wait for an administrator."""
    with session(output, data_dir) as s:
        found = s.server.get("/hosts")
        if s.screen.data(found):
            return
        columns = ("HOST", "KIND", "GROUP", "STATE", "LAST HEARD", "ADDRESS", "JOINED FROM")
        empty = "No host elsewhere has joined. `jitgate host token` shows how one does."
        s.screen.table(columns, map(_row, found), empty=empty)
        for each in found:
            if each["reportedAddresses"]:
                told = ", ".join(each["reportedAddresses"])
                s.screen.note(f"{each['name']} reports to be at {told}. If that is right: jitgate host confirm")
            for why in each["refused"]:
                s.screen.note(f"{each['name']} tells a machine that is not taken in: {why}")


def approve(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Let the host that waits under a name take it; the former one is removed, with its grants."""
    with session(output, data_dir) as s:
        found = s.server.post(path("hosts", name, "approve"))
        if not s.screen.data(found):
            s.screen.say(f"{found['name']} has joined, with the key {found['publicKey']}.", "green")


def confirm(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Have people be sent to the addresses that a host has reported."""
    with session(output, data_dir) as s:
        found = s.server.post(path("hosts", name, "confirm"))
        if not s.screen.data(found):
            s.screen.say(f"{found['name']} is at {', '.join(found['addresses'])}.", "green")


def remove(name: NameArgument, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Have a host be a member no more. Its grants end; its agent keeps shut what it protects."""
    with session(output, data_dir) as s:
        found = s.server.delete(path("hosts", name))
        if not s.screen.data(found):
            s.screen.say(f"{found['name']} is removed. To open it again, at the host: jitgate-agent release", "yellow")


def _row(host: Json) -> tuple[str, ...]:
    state = host["state"]
    if state == "joined" and not host["verified"]:
        state = "unverified"
    heard = local(host["heardTimeUtc"]) if host["heardTimeUtc"] else "never"
    address = ", ".join(host["addresses"][:2])
    return host["name"], host["kind"], host["resourceGroup"], state, heard, address, host["askedFrom"] or ""
