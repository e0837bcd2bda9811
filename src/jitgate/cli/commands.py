"""The commands that speak to a server, as one application. `jitgate.main` adds those of this machine."""

from typing import Annotated

import typer

from jitgate import __version__
from jitgate.cli import (
    activity,
    alterations,
    connectors,
    groups,
    guardrails,
    importing,
    machines,
    networks,
    plans,
    policies,
    principals,
    reports,
    roles,
    tokens,
)
from jitgate.cli.approvals import approve, deny, inbox, review, withdraw
from jitgate.cli.freezes import freeze, freezes, thaw
from jitgate.cli.grants import done, extend, ls, move, shorten
from jitgate.cli.insights import insights
from jitgate.cli.login import login, logout
from jitgate.cli.machines import disable, enable
from jitgate.cli.open import OpenCommand, open_ports
from jitgate.cli.proxy import proxy
from jitgate.cli.recommend import recommend
from jitgate.cli.sign_in_link import sign_in_link
from jitgate.cli.ssh import ssh
from jitgate.cli.whoami import whoami
from jitgate.cli.why import why

ACCESS, APPROVAL, PROTECTION = "Access", "Approval", "Protection"
IDENTITY, RECORD = "Who is who", "Record"
# What follows the machine belongs to ssh.
_PASSES_ON = {"allow_interspersed_args": False, "ignore_unknown_options": True, "allow_extra_args": True}

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback that shows variables would show the token.
    pretty_exceptions_show_locals=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jitgate {__version__}")
        raise typer.Exit


@app.callback()
def jitgate(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Ports that open for one source, for a time, and shut by themselves."""


app.command("open", cls=OpenCommand, rich_help_panel=ACCESS)(open_ports)
app.command(rich_help_panel=ACCESS, context_settings=_PASSES_ON)(ssh)
app.command(rich_help_panel=ACCESS)(proxy)
app.command(rich_help_panel=ACCESS)(ls)
app.command(rich_help_panel=ACCESS)(done)
app.command(rich_help_panel=ACCESS)(extend)
app.command(rich_help_panel=ACCESS)(shorten)
app.command(rich_help_panel=ACCESS)(move)
app.command(rich_help_panel=ACCESS)(why)
app.command(rich_help_panel=ACCESS)(withdraw)
app.command(rich_help_panel=APPROVAL)(inbox)
app.command(rich_help_panel=APPROVAL)(approve)
app.command(rich_help_panel=APPROVAL)(deny)
app.command(rich_help_panel=APPROVAL)(review)
app.command(rich_help_panel=PROTECTION)(enable)
app.command(rich_help_panel=PROTECTION)(disable)
app.command(rich_help_panel=PROTECTION)(recommend)
app.command(rich_help_panel=PROTECTION)(freeze)
app.command(rich_help_panel=PROTECTION)(thaw)
app.command(rich_help_panel=PROTECTION)(freezes)
alterations.add_commands(machines.app)
app.add_typer(machines.app, name="machine", rich_help_panel=PROTECTION)
app.add_typer(connectors.app, name="connector", rich_help_panel=PROTECTION)
app.add_typer(policies.app, name="policy", rich_help_panel=PROTECTION)
app.add_typer(guardrails.app, name="guardrail", rich_help_panel=PROTECTION)
app.add_typer(networks.app, name="network", rich_help_panel=PROTECTION)
app.add_typer(importing.app, name="import", rich_help_panel=PROTECTION)
app.add_typer(plans.app, name="plan", rich_help_panel=PROTECTION)
app.add_typer(plans.jit, name="jit", rich_help_panel=PROTECTION)
app.add_typer(principals.app, name="principal", rich_help_panel=IDENTITY)
app.add_typer(groups.app, name="group", rich_help_panel=IDENTITY)
app.add_typer(roles.app, name="role", rich_help_panel=IDENTITY)
app.add_typer(tokens.app, name="token", rich_help_panel=IDENTITY)
app.command(rich_help_panel=IDENTITY)(login)
app.command(rich_help_panel=IDENTITY)(logout)
app.command("sign-in-link", rich_help_panel=IDENTITY)(sign_in_link)
app.add_typer(activity.app, name="activity", rich_help_panel=RECORD)
app.add_typer(reports.app, name="audit", rich_help_panel=RECORD)
policies.app.command("history")(reports.policy_history)
app.command(rich_help_panel=RECORD)(insights)
app.command(rich_help_panel=RECORD)(whoami)
