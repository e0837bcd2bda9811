"""Freezes: nothing is open, and nothing opens, for a person or below a scope path, until somebody thaws it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jitgate.core.resource_id import covers, key
from jitgate.core.roles import Principal

EVERYTHING = "/"
LONGEST_WHY = 1000


@dataclass(frozen=True, slots=True)
class Freeze:
    """One freeze that is in force. Exactly one of `person` (a principal's uid) and `scope` (a scope path) is set.

    `why` is told to whoever asks for something that is frozen.
    """

    uid: str
    why: str
    at: datetime
    person: str | None = None
    scope: str | None = None

    def holds(self, principal: Principal, machine_id: str) -> bool:
        """Whether it concerns this person, or this machine."""
        if self.person is not None:
            return self.person == principal.uid
        return self.scope is not None and covers(self.scope, machine_id)

    @property
    def key(self) -> str:
        """What it is found by."""
        return person_key(self.person) if self.person is not None else key(self.scope or EVERYTHING)


def person_key(uid: str) -> str:
    """What freezes of a person are found by."""
    return f"principal:{uid}"


def keys_over(machine_ids: Iterable[str]) -> list[str]:
    """What freezes that could concern these machines are found by: every scope path at or above one of them."""
    found = {EVERYTHING}
    for machine_id in machine_ids:
        parts = key(machine_id).strip("/").split("/")
        found |= {"/" + "/".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return sorted(found)
