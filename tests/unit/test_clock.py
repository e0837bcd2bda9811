"""Clocks: one that people can step, and one that nobody can."""

import time
from datetime import UTC, datetime, timedelta

from jitgate.clock import ManualClock, SystemClock


def test_the_wall_clock_tells_utc() -> None:
    before, told, after = datetime.now(UTC), SystemClock().wall(), datetime.now(UTC)
    assert before <= told <= after
    assert told.utcoffset() == timedelta(0)


def test_elapsed_time_counts_while_the_machine_sleeps_and_never_runs_back() -> None:
    before, told, after = (
        time.clock_gettime(time.CLOCK_BOOTTIME),
        SystemClock().elapsed(),
        time.clock_gettime(time.CLOCK_BOOTTIME),
    )
    assert before <= told <= after


def test_time_that_passes_moves_both_clocks() -> None:
    clock = ManualClock()
    began = clock.wall()
    clock.advance(timedelta(minutes=1))
    assert (clock.wall() - began, clock.elapsed()) == (timedelta(minutes=1), 60.0)


def test_a_step_moves_the_wall_clock_alone() -> None:
    """Case CK1."""
    clock = ManualClock()
    began = clock.wall()
    clock.step(-timedelta(hours=1))
    assert (clock.wall() - began, clock.elapsed()) == (-timedelta(hours=1), 0.0)


def test_a_manual_clock_begins_at_a_time_with_a_zone() -> None:
    assert ManualClock().wall().tzinfo is UTC
