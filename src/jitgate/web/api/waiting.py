"""Waiting for a firewall to have done what the database asks of it.

Nothing here is a signal that could be lost: a state is read again and again, one indexed row at a time, at
first fast (a host's firewall takes milliseconds), then slower (a cloud's takes minutes).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jitgate.web.readiness import must_answer_now

T = TypeVar("T")

_FIRST_PAUSE = 0.003
_LONGEST_PAUSE = 0.25
_GROWTH = 1.25


async def until(is_settled: Callable[[T], bool], read: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The first reading that is settled, or the last one before the time is up, or the server ends. At least one is
    made."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause = _FIRST_PAUSE
    while not is_settled(found := await read()):
        left = deadline - loop.time()
        if left <= 0 or must_answer_now():
            break
        await asyncio.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    return found
