"""A server's log would stand among what commands print."""

from collections.abc import Iterator

import pytest
from tests.server import silenced


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with silenced():
        yield
