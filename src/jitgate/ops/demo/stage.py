"""What the story plays on. Everything on it is removed by `traces.remove`."""

import os
from dataclasses import dataclass
from pathlib import Path

from jitgate.ops.demo import listeners, network, traces
from jitgate.ops.demo.installation import Installation
from jitgate.ops.demo.listeners import Listeners
from jitgate.ops.demo.network import Network


@dataclass(frozen=True, slots=True)
class Stage:
    """Machines, clients, and a jitgate that runs and protects nothing yet."""

    network: Network
    listeners: Listeners
    jitgate: Installation


def build() -> Stage:
    """Make all of it. Raises Unavailable."""
    directory = traces.make_directory(os.getpid())
    built = network.build(os.getpid())
    # Exactly these, so that the machine that the demo runs on is none of them.
    hosts = [f'[[host]]\nname = "{machine}"\nnamespace = "{machine.namespace}"\n' for machine in built.machines]
    return install(directory, built, "\n".join(hosts))


def install(directory: Path, built: Network, settings: str) -> Stage:
    """Begin jitgate, and meanwhile have the machines listen. Raises Unavailable."""
    jitgate = Installation(directory, settings)
    jitgate.launch()
    listening = listeners.listen(built, directory)
    jitgate.await_ready()
    return Stage(built, listening, jitgate)
