"""A house for every test of a use case, on each kind of database."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.house import House
from tests.postgresql import database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The database; None: the house makes a file."""
    if request.param == "sqlite":
        yield None
        return
    with database() as made:
        yield made


@pytest.fixture
async def house(url: str | None) -> AsyncIterator[House]:
    """Three machines behind a firewall each; nothing is protected yet."""
    async with House(url=url) as made:
        yield made
