"""What is counted over stories, as a table and as JSON."""

import json
from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Self


@dataclass(slots=True)
class Figures:
    """`armed`: failpoints at which somebody was to die; `died`: at which somebody has. Seconds, where nothing else is
    said; `worst`: by kind of firewall, how late a port was still found open."""

    stories: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    armed: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)
    knocks: int = 0
    found_open: int = 0
    past_deadline: int = 0
    lost: int = 0
    opened_twice: int = 0
    seconds: float = 0.0
    without_service: float = 0.0
    worst: dict[str, float] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)

    def add(self, other: Self) -> None:
        """Count those of other stories as well."""
        for name in ("stories", "knocks", "found_open", "past_deadline", "lost", "opened_twice"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("operations", "faults", "armed", "died"):
            getattr(self, name).update(getattr(other, name))
        self.seconds += other.seconds
        self.without_service += other.without_service
        for kind, late in other.worst.items():
            self.worst[kind] = max(late, self.worst.get(kind, 0.0))
        self.failed += other.failed

    def never_died_at(self, tries: int = 1) -> list[str]:
        """Failpoints at which nobody died, though so many times somebody was to."""
        return sorted(name for name, count in self.armed.items() if count >= tries and not self.died[name])

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "stories": self.stories,
            "operations": dict(sorted(self.operations.items())),
            "faults": dict(sorted(self.faults.items())),
            "diedAtFailpoints": dict(sorted(self.died.items())),
            "failpointsNeverDiedAt": self.never_died_at(),
            "knocks": self.knocks,
            "foundOpen": self.found_open,
            "openPastDeadline": self.past_deadline,
            "requestsLost": self.lost,
            "grantsOpenedTwice": self.opened_twice,
            "seconds": round(self.seconds, 1),
            "secondsWithoutService": round(self.without_service, 1),
            "worstCloseLatenessSeconds": {kind: _rounded(late) for kind, late in sorted(self.worst.items())},
            "failedSeeds": sorted(self.failed),
        }

    def save(self, path: Path) -> None:
        """Keep them as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def table(self) -> str:
        """For people."""
        told = self.as_json()
        return "\n".join(f"{_words(name):28} {_text(value)}" for name, value in told.items())


def _rounded(late: float) -> float | None:
    """None: what was open had never been granted, so there is no end that it is late for. JSON has no infinity."""
    return round(late, 3) if isfinite(late) else None


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        total = f"{sum(value.values())}: " if value and all(isinstance(each, int) for each in value.values()) else ""
        return total + (
            ", ".join(f"{name} {'never granted' if count is None else count}" for name, count in value.items())
            or "none"
        )
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}"
