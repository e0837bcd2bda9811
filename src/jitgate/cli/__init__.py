"""The command line. It speaks HTTP and nothing else."""

from jitgate.cli.commands import app

__all__ = ["app"]
