"""A network and a jitgate that can be told where to die."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import Listener, Network


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def listener(network: Network) -> Iterator[Listener]:
    with network.host.listen(22) as made:
        yield made


@pytest.fixture
def armed(tmp_path: Path) -> Path:
    """While this file exists, the failpoint that was asked for kills. The server may write nowhere else."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "armed"
