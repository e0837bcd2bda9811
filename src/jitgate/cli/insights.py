"""`jitgate insights`: what is open, how much is asked for, how fast ports open and shut, what nobody needs."""

from enum import StrEnum
from typing import Annotated

import typer

from jitgate.cli.activity import export
from jitgate.cli.server import Json
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, Session, session
from jitgate.cli.text import local, plain

_SHOWN = 20


class Table(StrEnum):
    """What is exported."""

    DAYS = "days"
    IDLE = "idle-machines"
    WIDE = "wide-policies"


def insights(
    days: Annotated[
        int, typer.Option("--days", min=1, max=90, help="How many days, today included.", metavar="DAYS")
    ] = 30,
    csv: Annotated[Table | None, typer.Option("--csv", help="One table, all of it, as CSV.")] = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show what is open, how fast ports open and shut, and what nobody needs."""
    with session(output, data_dir) as s:
        if csv is not None:
            export(s, "/insights/export", table=csv, days=str(days))
            return
        found = s.server.get("/insights", days=days)
        if not s.screen.data(found):
            _show(s, found, days)


def _show(s: Session, found: Json, days: int) -> None:
    ports = ", ".join(f"{one['grants']} of port {one['port']}" for one in found["openNow"]) or "nothing"
    s.screen.say(f"Open now: {ports}, on {found['machinesOpen']} machine(s).")
    for name, what in (("opening", "From asked to open"), ("closing", "From the end to proven shut")):
        s.screen.say(f"{what}: {_spread(found[name])}.")
    columns = ("DAY", "REQUESTS", "APPROVAL", "DENIED", "PORTS OPENED")
    s.screen.table(columns, map(_day, _busy(found)), empty="Nobody asked for anything.")
    _show_unneeded(s, days)


def _show_unneeded(s: Session, days: int) -> None:
    idle = s.server.get("/insights/idle-machines", days=days, limit=_SHOWN)["items"]
    rows = [(plain(one["name"]), local(one["lastAskedUtc"]) or "never") for one in idle]
    s.screen.table(("NOT ASKED FOR", "LAST"), rows, empty="Every protected machine was asked for.")
    wide = s.server.get("/insights/wide-policies", days=days, limit=_SHOWN)["items"]
    columns = ("POLICY", "PORT", "ALLOWS", "USED")
    s.screen.table(columns, map(_excess, wide), empty="No policy is far wider than its use.")


def _day(day: Json) -> tuple[str, ...]:
    return (day["day"], *(str(day[name]) for name in ("requests", "neededApproval", "denied", "opened")))


def _busy(found: Json) -> list[Json]:
    """The days on which somebody asked for something, the latest first."""
    return [day for day in reversed(found["days"]) if day["requests"]]


def _spread(spread: Json) -> str:
    if not spread["count"]:
        return "nothing to go by"
    return f"half within {spread['p50']} s, 95 % {spread['p95']} s, 99 % {spread['p99']} s (of {spread['count']})"


def _excess(one: Json) -> tuple[str, ...]:
    return (plain(one["policy"].rpartition("/")[2]), str(one["port"]), plain(one["allowed"]), plain(one["used"]))
