"""Turns between an event loop and the one thread that writes for it.

One thread at a time runs Python, and each statement lets the other one in: two that are busy at once pass the
interpreter on some fifty times a request, which costs as much as a third of it. So they take turns. When a turn of
the loop ends, it hands over what was asked for in it, and stands aside until that has run; while the commit waits for
the disk, the loop goes on. What is asked for meanwhile is the next group.
"""

import asyncio
import threading
from typing import Any
from weakref import WeakKeyDictionary

from jitgate.core.errors import Unavailable
from jitgate.store.jobs import Crew, Job

PATIENCE = 0.02
"""Seconds for which a loop stands aside. A group of small writes takes less; for a large one it does not wait."""


class Turns:
    """The jobs of event loops, handed to a crew group by group; those of threads, at once.

    `ran`  is set by the crew when a group needs the interpreter no more
    """

    def __init__(self, crew: Crew, ran: threading.Event) -> None:
        self._crew = crew
        self._ran = ran
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def submit(self, job: Job[Any]) -> None:
        """Have a job done. Raises Unavailable once closed; a job of an event loop gets it as its outcome."""
        if job.loop is None:
            self._crew.submit(job)
            return
        with self._lock:
            turn = self._turns.get(job.loop)
            if turn is None:
                turn = self._turns[job.loop] = _Turn(self._crew, self._ran)
        turn.add(job, job.loop)

    def close(self) -> None:
        """Finish what was asked for, then let the crew go."""
        for turn in list(self._turns.values()):
            turn.hand_over()
        self._crew.close()


class _Turn:
    """What one loop has asked for since it last handed over, and how much of what it did hand over is under way."""

    def __init__(self, crew: Crew, ran: threading.Event) -> None:
        self._crew = crew
        self._ran = ran
        self._asked: list[Job[Any]] = []
        self._under_way = 0
        self._lock = threading.Lock()

    def add(self, job: Job[Any], loop: asyncio.AbstractEventLoop) -> None:
        job.when_settled(lambda: self._settled(loop))
        with self._lock:
            self._asked.append(job)
        self._end_soon(loop)

    def hand_over(self) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
            self._under_way += len(asked)
        try:
            self._crew.submit(*asked)
        except Unavailable as error:
            for job in asked:
                job.fail(error)
                job.settle()

    def _end_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_ready():
            loop.call_soon(self._end)

    def _end(self) -> None:
        if self._is_ready():
            self._ran.clear()
            self.hand_over()
            self._ran.wait(PATIENCE)

    def _is_ready(self) -> bool:
        return bool(self._asked) and self._under_way <= 0

    def _settled(self, loop: asyncio.AbstractEventLoop) -> None:
        # A caller that has gone away may be settled before it was handed over; the sum comes out right all the same.
        self._under_way -= 1
        self._end_soon(loop)
