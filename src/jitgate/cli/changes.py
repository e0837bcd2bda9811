"""Changes of policies: shown before they are made, agreed to, carried out, and waited for."""

from collections.abc import Sequence
from typing import Annotated

import typer

from jitgate.cli import documents
from jitgate.cli.documents import Change
from jitgate.cli.exits import NotThere, TimedOut, Usage
from jitgate.cli.machines import check_protected
from jitgate.cli.screen import Screen
from jitgate.cli.server import Json, Server, path
from jitgate.cli.session import Session

SETTLE_SECONDS = 30
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go ahead.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Protect a port even if that cuts off an established connection.")
]


def apply(s: Session, wanted: Sequence[tuple[str, Json]], *, yes: bool, force: bool) -> None:
    """Show what would change; go ahead if that is wanted; wait until the firewalls hold it."""
    planned = plan(s, wanted)
    if planned:
        go_ahead(s.screen, yes=yes)
    _carry_out(s, planned, force=force)


def plan(s: Session, wanted: Sequence[tuple[str, Json]]) -> list[Change]:
    """What would change, shown."""
    planned = [change for name, body in wanted if (change := _compare(s.server, name, body)).lines]
    for change in planned:
        show(s.screen, change)
    return planned


def _carry_out(s: Session, planned: Sequence[Change], *, force: bool) -> None:
    kept = [
        s.server.put(path("policies", change.policy), change.body, force=force or None, wait=SETTLE_SECONDS)
        for change in planned
    ]
    if not s.screen.data(kept):
        s.screen.say("\n".join(f"{policy['name']} is changed." for policy in kept) or "Nothing to change.")
    late = [policy["name"] for policy in kept if not policy["settled"]]
    if late:
        raise TimedOut(f"Not every firewall of {', '.join(late)} has answered yet. `jitgate machine ls` shows when.")
    named = {each.casefold() for policy in kept for each in documents.ids(policy)}
    check_protected([one for one in s.server.pages("/machines") if one["id"].casefold() in named and one["ports"]])


def _compare(server: Server, policy: str, body: Json) -> Change:
    """What making a policy say something would change."""
    try:
        before = server.get(path("policies", policy))
    except NotThere:
        before = None
    return documents.compare(before, server.put(path("policies", policy), body, dryRun=True))


def show(screen: Screen, change: Change) -> None:
    """Show a change to people, and who would lose by it."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in change.lines:
        screen.note(line, colours.get(line[:1], ""))
    for machine in change.lost_machines:
        screen.note(f"{machine} would lose this protection, and the grants that hang on it.", "bold red")


def go_ahead(screen: Screen, *, yes: bool) -> None:
    """Raise Usage unless somebody has said yes."""
    if not yes and not screen.confirm("Go ahead?"):
        raise Usage("Nothing was changed. Say yes, or give --yes where nobody can be asked.")
