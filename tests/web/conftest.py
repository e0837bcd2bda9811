"""One server for all tests of a module. Its firewall does not follow, so that only requests change the database."""

from collections.abc import Iterator

import httpx
import pytest
from tests.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), reconciles=False) as running:
        yield running


@pytest.fixture(scope="module")
def owner(server: Server) -> Iterator[httpx.Client]:
    """A client with every right."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def stranger(server: Server) -> Iterator[httpx.Client]:
    """A client that nobody knows."""
    with server.client("") as client:
        yield client
