"""The database itself refuses an illegal move of a grant, whatever the code does."""

from itertools import product
from operator import methodcaller

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.store.rows import add_grant, add_request

from jitgate.core.access import TRANSITIONS, State
from jitgate.store.database import Store

PAIRS = list(product(State, State))
MOVE = text("UPDATE grants SET previous_state = state, state = :state WHERE uid = 'g'")
PATHS = {
    State.PENDING: [State.PENDING],
    State.SCHEDULED: [State.SCHEDULED],
    State.OPENING: [State.OPENING],
    State.OPEN: [State.OPENING, State.OPEN],
    State.CLOSING: [State.OPENING, State.CLOSING],
    State.CLOSED: [State.PENDING, State.CLOSED],
}


def test_all_pairs_are_tried() -> None:
    assert len(PAIRS) == 49
    assert set(PATHS) == set(State) - {State.NEW}


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_row_holds_a_legal_move_or_is_refused(store: Store, before: State, after: State) -> None:
    store.write_now(add_request)
    if (before, after) in TRANSITIONS:
        store.write_now(lambda tx: add_grant(tx, "g", previous=before, state=after))
        return
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        store.write_now(lambda tx: add_grant(tx, "g", previous=before, state=after))


@pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair[0] is not State.NEW])
def test_plain_sql_moves_a_grant_legally_or_not_at_all(store: Store, before: State, after: State) -> None:
    first, *rest = PATHS[before]
    store.write_now(add_request)
    store.write_now(lambda tx: add_grant(tx, "g", state=first))
    for state in rest:
        store.write_now(methodcaller("execute", MOVE, {"state": state}))
    legal = (before, after) in TRANSITIONS
    if legal:
        store.write_now(lambda tx: tx.execute(MOVE, {"state": after}))
    else:
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            store.write_now(lambda tx: tx.execute(MOVE, {"state": after}))
    found = store.read_now(lambda tx: tx.execute(text("SELECT state FROM grants WHERE uid = 'g'")).scalar())
    assert found == (after if legal else before)
