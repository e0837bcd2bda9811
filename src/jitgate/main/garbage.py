"""When the server looks for garbage: when it has little else to do.

Python stops everything while it looks for objects that only refer to each other (https://docs.python.org/3/library/gc.html),
and by itself it looks when many were made: in the middle of a change for many firewalls, the worst of moments. With
10,000 agents connected that takes 0.2 to 0.5 s for what is new, and 1.5 s for everything.
"""

import asyncio
import gc
import time
from typing import NoReturn

LOOKS_EVERY_SECONDS = 1.0
SOME = 20_000
"""Objects made, less those that are gone, after which it is looked for in a quiet moment; or a tenth of all that there
are, where those are many. Hardly any are garbage: a request that its client gives up leaves some seventy, and 80 KB
with them."""
TOO_MANY = 200_000
"""And after which it is not put off any longer; or a fifth of all."""
_QUIET = 0.3
"""The share of a core below which a moment is quiet."""
_ALL_EVERY = 10
"""Looks, of which one goes through everything, and the others through what is new."""
_NEW, _ALL = 1, 2


class Garbage:
    """Takes over from Python when garbage is looked for. What there is by now, is left alone for good."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()
        self._used = time.process_time()
        self._times = 0
        self._objects = 0

    async def keep_away(self) -> NoReturn:
        """Look for it now and then, for ever."""
        while True:
            await asyncio.sleep(LOOKS_EVERY_SECONDS)
            used, self._used = self._used, time.process_time()
            self.look(made=gc.get_count()[0], busy=(self._used - used) / LOOKS_EVERY_SECONDS)

    def look(self, made: int, busy: float) -> bool:
        """Look for garbage if it is time to, and say whether it was. `made`: objects, since the last time; `busy`: the
        share of a core that the process took of late."""
        if made < max(SOME, self._objects // 10):
            return False
        if busy > _QUIET and made < max(TOO_MANY, self._objects // 5):
            return False
        self._times += 1
        if self._times % _ALL_EVERY:
            gc.collect(_NEW)
        else:
            gc.collect(_ALL)
            self._objects = len(gc.get_objects())
        return True
