"""What there is: resources with their etags, and the operations that change them and take time."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from jitgate.testing.azure.messages import Json

CHILDREN = {
    "microsoft.network/networksecuritygroups": {"securityrules": "securityRules"},
    "microsoft.network/virtualnetworks": {
        "subnets": "subnets",
        "virtualnetworkpeerings": "virtualNetworkPeerings",
    },
    "microsoft.network/routetables": {"routes": "routes"},
    "microsoft.network/loadbalancers": {"inboundnatrules": "inboundNatRules"},
}
"""Of which kinds of resources parts are resources themselves, and as which property they are kept."""


@dataclass
class Operation:
    """A change under way until `until` (seconds of the elapsed clock). `goal`: what stands then; None: nothing.

    `child` is the key of the part that it is about; `outcome` how it ends.
    """

    id: str
    until: float
    state: str
    goal: Json | None
    child: str = ""
    outcome: str = "Succeeded"


@dataclass
class Resource:
    """One resource. `body` is what it is told as; `effective` what firewalls go by: the last change that ended well.

    `spoiled`: by its key, how the last change of a part ended, where it did not end well.
    """

    id: str
    kind: str
    body: Json
    etag: str = ""
    state: str = "Succeeded"
    operation: Operation | None = None
    effective: Json = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.renew()
        self.effective = self.effective or self.body

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def key(self) -> str:
        return self.id.lower()

    def renew(self) -> None:
        """Another etag, as at every write."""
        self.etag = f'W/"{uuid.uuid4()}"'


# Bodies are never changed, only replaced: what is told and what firewalls go by may share them.


def parts(body: Json, kept_as: str) -> list[Json]:
    """The parts of a resource that are resources themselves."""
    found: list[Json] = body.get("properties", {}).get(kept_as) or []
    return found


def with_part(body: Json, kept_as: str, new: Json) -> Json:
    """The same resource with a part more, or in the place of the one of its name."""
    name = new["name"].lower()
    kept = [new if each["name"].lower() == name else each for each in parts(body, kept_as)]
    return _with_parts(body, kept_as, kept if new in kept else [*kept, new])


def without_part(body: Json, kept_as: str, name: str) -> Json:
    """The same resource without a part."""
    return _with_parts(body, kept_as, [each for each in parts(body, kept_as) if each["name"].lower() != name.lower()])


def _with_parts(body: Json, kept_as: str, kept: list[Json]) -> Json:
    return {**body, "properties": {**body.get("properties", {}), kept_as: kept}}


def part(body: Json, kept_as: str, name: str) -> Json | None:
    """One of them, by its name in any case."""
    return next((each for each in parts(body, kept_as) if each["name"].lower() == name.lower()), None)


class Resources:
    """All of them, by id in any case, in the order in which they were made."""

    def __init__(self) -> None:
        self._held: dict[str, Resource] = {}
        self.operations: dict[str, Operation] = {}

    def get(self, id: str) -> Resource | None:
        return self._held.get(id.lower())

    def of_kind(self, kind: str, below: str = "") -> Iterator[Resource]:
        """Those of one kind below a scope."""
        prefix = f"{below.lower()}/"
        return (each for each in self._held.values() if each.kind == kind and each.key.startswith(prefix))

    def put(self, resource: Resource) -> Resource:
        """Keep a resource that stands."""
        self._held[resource.key] = resource
        return resource

    def remove(self, id: str) -> None:
        """Forget one."""
        self._held.pop(id.lower(), None)

    def begin(self, resource: Resource, operation: Operation) -> None:
        """A change of a resource begins."""
        resource.operation, resource.state = operation, operation.state
        resource.renew()
        self._held.setdefault(resource.key, resource)
        self.operations[operation.id] = operation

    def settle(self, now: float) -> None:
        """End what has had its time."""
        for resource in [each for each in self._held.values() if each.operation is not None]:
            operation = resource.operation
            if operation is not None and operation.until <= now:
                self._end(resource, operation)

    def _end(self, resource: Resource, operation: Operation) -> None:
        resource.operation = None
        resource.renew()
        resource.spoiled.pop(operation.child, None)
        if operation.outcome != "Succeeded":
            resource.state = operation.outcome
            if operation.child:
                resource.spoiled[operation.child] = operation.outcome
        elif operation.goal is None:
            del self._held[resource.key]
        else:
            resource.state = "Succeeded"
            resource.body = resource.effective = operation.goal
