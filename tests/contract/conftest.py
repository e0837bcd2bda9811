"""One whole jitgate for all contract tests of a module, and a clean policy for each."""

from collections.abc import Iterator

import pytest
from tests.contract.arm import Arm
from tests.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def arm(server: Server) -> Iterator[Arm]:
    """The contract's operations with the owner's token. What a test has put is deleted after it."""
    with server.client() as client:
        made = Arm(server, client)
        yield made
        made.clean_up()
