"""``python -m bench.grown DIRECTORY MACHINES``: a server of so many machines, whose firewalls are in memory.

It prints where it is as soon as it answers, and ends when its standard input does.
"""

import sys
from contextlib import suppress
from pathlib import Path

from tests.server import Server

from bench import estate
from jitgate import telemetry

GROUPS_OF = 500
"""Machines in a resource group, and so in a policy."""
_PATIENCE = 900.0


def server(directory: Path, machines: int, *, reconciles: bool = True) -> Server:
    """Of so many machines, in resource groups of 500."""
    groups = -(-machines // GROUPS_OF)
    return Server(
        directory,
        reconciles=reconciles,
        machines=lambda subscription: [estate.machine(subscription, at, groups) for at in range(machines)],
        patience=_PATIENCE,
    )


def run() -> None:
    """The command."""
    telemetry.configure()
    with server(Path(sys.argv[1]), int(sys.argv[2])) as running, suppress(KeyboardInterrupt):
        print(running.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    run()
