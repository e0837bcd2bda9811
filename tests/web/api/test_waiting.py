"""Waiting for a firewall: quick where it is quick, cheap where it is slow."""

import asyncio

from jitgate.web.api.waiting import until


class Counted:
    """Something that is settled after so many readings or seconds."""

    def __init__(self, *, seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.at = self.loop.time() + seconds
        self.readings = 0

    async def read(self) -> bool:
        self.readings += 1
        return self.loop.time() >= self.at


async def test_what_is_settled_is_answered_at_the_first_reading() -> None:
    it = Counted(seconds=0)
    assert await until(bool, it.read, 10)
    assert it.readings == 1


async def test_without_time_to_wait_there_is_one_reading() -> None:
    it = Counted(seconds=10)
    assert not await until(bool, it.read, 0)
    assert it.readings == 1


async def test_a_change_is_seen_within_the_time_that_passed_before_it() -> None:
    it = Counted(seconds=0.02)
    assert await until(bool, it.read, 10)
    assert it.loop.time() - it.at < 0.03


async def test_a_long_wait_costs_few_readings_and_ends_on_time() -> None:
    it = Counted(seconds=10)
    began = it.loop.time()
    assert not await until(bool, it.read, 1)
    assert 1 <= it.loop.time() - began < 1.3
    assert it.readings < 25
