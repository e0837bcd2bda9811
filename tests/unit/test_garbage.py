"""When the server looks for garbage: in quiet moments, and before there is too much of it."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from jitgate.main import garbage
from jitgate.main.garbage import SOME, TOO_MANY, Garbage


@pytest.fixture
def kept_away() -> Iterator[Garbage]:
    yield Garbage()
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize(
    ("made", "busy", "is_time"),
    [
        (SOME - 1, 0.0, False),
        (SOME, 0.0, True),
        (SOME, 0.9, False),
        (TOO_MANY - 1, 0.9, False),
        (TOO_MANY, 0.9, True),
    ],
)
def test_it_waits_for_a_quiet_moment_but_not_for_ever(
    kept_away: Garbage, made: int, busy: float, is_time: bool
) -> None:
    assert kept_away.look(made, busy) is is_time


def test_now_and_then_it_goes_through_what_is_old_too(kept_away: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(gc, "collect", seen.append)
    for _ in range(20):
        kept_away.look(SOME, 0.0)
    assert seen == ([1] * 9 + [2]) * 2


def test_where_there_is_very_much_it_is_looked_for_when_a_tenth_as_much_was_made(
    kept_away: Garbage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look takes as long as there are objects, so it has to be worth it."""
    monkeypatch.setattr(gc, "get_objects", lambda: range(100 * SOME))
    for _ in range(10):
        assert kept_away.look(SOME, 0.0)
    assert not kept_away.look(10 * SOME - 1, 0.0)
    assert kept_away.look(10 * SOME, 0.0)
    assert not kept_away.look(20 * SOME - 1, 0.9)
    assert kept_away.look(20 * SOME, 0.9)


async def test_python_does_not_look_by_itself_and_what_nobody_reaches_goes(
    kept_away: Garbage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "LOOKS_EVERY_SECONDS", 0.01)
    last = _knots(TOO_MANY)
    assert last() is not None
    task = asyncio.create_task(kept_away.keep_away())
    async with asyncio.timeout(60):
        while last() is not None:  # noqa: ASYNC110 - a weak reference, and no event
            await asyncio.sleep(0.01)
    task.cancel()


class _Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.self = self


def _knots(count: int) -> "weakref.ref[_Knot]":
    for _ in range(count - 1):
        _Knot()
    last = _Knot()
    return weakref.ref(last)
