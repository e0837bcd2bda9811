"""Another program on a machine of its own, and a port that it opens."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.netns import ALICE4, HOST4, Network

from bench.door import open_door
from bench.others import UNTOUCHED, Other

BRIEFLY = 2
"""Seconds, for seeing a port shut."""


def routed_network(opened: ExitStack) -> Network:
    """A network in which any address of 12.0.0.0/8 is the client's."""
    network = opened.enter_context(Network())
    network.alice.ip("route add local 12.0.0.0/8 dev lo")
    network.host.ip(f"route add 12.0.0.0/8 via {ALICE4}")
    return network


class Beside:
    """`crowd`: how many other ports it holds open from the beginning."""

    def __init__(self, opened: ExitStack, kind: type[Other], directory: Path, crowd: int = 0) -> None:
        network = routed_network(opened)
        self._other = opened.enter_context(kind(network, directory / kind.PROGRAMS[0], crowd))
        self._door = open_door(opened, network.alice, network.host, HOST4, UNTOUCHED)

    def time(self, sources: Iterator[str]) -> float:
        """From asking to the first connection, in seconds."""
        chosen = next(sources)
        return self._door.time(lambda: self._other.open(chosen, UNTOUCHED), chosen)

    def lateness(self, sources: Iterator[str]) -> float:
        """From when the port should shut to the last connection, in seconds."""
        chosen = next(sources)
        return self._door.lateness(lambda: self._other.open(chosen, UNTOUCHED, BRIEFLY), chosen, BRIEFLY)
