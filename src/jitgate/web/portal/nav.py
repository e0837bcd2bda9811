"""The way through the portal: the pages that everybody, or who holds a right somewhere, finds on its left."""

from collections.abc import Sequence
from dataclasses import dataclass

from jitgate.core.roles import (
    APPROVE,
    INITIATE,
    JOIN_HOST,
    READ_ACTIVITY,
    READ_HOST,
    READ_INSIGHT,
    READ_MACHINE,
    READ_PLAN,
    Principal,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A page. `rights`: who holds one of these anywhere is shown it; empty: everybody. The page asks again itself."""

    path: str
    label: str
    icon: str
    rights: tuple[str, ...] = ()

    def is_for(self, principal: Principal) -> bool:
        return not self.rights or any(principal.scopes(right) for right in self.rights)

    def is_here(self, path: str) -> bool:
        """Whether a path is this page, or below it."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


ENTRIES = (
    Entry("/", "Home", "home"),
    Entry("/request", "Request access", "key", (INITIATE,)),
    Entry("/machines", "Just-in-time access", "shield", (READ_MACHINE,)),
    Entry("/approvals", "Approvals", "inbox", (APPROVE,)),
    Entry("/activity", "Activity log", "log", (READ_ACTIVITY,)),
    Entry("/insights", "Insights", "chart", (READ_INSIGHT,)),
    Entry("/hosts", "Hosts", "hosts", (READ_HOST, JOIN_HOST)),
    Entry("/pricing", "Pricing and settings", "tag", (READ_PLAN,)),
    Entry("/settings", "Settings", "gear"),
)


def entries(principal: Principal) -> Sequence[Entry]:
    """The pages that somebody is shown."""
    return [entry for entry in ENTRIES if entry.is_for(principal)]
