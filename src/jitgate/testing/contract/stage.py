"""A firewall to try a connector on: what its author tells the contract."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from jitgate.clock import Clock
from jitgate.connectors.base import Connector
from jitgate.core.desired import Protocol as IpProtocol

T = TypeVar("T")
P = ParamSpec("P")


class Killed(BaseException):
    """The process died here, as by ``kill -9``. No line of a connector may run because of it."""


def lethal(moment: int, call: Callable[P, T]) -> Callable[P, T]:
    """The same function, which changes a firewall, deadly at one moment of its calls."""
    left = [moment]

    def deadly(*given: P.args, **named: P.kwargs) -> T:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        answer = call(*given, **named)
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return answer

    return deadly


class Timeline(Clock, Protocol):
    """A clock that can be moved on: `jitgate.clock.ManualClock`, or one that really waits."""

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Who knocks. `near` is inside `wide` as `alice` is; `bob` is not. Without IPv6, or with one address of it: ""."""

    alice: str = "203.0.113.7"
    near: str = "203.0.113.8"
    wide: str = "203.0.113.0/24"
    bob: str = "198.51.100.9"
    alice6: str = "2001:db8:1::7"
    bob6: str = "2001:db8:2::9"


class Stage(ABC):
    """One machine behind a firewall that jitgate has not touched yet.

    `clock`         what the connector was given
    `connector`     the one under test, as a process has it that has just begun
    `machine`       the name of the machine
    `hour`          how long access lasts in the tests: an hour where time is only told, else what one cares to wait
    `is_open`       whether whoever is not stopped gets through as long as nothing is protected
    `sources`       who knocks; those of documentation, where packets are not really sent
    `ports`         two of the machine
    `protocols`     what the firewall tells apart
    `fences`        whether it refuses an older generation than the one that it holds. A cloud cannot
    `proves_shut`   whether a report says at once that a protected port is shut, and needs no probe for it
    `tells_repairs` whether a report says that another hand had taken away what is ours
    `moments_apart` deaths are tried at every so manyth moment (`die_at`), where each takes long; an odd number
    """

    clock: Timeline
    connector: Connector
    machine: str
    hour: timedelta = timedelta(hours=1)
    is_open: bool = False
    sources: Sources = Sources()
    ports: tuple[int, int] = (22, 3389)
    protocols: tuple[IpProtocol, ...] = (IpProtocol.TCP, IpProtocol.UDP)
    fences: bool = False
    proves_shut: bool = True
    tells_repairs: bool = True
    moments_apart: int = 1

    @abstractmethod
    def reaches(self, port: int, protocol: IpProtocol, source: str) -> bool:
        """Whether a new connection from an address gets through now: sent, or worked out from what stands."""

    @abstractmethod
    def ours(self) -> object:
        """What stands that carries jitgate's mark, to be compared with what stood before."""

    @abstractmethod
    def others(self) -> object:
        """What stands that does not, to be compared. There must be something, and some of it must look like ours."""

    @abstractmethod
    def wipe(self) -> None:
        """Another hand takes away all that is ours."""

    @abstractmethod
    def restart(self) -> None:
        """The process ends without a word, and another begins: `connector` is one that knows nothing yet."""

    @abstractmethod
    def die_at(self, moment: int) -> AbstractContextManager[object]:
        """Inside, `Killed` is raised at one moment: before the first call that changes the firewall is carried out (1),
        after it (2), before the second one (3), after it (4), and so on. `lethal` makes that of a function."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it, in the loop that the connector lives in."""
        return self._runner.run(work)

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()
