"""Where everything is put together: the ``jitgate`` command, and the server's process."""


def run() -> None:
    """The ``jitgate`` command."""
    # Not at the top: the server's process is in this package too, and needs none of it.
    from jitgate.main import command

    command.run()
