"""Replicas as real processes on one PostgreSQL, and what is in front of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import HOST4, Network
from tests.processes import Jitgate

NOTICE = '[server]\ndrain_notice = "1s"\n'


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def replica(directory: Path, url: str, network: Network, role: str = "all", settings: str = NOTICE) -> Jitgate:
    """One that is yet to be started. It lists a host of its own that is not there."""
    hosts = {directory.name: "jg-none"}
    environment = {"JITGATE_DATABASE": url}
    return Jitgate(directory, hosts, environment, settings=settings, namespace=network.host, address=HOST4, role=role)
