"""Time, injected. Nothing below the wiring calls the system's clock by itself."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Two kinds of time: what the wall shows, and what has passed."""

    def wall(self) -> datetime:
        """The time of day, UTC. It can be stepped, by people and by NTP."""
        ...

    def elapsed(self) -> float:
        """Seconds since some fixed moment; it never steps, and it counts suspended time."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.clock_gettime(_BOOTTIME)


@dataclass
class ManualClock:
    """A clock that moves when it is told to: for tests and for trying things out."""

    now: datetime = field(default_factory=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    passed: float = 0.0

    def wall(self) -> datetime:
        return self.now

    def elapsed(self) -> float:
        return self.passed

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by
        self.passed += by.total_seconds()

    def step(self, by: timedelta) -> None:
        """Set the wall clock forward or back, while no time passes."""
        self.now += by


# macOS has no CLOCK_BOOTTIME; there CLOCK_MONOTONIC counts suspended time itself.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
