"""Lists of grants are a walk along an index, however many there are or have been."""

from datetime import timedelta

import pytest
from tests.store.plans import plan_of
from tests.store.rows import add_grant, add_request

from jitgate.clock import ManualClock
from jitgate.store import requests
from jitgate.store.database import Store, Tx
from jitgate.store.requests import Granted

STATES = {
    "what is not closed": ["opening", "open", "closing"],
    "what is closed": ["closed"],
    "both": ["open", "closed"],
}
WITHIN = {"one's own": (), "everybody's": ("/",)}


@pytest.fixture
def some(store: Store, clock: ManualClock) -> Store:
    """Eight grants, a minute between two of them, every second one closed: the last is g7."""
    store.write_now(add_request)

    def add(tx: Tx, number: int) -> None:
        is_open = number % 2
        add_grant(tx, f"g{number}", previous="opening" if is_open else "closing", state="open" if is_open else "closed")

    for number in range(8):
        clock.advance(timedelta(minutes=1))
        store.write_now(lambda tx, number=number: add(tx, number))  # type: ignore[misc]
    return store


def page(tx: Tx, states: str, within: str, most: int, last: Granted | None = None) -> list[Granted]:
    before = (last.at, last.grant.uid) if last else None
    return requests.list_grants(
        tx, states=STATES[states], principal="ann", within=WITHIN[within], before=before, most=most
    )


@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize(
    ("states", "found"),
    [
        ("what is not closed", ["g7", "g5", "g3", "g1"]),
        ("what is closed", ["g6", "g4", "g2", "g0"]),
        ("both", ["g7", "g6", "g5", "g4", "g3", "g2", "g1", "g0"]),
    ],
)
def test_pages_are_the_newest_first_and_leave_out_none(some: Store, states: str, found: list[str], within: str) -> None:
    def read(tx: Tx) -> list[Granted]:
        seen: list[Granted] = []
        while more := page(tx, states, within, 3, seen[-1] if seen else None):
            seen += more
        return seen

    assert [one.grant.uid for one in some.read_now(read)] == found


@pytest.mark.parametrize("kind", ["sqlite"])  # PostgreSQL chooses by how much there is.
@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("states", STATES)
def test_a_page_is_a_walk_along_an_index(
    url: str, some: Store, statements: list[tuple[str, object]], states: str, within: str
) -> None:
    first = some.read_now(lambda tx: page(tx, states, within, 1))
    statements.clear()
    some.read_now(lambda tx: page(tx, states, within, 1, first[0]))
    asked = [one for one in statements if "FROM grants" in one[0]]
    assert asked
    for statement in asked:
        plan = plan_of(url, *statement)
        assert "USING INDEX ix_grants_of_" in plan or "USING INDEX ix_grants_all_" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
