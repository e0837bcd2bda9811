"""A server in one namespace, and who asks for access from others."""

from collections.abc import Iterator

import pytest
from tests.netns import HOST4, Namespace, Network
from tests.processes import Jitgate


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def carol(network: Network) -> Namespace:
    """Who asks for access."""
    return network.add("carol", 3)


@pytest.fixture(scope="module")
def dave(network: Network) -> Namespace:
    """Who asks for none."""
    return network.add("dave", 4)


@pytest.fixture(scope="module")
def jitgate(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jitgate]:
    with Jitgate(tmp_path_factory.mktemp("server"), {}, namespace=network.host, address=HOST4) as made:
        yield made
