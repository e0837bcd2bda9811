"""Leases: one owner at a time, and a dead owner's lease runs out by the database's clock."""

import threading
from collections.abc import Callable
from datetime import timedelta

from tests.store.rows import add_scope

from jitgate.clock import ManualClock
from jitgate.store import lease, scopes
from jitgate.store.database import Store

Pass = Callable[[timedelta], None]
SCOPE = "host/one"
LENGTH = timedelta(seconds=30)


def claim(store: Store, owner: str) -> int | None:
    return store.write_now(lambda tx: lease.claim(tx, SCOPE, owner, LENGTH))


def test_a_scope_has_one_owner_until_it_is_released(store: Store) -> None:
    store.write_now(add_scope)
    assert claim(store, "one") == 1
    assert claim(store, "two") is None
    store.write_now(lambda tx: lease.release(tx, SCOPE, "one", None))
    assert claim(store, "two") == 2


def test_each_lease_has_a_higher_generation_than_the_one_before(store: Store, let_pass: Pass) -> None:
    store.write_now(add_scope)
    assert claim(store, "one") == 1
    assert claim(store, "one") == 2
    let_pass(LENGTH)
    assert claim(store, "two") == 3


def test_a_dead_owners_lease_runs_out(store: Store, let_pass: Pass) -> None:
    store.write_now(add_scope)
    claim(store, "dead")
    let_pass(LENGTH - timedelta(seconds=5))
    assert claim(store, "successor") is None
    let_pass(timedelta(seconds=5))
    assert claim(store, "successor") == 2


def test_a_wall_clock_that_is_set_back_keeps_no_dead_owners_lease_alive(
    store: Store, clock: ManualClock, let_pass: Pass
) -> None:
    store.write_now(add_scope)
    claim(store, "dead")
    clock.step(-timedelta(days=1))
    let_pass(LENGTH)
    assert claim(store, "successor") == 2


def test_an_owner_whose_own_clock_is_wrong_holds_its_lease_no_longer(
    url: str, clock: ManualClock, let_pass: Pass
) -> None:
    right, wrong = Store.open(url, clock), Store.open(url, ManualClock(clock.wall() - timedelta(hours=1)))
    right.write_now(add_scope)
    assert claim(wrong, "wrong") == 1
    let_pass(LENGTH)
    assert claim(right, "right") == 2
    right.close()
    wrong.close()


def test_renewing_lengthens_a_lease_that_has_not_run_out_and_no_other(store: Store, let_pass: Pass) -> None:
    store.write_now(add_scope)
    claim(store, "one")
    let_pass(timedelta(seconds=20))
    assert store.write_now(lambda tx: lease.renew(tx, SCOPE, "one", LENGTH))
    assert not store.write_now(lambda tx: lease.renew(tx, SCOPE, "two", LENGTH))
    let_pass(timedelta(seconds=29))
    assert claim(store, "two") is None
    let_pass(timedelta(seconds=1))
    assert not store.write_now(lambda tx: lease.renew(tx, SCOPE, "one", LENGTH))


def test_who_was_held_up_past_the_lease_releases_nothing_of_the_successor(store: Store, let_pass: Pass) -> None:
    store.write_now(add_scope)
    claim(store, "slow")
    let_pass(LENGTH)
    claim(store, "successor")
    store.write_now(lambda tx: lease.release(tx, SCOPE, "slow", None))
    assert claim(store, "third") is None


def test_releasing_says_when_to_look_next(store: Store, clock: ManualClock) -> None:
    store.write_now(add_scope)
    claim(store, "one")
    due = clock.wall() + timedelta(minutes=5)
    store.write_now(lambda tx: lease.release(tx, SCOPE, "one", due))
    state = store.read_now(lambda tx: scopes.get(tx, SCOPE))
    assert state is not None
    assert state.due_at == due


def test_a_scope_that_is_not_known_cannot_be_claimed(store: Store) -> None:
    assert claim(store, "one") is None


def test_of_many_that_claim_at_once_one_gets_it(store: Store) -> None:
    store.write_now(add_scope)
    got: list[int | None] = []
    threads = [threading.Thread(target=lambda n=n: got.append(claim(store, f"owner {n}"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=str) == [1] + [None] * 7
