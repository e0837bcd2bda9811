"""The command root: what speaks to a server (`jitgate.cli`), and what works on this machine."""

from pathlib import Path

import typer

from jitgate.cli import app, hosts
from jitgate.ops.app import add_commands, host

# What follows belongs to the agent's own command line.
_PASSES_ON = {"allow_interspersed_args": False, "ignore_unknown_options": True, "allow_extra_args": True}


def run() -> None:
    """The ``jitgate`` command."""
    add_all(app)
    app()


def add_all(root: typer.Typer) -> None:
    """Add to the commands that speak to a server those of this machine."""
    add_commands(root)
    hosts.add_commands(host)
    root.command("gateway", context_settings=_PASSES_ON, add_help_option=False)(gateway)
    root.command("agent", context_settings=_PASSES_ON, add_help_option=False)(agent)


def agent(ctx: typer.Context) -> None:
    """Join a server elsewhere and hold this host's firewall for it: join, run, status, release, protect."""
    from jitgate.agent.command import run as run_agent

    run_agent(ctx.args)


def gateway(ctx: typer.Context) -> None:
    """Pass TCP on to machines that run no agent, for a server elsewhere: join, run, add, remove, ls."""
    from jitgate.agent.gateway_command import run as run_gateway

    run_gateway(ctx.args, _give_up_rights)


def _give_up_rights(state: Path) -> None:
    """What meets strangers shall hold no right, and write nowhere but to its own place."""
    from jitgate.ops import privileges
    from jitgate.ops.confinement import confine

    privileges.drop_all()
    confine({state})
