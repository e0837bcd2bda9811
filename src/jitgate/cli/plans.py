"""`jitgate plan` and `jitgate jit`: what a subscription may ask for at all, and what that would cost elsewhere."""

from typing import Annotated

import typer

from jitgate.cli.server import Json
from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session
from jitgate.cli.text import local, plain

app = typer.Typer(help="The plan of a subscription, and what it would cost elsewhere.", no_args_is_help=True)
jit = typer.Typer(
    help="Switch just-in-time access off and on, for a subscription or resource group.", no_args_is_help=True
)

ScopeOption = Annotated[
    str | None, typer.Option("--scope", help="A subscription; without it, this installation's.", metavar="SCOPE")
]
Scope = Annotated[
    str, typer.Argument(metavar="SCOPE", help="A resource group's name, or the id of a group or subscription.")
]


@app.command("show")
def show_plan(scope: ScopeOption = None, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show the plan."""
    with session(output, data_dir) as s:
        found = s.server.get("/plan", scope=scope)
        if not s.screen.data(found):
            typer.echo(_told(found))


@app.command("set")
def set_plan(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="p2, p1, free, or trial: p2 for thirty days.")],
    scope: ScopeOption = None,
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Set the plan. What is open stays so until its end."""
    with session(output, data_dir) as s:
        found = s.server.put("/plan", {"plan": plan.lower()} | ({"scope": scope} if scope else {}))
        if not s.screen.data(found):
            typer.echo(_told(found))


@app.command("cost")
def cost(
    machines: Annotated[int, typer.Option("--machines", min=0, help="How many machines.", metavar="N")],
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Show what so many machines would cost by the published price table. jitgate costs nothing."""
    with session(output, data_dir) as s:
        found = s.server.get("/plan/cost", machines=machines)
        if s.screen.data(found):
            return
        rows = (
            (row["what"], f"${row['dollars']}" if row["dollars"] else "free", row["per"]) for row in found["prices"]
        )
        s.screen.table(("WHAT", "PRICE", "PER"), rows, empty="")
        typer.echo(
            f"\nPrices as published on {found['published']}; the first {found['freeDays']} days were free.\n"
            f"{machines} servers: ${found['elsewhereDollars']} a month there, ${found['hereDollars']} here."
        )


@jit.command("ls")
def list_disabled(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Show where just-in-time access is switched off."""
    with session(output, data_dir) as s:
        found = s.server.get("/jit/disabled")["items"]
        if not s.screen.data(found):
            rows = ((one["scope"], local(one["sinceUtc"]), one["why"]) for one in found)
            s.screen.table(("SCOPE", "SINCE", "WHY"), rows, empty="It is switched off nowhere.")


@jit.command("disable")
def disable_jit(
    scope: Scope,
    why: Annotated[str, typer.Option("--why", "-m", help="For the record.", metavar="TEXT")] = "",
    output: OutputOption = TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """Switch it off: nothing can be asked for below SCOPE. Ports stay shut, what is open ends when it was to end."""
    with session(output, data_dir) as s:
        found = s.server.post("/jit/disable", {"scope": scope, "why": why})
        if not s.screen.data(found):
            typer.echo(f"{plain(found['scope'])}: switched off{'' if found['changed'] else ' already'}.")


@jit.command("enable")
def enable_jit(scope: Scope, output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Switch it on again."""
    with session(output, data_dir) as s:
        found = s.server.post("/jit/enable", {"scope": scope})
        if not s.screen.data(found):
            typer.echo(f"{plain(found['scope'])}: switched on{'' if found['changed'] else ' already'}.")


def _told(plan: Json) -> str:
    name = " ".join(filter(None, (plan["pricingTier"], plan["subPlan"])))
    ends = f", a trial until {local(plan['trialEndsUtc'])}" if plan["trialEndsUtc"] else ""
    jit = "can be asked for" if plan["hasJit"] else "cannot be asked for: that needs Standard P2"
    return f"{plain(plan['scope'])}: {name}{ends}. Just-in-time access {jit}."
