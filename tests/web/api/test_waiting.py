"""Waiting for a firewall: quick where it is quick, cheap where it is slow."""

import pytest

from jitgate.web.api import waiting
from jitgate.web.api.waiting import until


class Counted:
    """Something that is settled after so many seconds, of which none passes but those that are waited."""

    def __init__(self) -> None:
        self.now, self.seconds = 0.0, 0.0
        self.readings = 0

    async def read(self) -> bool:
        self.readings += 1
        return self.now >= self.seconds

    def get_running_loop(self) -> "Counted":
        return self

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> Counted:
    made = Counted()
    monkeypatch.setattr(waiting, "asyncio", made)
    return made


async def test_what_is_settled_is_answered_at_the_first_reading(it: Counted) -> None:
    assert await until(bool, it.read, 10)
    assert it.readings == 1


async def test_without_time_to_wait_there_is_one_reading(it: Counted) -> None:
    it.seconds = 10
    assert not await until(bool, it.read, 0)
    assert it.readings == 1


async def test_a_change_is_seen_within_the_time_that_passed_before_it(it: Counted) -> None:
    it.seconds = 0.02
    assert await until(bool, it.read, 10)
    assert it.now <= 2 * it.seconds


async def test_a_long_wait_costs_few_readings_and_ends_on_time(it: Counted) -> None:
    it.seconds = 10
    assert not await until(bool, it.read, 1)
    assert it.now == pytest.approx(1)
    assert it.readings < 25
