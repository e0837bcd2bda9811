"""The native API of a real server over TLS, with a firewall in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server import Server

ME = "203.0.113.7"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for a module: its tests ask for things beside each other, as people do."""
    with Server(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    """The owner's client, with web-1 protected."""
    with server.client() as client:
        client.base_url = httpx.URL(f"{server.base_url}/api/v1/")
        protected = client.post("machines/enable", json={"machines": ["web-1"]}, params={"wait": 60})
        assert protected.status_code == 200, protected.text
        assert protected.json()[0]["ports"], protected.text
        yield client


def ask(*, machine: str = "web-1", justification: str = "INC-7", **port: Any) -> dict[str, Any]:
    """A body that asks for port 22 of one machine from ME."""
    wanted = {"number": 22, "sources": [ME], **port}
    return {"machines": [{"id": machine, "ports": [wanted]}], "justification": justification}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory for a server of one test's own."""
    made = tmp_path / "data"
    made.mkdir()
    return made
