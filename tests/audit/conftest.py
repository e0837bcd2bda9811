"""A house for every test of a use case."""

from collections.abc import AsyncIterator

import pytest
from tests.house import House


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Three machines behind a firewall each; nothing is protected yet."""
    async with House() as made:
        yield made
