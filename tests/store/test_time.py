"""The store's time never runs backwards and never stands still."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.clock import ManualClock
from jitgate.store.database import Store, Tx
from jitgate.store.time import StoreTime

HOUR = timedelta(hours=1)


def now(tx: Tx) -> datetime:
    return tx.now


def test_now_is_the_wall_clock_while_that_is_right(store: Store, clock: ManualClock) -> None:
    for _ in range(3):
        assert store.write_now(now) == store.read_now(now) == clock.wall()
        clock.advance(timedelta(minutes=7, microseconds=3))


def test_a_wall_clock_that_is_set_back_lengthens_nothing(store: Store, clock: ManualClock) -> None:
    before = store.write_now(now)
    clock.step(-HOUR)
    assert store.read_now(now) == before
    clock.advance(timedelta(minutes=10))
    assert store.read_now(now) == store.write_now(now) == before + timedelta(minutes=10)


def test_a_wall_clock_that_is_set_forward_is_followed(store: Store, clock: ManualClock) -> None:
    before = store.write_now(now)
    clock.step(HOUR)
    assert store.write_now(now) == before + HOUR


def test_a_restart_with_a_wall_clock_that_was_set_back_lengthens_nothing(url: str, clock: ManualClock) -> None:
    store = Store.open(url, clock)
    before = store.write_now(now)
    store.close()
    clock.step(-HOUR)
    store = Store.open(url, clock)
    assert store.read_now(now) == before
    clock.advance(timedelta(seconds=1))
    assert store.read_now(now) == before + timedelta(seconds=1)
    store.close()


def test_time_goes_on_while_nobody_is_there_though_the_wall_clock_was_set_back(url: str, clock: ManualClock) -> None:
    clock.step(HOUR)
    store = Store.open(url, clock)
    before = store.write_now(now)
    clock.step(-HOUR)
    store.close()
    clock.advance(timedelta(minutes=5))
    store = Store.open(url, clock)
    assert store.read_now(now) == before + timedelta(minutes=5)
    store.close()


def test_another_start_of_the_machine_counts_from_another_moment(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(url, clock)
    before = store.write_now(now)
    store.close()
    monkeypatch.setattr("jitgate.store.time._boot", lambda: "another")
    clock.step(-HOUR)
    clock.passed += 3600
    store = Store.open(url, clock)
    assert store.read_now(now) == before
    store.close()


def test_two_processes_on_one_database_agree_on_what_is_past(url: str, clock: ManualClock) -> None:
    ahead, behind = Store.open(url, clock), Store.open(url, ManualClock(clock.wall() - HOUR))
    written = ahead.write_now(now)
    assert behind.read_now(now) == behind.write_now(now) == written
    ahead.close()
    behind.close()


def test_a_transaction_has_one_now(store: Store, clock: ManualClock) -> None:
    def work(tx: Tx) -> tuple[datetime, datetime]:
        before = tx.now
        clock.advance(HOUR)
        return before, tx.now

    before, after = store.write_now(work)
    assert before == after


@given(st.lists(st.tuples(st.booleans(), st.integers(-(10**12), 10**12)), max_size=50))
def test_whatever_the_clock_does_time_moves_on_by_at_least_what_has_passed(moves: list[tuple[bool, int]]) -> None:
    clock = ManualClock()
    time = StoreTime(clock)
    last = time.now()
    for is_step, microseconds in moves:
        by = timedelta(microseconds=microseconds if is_step else abs(microseconds))
        (clock.step if is_step else clock.advance)(by)
        latest = time.now()
        assert latest >= last + (timedelta(0) if is_step else by - timedelta(microseconds=1))  # rounding
        assert latest >= clock.wall() - timedelta(microseconds=1)
        last = latest
