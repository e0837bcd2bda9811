"""Many passes share a transaction, and one that cannot be recorded keeps no other from it."""

import asyncio
from datetime import datetime

import pytest
from tests.house import House, part

from jitgate.reconcile.loop import SWEEP_EVERY
from jitgate.reconcile.together import MOST, Together
from jitgate.store import scopes
from jitgate.store.database import Tx

MANY = [f"many-{number}" for number in range(MOST + 10)]


async def test_passes_that_begin_at_once_share_transactions() -> None:
    async with House(machines=MANY) as house:
        moments: list[object] = []

        def work(tx: Tx, one: str) -> str:
            moments.append(tx)
            return one.upper()

        together = Together(house.store, work)
        assert await asyncio.gather(*map(together, MANY)) == [name.upper() for name in MANY]
        assert len(set(map(id, moments))) == 2
        assert await together("later") == "LATER"


async def test_a_firewall_that_cannot_be_claimed_keeps_no_other_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with House() as house:
        await house.put_only(*map(part, ("web-1", "web-2", "db-1")))
        real = scopes.begin

        def begin(tx: Tx, scope: str, until: datetime) -> None:
            if scope == "memory/web-2":
                raise ValueError("its row cannot be read")
            real(tx, scope, until)

        monkeypatch.setattr(scopes, "begin", begin)
        names = [f"memory/{name}" for name in ("web-1", "web-2", "db-1")]
        done = await asyncio.gather(*map(house.reconciler.reconcile, names), return_exceptions=True)
        assert done[0] is True
        assert isinstance(done[1], ValueError)
        assert done[2] is True
        assert not house.reaches("db-1")


async def test_a_caller_who_goes_away_takes_nobodys_answer_along() -> None:
    async with House() as house:
        together: Together[str, str] = Together(house.store, lambda _tx, one: one)
        leaving = asyncio.create_task(together("leaving"))
        staying = asyncio.create_task(together("staying"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == "staying"


async def test_what_was_swept_at_once_is_not_swept_at_once_again() -> None:
    async with House(machines=MANY) as house:
        due = {(await house.state(name)).sweep_at for name in MANY}
        assert len(due) > len(MANY) / 2
        now = house.clock.wall()
        assert all(at is not None and now + SWEEP_EVERY * 0.79 < at <= now + SWEEP_EVERY for at in due)
