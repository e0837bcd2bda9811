"""Many passes share a transaction, and one that cannot be recorded keeps no other from it."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import pytest
from tests.house import House, part

from jitgate.reconcile import claim, record
from jitgate.reconcile import together as together_module
from jitgate.reconcile.loop import SWEEP_EVERY
from jitgate.reconcile.together import MOST, Together
from jitgate.store import scopes
from jitgate.store.database import Tx

T = TypeVar("T")

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


async def test_what_firewalls_hold_is_written_down_after_all_have_been_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together_module, "GIVES_WAY_SECONDS", 60.0)
    monkeypatch.setattr(together_module, "MOST", 8)
    monkeypatch.setattr(together_module, "CROWD", 0)
    async with House(machines=MANY) as house:
        done: list[str] = []
        for module, name in ((claim, "claim"), (record, "done")):
            monkeypatch.setattr(module, name, _noting(done, name, getattr(module, name)))
        await house.put_only(*map(part, MANY))
        await asyncio.gather(*(house.reconciler.reconcile(f"memory/{name}") for name in MANY))
        assert done == ["claim"] * len(MANY) + ["done"] * len(MANY)


async def test_who_gives_way_does_not_do_so_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together_module, "GIVES_WAY_SECONDS", 0.01)
    async with House() as house:
        done: list[str] = []
        first: Together[str, None] = Together(house.store, lambda _tx, one: done.append(one))
        second: Together[str, None] = Together(house.store, lambda _tx, one: done.append(one), after=first)
        first._is_calm.clear()  # as where one crowd follows another all the time
        await second("second")
        assert done == ["second"]


async def test_all_who_have_given_way_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else so many a second would, however many come."""
    async with House() as house:
        waited: list[float] = []

        async def calm(patience: float) -> None:
            waited.append(patience)

        first: Together[str, None] = Together(house.store, lambda _tx, _one: None)
        second: Together[str, None] = Together(house.store, lambda _tx, _one: None, after=first)
        monkeypatch.setattr(first, "calm", calm)
        await asyncio.gather(*map(second, MANY))
        assert len(waited) == 1


async def test_nobody_gives_way_to_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together_module, "CROWD", 2)
    async with House() as house:
        together: Together[str, None] = Together(house.store, lambda _tx, _one: None)
        for callers, is_calm in ((2, True), (3, False)):
            calling = [asyncio.create_task(together("one")) for _ in range(callers)]
            await asyncio.sleep(0)
            assert together._is_calm.is_set() is is_calm
            await asyncio.gather(*calling)
            assert together._is_calm.is_set()


def _noting(done: list[str], name: str, real: Callable[..., T]) -> Callable[..., T]:
    def noted(*given: Any) -> T:
        done.append(name)
        return real(*given)

    return noted


async def test_what_was_swept_at_once_is_not_swept_at_once_again() -> None:
    async with House(machines=MANY) as house:
        due = {(await house.state(name)).sweep_at for name in MANY}
        assert len(due) > len(MANY) / 2
        now = house.clock.wall()
        assert all(at is not None and now + SWEEP_EVERY * 0.79 < at <= now + SWEEP_EVERY for at in due)
