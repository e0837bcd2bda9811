"""How long the machine that the tests run on stands still: what a promise about lateness has to be measured against.

with Stalls() as stalls:
    …
assert took < promised + stalls.seconds
"""

import threading
import time
from types import TracebackType
from typing import Self

_NAP_SECONDS = 0.005


class Stalls:
    """While it is entered, a thread naps again and again, and measures how much longer that takes than it should."""

    def __init__(self) -> None:
        self._late = 0.0
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._nap, daemon=True)

    @property
    def seconds(self) -> float:
        """All that until now, the nap that is being had included."""
        return self._late + (0.0 if self._ended.is_set() else self._overslept())

    def _nap(self) -> None:
        while not self._ended.is_set():
            self._begun = time.monotonic()
            self._ended.wait(_NAP_SECONDS)
            self._late += self._overslept()

    def _overslept(self) -> float:
        return max(0.0, time.monotonic() - self._begun - _NAP_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
