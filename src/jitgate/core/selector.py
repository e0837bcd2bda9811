"""Selectors: which machines something is about, by scope path and tags."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jitgate.core.machine import Machine
from jitgate.core.resource_id import covers, key


@dataclass(frozen=True, slots=True)
class Selector:
    """Which machines and ports: everything below `scope`, with all of `tags`; all ports if `ports` is empty.

    Names of tags are compared without case, as Azure does; their values are not.
    """

    scope: str = "/"
    tags: Mapping[str, str] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()

    def selects(self, machine: Machine) -> bool:
        """Whether a machine is meant, whichever port."""
        return covers(self.scope, machine.id) and _folded(self.tags) <= _folded(machine.tags)

    def covers(self, machine: Machine, port: int) -> bool:
        """Whether one port of a machine is meant."""
        return (not self.ports or port in self.ports) and self.selects(machine)


def _folded(tags: Mapping[str, str]) -> set[tuple[str, str]]:
    return {(key(name), value) for name, value in tags.items()}
