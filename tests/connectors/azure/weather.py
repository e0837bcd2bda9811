"""Calls of Azure that go wrong at random, and how long a pass has, by the clock that tests move."""

import random
from collections import Counter
from datetime import timedelta

from tests.house import MovableClock

from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.calls import Call, Fault

_OF_WRITES = tuple(Fault)
_OF_READS = (Fault.REFUSE, Fault.THROTTLE, Fault.BUSY, Fault.CONFLICT, Fault.DROP, Fault.LOSE)


class Weather:
    """What goes wrong, at a share of all calls: by how manyth call of its name it is, so that threads do not matter."""

    def __init__(self, seed: int, share: float) -> None:
        self._seed, self._share = seed, share
        self._made: Counter[str] = Counter()

    def at(self, call: Call) -> Fault | None:
        self._made[call.name] += 1
        chance = random.Random(f"{self._seed} {call.name} {self._made[call.name]}")
        if chance.random() > self._share:
            return None
        return chance.choice(_OF_WRITES if call.method in ("PUT", "DELETE") else _OF_READS)


class FewLooks:
    """A pass's time, counted in looks at operations, each of which takes a second of the clock that the test moves."""

    MOST = 8

    def __init__(self) -> None:
        self._left = self.MOST

    @classmethod
    def of(cls, _seconds: float) -> "FewLooks":
        return cls()

    @property
    def may_write(self) -> bool:
        return self._left > 0

    @property
    def may_wait(self) -> bool:
        self._left -= 1
        return self._left >= 0


def take_a_second(arm: Arm, clock: MovableClock) -> None:
    """What is between two looks at an operation. To be done after each call."""
    if arm.calls.made[-1].kind == "operations":
        clock.advance(timedelta(seconds=1))
