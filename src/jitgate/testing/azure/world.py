"""All that the fake holds, and how long things take in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jitgate.clock import Clock
from jitgate.testing.azure.access import EVERYTHING, Lock
from jitgate.testing.azure.messages import Json, group_not_found, subscription_not_found
from jitgate.testing.azure.paths import Path
from jitgate.testing.azure.resources import Resource, Resources


@dataclass
class World:
    """`subscriptions` by id, `groups` by id, both in lower case.

    `permissions`   of whoever is signed in
    `tags`          the service tags of every location: names and prefixes
    `admin_rules`   a virtual network manager's security admin rules, by the id of the virtual network in lower case
    `durations`     seconds that a change takes, by the type of the resource: ``azureFirewalls``. Others are done at the
                    next call
    `page_size`     how many resources a page of a list has: as many as of machines, without a choice
    `graph`         what Resource Graph still takes for what there is; None: it knows all
    `retry_after`   seconds that clients are told to wait between two looks at an operation
    """

    clock: Clock
    resources: Resources = field(default_factory=Resources)
    subscriptions: dict[str, Json] = field(default_factory=dict)
    groups: dict[str, Json] = field(default_factory=dict)
    locks: dict[str, Lock] = field(default_factory=dict)
    permissions: Sequence[Mapping[str, Sequence[str]]] = EVERYTHING
    tags: dict[str, Sequence[str]] = field(default_factory=dict)
    admin_rules: dict[str, Sequence[Json]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    page_size: int = 50
    graph: Sequence[Json] | None = None
    retry_after: int = 1

    def settle(self) -> None:
        """End what has had its time."""
        self.resources.settle(self.clock.elapsed())

    def until(self, path: Path) -> float:
        """When a change that begins now has had its time."""
        return self.clock.elapsed() + self.durations.get(path.types[0], 0.0)

    def check_place(self, path: Path) -> None:
        """Raise Refusal unless the subscription and the resource group of a path are there."""
        if path.subscription and path.subscription.lower() not in self.subscriptions:
            raise subscription_not_found(path.subscription)
        if path.group and f"/subscriptions/{path.subscription}/resourcegroups/{path.group}".lower() not in self.groups:
            raise group_not_found(path.group)

    def holder(self, path: Path) -> Resource | None:
        """The resource that a path is about, or that holds the part that it is about."""
        return self.resources.get(path.top)
