"""A region with two instances, for each test."""

from collections.abc import AsyncIterator

import pytest
from tests.connectors.aws.scene import Scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene() as made:
        yield made
