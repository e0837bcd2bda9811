"""A house whose clouds are in memory."""

from collections.abc import AsyncIterator

import pytest
from tests.clouds.sky import Sky
from tests.house import House


@pytest.fixture
async def sky() -> AsyncIterator[Sky]:
    async with House() as house:
        sky = Sky(house)
        yield sky
        await sky.close()
