"""Whoever has to be told something is told it before what others say is taken in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from jitgate.web.agents import AgentLink, routes


def link(orders_are_out: Callable[[float], Awaitable[None]]) -> AgentLink:
    unused = cast("Any", None)
    return AgentLink(unused, unused, unused, unused, "", orders_are_out)


async def test_polls_go_on_some_at_a_time_once_all_have_been_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_AT_ONCE", 3)
    out = asyncio.Event()
    gone_on: list[int] = []

    async def orders_are_out(_patience: float) -> None:
        await out.wait()
        # Whoever has its turn has one turn of the loop.
        await asyncio.sleep(0)

    polled = link(orders_are_out)

    async def poll(number: int) -> None:
        await polled.give_way()
        gone_on.append(number)

    polling = [asyncio.create_task(poll(number)) for number in range(9)]
    await asyncio.sleep(0.01)
    assert not gone_on
    out.set()
    most = 0
    while len(gone_on) < len(polling):
        before = len(gone_on)
        await asyncio.sleep(0)
        most = max(most, len(gone_on) - before)
    assert gone_on == sorted(gone_on), "who came first goes first"
    assert 0 < most <= 3


async def test_time_in_the_queue_counts_as_giving_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_AT_ONCE", 1)
    given: list[float] = []

    async def orders_are_out(patience: float) -> None:
        given.append(patience)
        await asyncio.sleep(0.05)

    polled = link(orders_are_out)
    await asyncio.gather(*(polled.give_way() for _ in range(5)))
    assert given == sorted(given, reverse=True)
    assert given[-1] <= routes._GIVES_WAY_SECONDS - 4 * 0.05
