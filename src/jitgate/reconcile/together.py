"""What many passes want of the database at once, in one transaction.

A change that reaches a thousand firewalls begins a thousand passes. A transaction for each would be as many savepoints,
futures and turns of the event loop, which cost more than what is done in them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

from jitgate.core.errors import Unavailable
from jitgate.store.database import Store, Tx

MOST = 64
"""How many share a transaction: the first of a thousand shall not wait for the last."""

CROWD = 32
"""Others give way to more than so many callers."""

GIVES_WAY_SECONDS = 1.0
"""How long they do, at the most."""

A = TypeVar("A")
R = TypeVar("R")
_Asked = tuple[A, "asyncio.Future[R]", Context]


class Together(Generic[A, R]):
    """Does something for each caller, in their context; what is asked for while one transaction runs shares the next.
    For one event loop.

    `work`: for one of them, within a transaction. `after`: those whose callers come first where they are a crowd.
    """

    def __init__(self, store: Store, work: Callable[[Tx, A], R], after: "Together[Any, Any] | None" = None) -> None:
        self._store = store
        self._work = work
        self._after = after
        self._is_calm = asyncio.Event()
        self._is_calm.set()
        self._asked: list[_Asked[A, R]] = []
        self._waiting = 0
        self._doing: asyncio.Task[None] | None = None

    async def __call__(self, one: A) -> R:
        """What `work` returns for it, once that is committed. Raises what it raises, Unavailable."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._asked.append((one, answer, copy_context()))
        self._count(1)
        if self._doing is None:
            self._doing = asyncio.create_task(self._do())
        try:
            return await answer
        finally:
            self._count(-1)

    async def calm(self, patience: float) -> None:
        """Return when no crowd waits here any more, or after so many seconds."""
        if not self._is_calm.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_calm.wait(), patience)

    def _count(self, more: int) -> None:
        self._waiting += more
        if self._waiting > CROWD:
            self._is_calm.clear()
        else:
            self._is_calm.set()

    async def _do(self) -> None:
        try:
            while self._asked:
                if self._after is not None:
                    await self._after.calm(GIVES_WAY_SECONDS)
                # All that wait by now, or a crowd that never ends would let one transaction through at a time.
                for _ in range(-(-len(self._asked) // MOST)):
                    some, self._asked = self._asked[:MOST], self._asked[MOST:]
                    await self._do_some(some)
        finally:
            self._doing = None

    async def _do_some(self, some: Sequence["_Asked[A, R]"]) -> None:
        try:
            found = await self._store.write(lambda tx: [context.run(self._work, tx, one) for one, _, context in some])
        except Exception as error:  # noqa: BLE001 - it is the callers', who get it
            await self._after_failure(some, error)
            return
        for (_, answer, _), result in zip(some, found, strict=True):
            if not answer.done():
                answer.set_result(result)

    async def _after_failure(self, some: Sequence["_Asked[A, R]"], error: Exception) -> None:
        """Nothing was kept. One that cannot be done must not keep others from it, so each gets a transaction."""
        if len(some) == 1 or isinstance(error, Unavailable):
            for _, answer, _ in some:
                if not answer.done():
                    answer.set_exception(error)
            return
        for each in some:
            await self._do_some([each])
