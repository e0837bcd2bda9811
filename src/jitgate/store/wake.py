"""Waking those who wait for a scope to change.

A lost wake loses nothing (scopes also have a `due_at` and are swept), it only costs time.
"""

import asyncio
import threading
from collections.abc import Iterable


class Wake:
    """The scopes that were woken since somebody last looked. Any thread may fire; one task waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scopes: set[str] = set()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def fire(self, scopes: Iterable[str]) -> None:
        """Wake whoever waits, from any thread."""
        with self._lock:
            self._scopes.update(scopes)
            if self._waiting is None or not self._scopes:
                return
            loop, event = self._waiting
            # Under the lock, so that the loop cannot be left between the look and the call.
            loop.call_soon_threadsafe(event.set)

    async def wait(self, timeout: float) -> set[str]:  # noqa: ASYNC109 - the limit is part of the answer, not a failure
        """The scopes woken since the last call; waits up to `timeout` seconds for the first, then returns none.

        Raises RuntimeError if another task waits already: it would take this one's scopes.
        """
        event = asyncio.Event()
        self._enter(event)
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            woken = self._leave()
        return woken

    def _enter(self, event: asyncio.Event) -> None:
        with self._lock:
            if self._waiting is not None:
                raise RuntimeError("another task already waits for woken scopes")
            self._waiting = (asyncio.get_running_loop(), event)
            if self._scopes:
                event.set()

    def _leave(self) -> set[str]:
        with self._lock:
            self._waiting = None
            woken, self._scopes = self._scopes, set()
            return woken
