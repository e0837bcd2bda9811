"""A house for the stories of a module."""

import contextlib
from collections.abc import Iterator

import pytest
from tests.chaos.house import Playhouse
from tests.chaos.ledger import LATE_WHERE_SLOW
from tests.chaos.story import SHORT


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Playhouse]:
    """Of the kind that the module names as HOUSE."""
    with contextlib.closing(Playhouse(request.module.HOUSE, SHORT, LATE_WHERE_SLOW)) as made:
        yield made
