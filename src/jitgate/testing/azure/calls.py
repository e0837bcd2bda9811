"""What is asked of the fake: numbered, counted, and gone wrong where a test wants it to."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Call:
    """The how manyth call it is, from 1 on; `kind` is the resource type that it is about: ``securityRules``."""

    number: int
    method: str
    kind: str
    path: str

    @property
    def name(self) -> str:
        """What it is counted as: ``PUT securityRules``."""
        return f"{self.method} {self.kind}"


class Fault(StrEnum):
    """What goes wrong at a call."""

    REFUSE = "500, and nothing was done"
    THROTTLE = "429 with Retry-After, and nothing was done"
    BUSY = "429 because of another operation, and nothing was done"
    CONFLICT = "409 because of another operation, and nothing was done"
    OUTDATED = "412, as if another had written, and nothing was done"
    DROP = "the connection ends before it is done"
    LOSE = "it is done, and the connection ends before the answer"
    LATE = "the connection ends before the answer, and it is done some seconds later"
    FAIL = "it is taken, and the operation ends as Failed"
    CANCEL = "it is taken, and the operation ends as Canceled"
    STICK = "it is taken, and the operation takes minutes longer than it should"


Chooser = Callable[[Call], Fault | None]


class Calls:
    """The calls since the fake was made, or since `forget`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: list[Call] = []
        self._choosers: list[Chooser] = []

    def begin(self, method: str, kind: str, path: str) -> tuple[Call, Fault | None]:
        """Note a call, and say what goes wrong at it."""
        with self._lock:
            call = Call(len(self._made) + 1, method, kind, path)
            self._made.append(call)
            choosers = list(self._choosers)
        return call, next((fault for choose in choosers if (fault := choose(call)) is not None), None)

    def fail_at(self, number: int, fault: Fault) -> None:
        """Have the call of that number go wrong."""
        self.fail_when(lambda call: fault if call.number == number else None)

    def fail_next(self, name: str, fault: Fault) -> None:
        """Have the next call of that name go wrong, such as ``PUT securityRules``."""
        left = [fault]
        self.fail_when(lambda call: left.pop() if left and call.name == name else None)

    def fail_when(self, choose: Chooser) -> None:
        """Have calls go wrong as a function says, which is asked at each of them."""
        with self._lock:
            self._choosers.append(choose)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._choosers.clear()

    @property
    def made(self) -> tuple[Call, ...]:
        """All calls, in order."""
        with self._lock:
            return tuple(self._made)

    def count(self) -> Counter[str]:
        """How many of each name."""
        return Counter(call.name for call in self.made)

    def forget(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self._made.clear()
