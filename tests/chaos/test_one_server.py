"""Half a dozen stories with one server on SQLite. A thousand of both houses: `make chaos`."""

import pytest
from tests.chaos.house import Playhouse
from tests.chaos.story import A_DOZEN, SQLITE

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(600)]
HOUSE = SQLITE


@pytest.mark.parametrize("seed", A_DOZEN[0::2])
def test_whatever_breaks_nothing_is_open_past_its_deadline_and_nothing_is_lost(stage: Playhouse, seed: int) -> None:
    figures = stage.play(seed)
    assert figures.knocks, "nobody looked"
