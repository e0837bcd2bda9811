"""A gateway in front of one machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.gateway.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path) as made:
        yield made
