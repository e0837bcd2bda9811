"""A house for every test of the reconciler, and one whose reconciler runs by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
import structlog
from sqlalchemy import select
from tests.house import House

from jitgate.reconcile import loop
from jitgate.store.database import Tx
from jitgate.store.schema import scope_state

_LOOK, _MOST_LOOKS = 0.004, 50
"""Real seconds between two looks whether the reconciler has done what is due, and how many there are at most."""


@dataclass
class Running:
    """A reconciler that runs, in a house whose clock moves when it is told to. `told`: what it logged."""

    house: House
    task: asyncio.Task[None]
    told: Sequence[Mapping[str, object]]

    async def wait(self, how_long: timedelta = timedelta(0), step: timedelta = timedelta(seconds=5)) -> None:
        """Let time pass, in steps, each until nothing is due any more."""
        await self._settle()
        until = self.house.clock.wall() + how_long
        while self.house.clock.wall() < until:
            self.house.clock.advance(step)
            await self._settle()
        assert not self.task.done(), "the reconciler has ended"

    async def _settle(self) -> None:
        for _ in range(_MOST_LOOKS):
            await asyncio.sleep(_LOOK)
            with contextlib.suppress(Exception):  # a test may have broken the database
                if not await self.house.store.read(_is_busy):
                    return


def _is_busy(tx: Tx) -> bool:
    busy = select(scope_state.c.scope).where(
        (scope_state.c.due_at <= tx.now) | scope_state.c.lease_owner.is_not(None), scope_state.c.connector == "memory"
    )
    return tx.execute(busy).first() is not None


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Three machines behind a firewall each; nothing is protected yet."""
    async with House() as made:
        yield made


@pytest.fixture
async def running(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """The house's reconciler, running. It looks again after milliseconds where it would after a second."""
    monkeypatch.setattr(loop, "_LONGEST_WAIT", 0.005)
    monkeypatch.setattr(loop, "_PAUSE", 0.02)
    with structlog.testing.capture_logs() as told:
        before = await house.generation("web-1")
        task = asyncio.create_task(house.reconciler.run())
        for _ in range(_MOST_LOOKS):
            if await house.generation("web-1") != before:
                break
            await asyncio.sleep(_LOOK)
        made = Running(house, task, told)
        await made.wait()
        yield made
        house.reconciler.stop()
        await asyncio.wait_for(task, 60)
