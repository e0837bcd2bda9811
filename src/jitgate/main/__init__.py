"""The command root: what speaks to a server (`jitgate.cli`) and what works on this machine (`jitgate.ops`)."""


def run() -> None:
    """The ``jitgate`` command."""
    # Not at the top: the server's process is in this package too, and needs none of it.
    from jitgate.cli import app
    from jitgate.ops.app import add_commands

    add_commands(app)
    app()
