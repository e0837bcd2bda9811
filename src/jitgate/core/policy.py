"""JIT policies: which ports of which machines are protected, and what may be asked for.

The shape is the published contract's (``Microsoft.Security/locations/jitNetworkAccessPolicies``). A
policy keeps every text as it was written, so that a client reads back what it put.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from jitgate.core.desired import PortKey, Protocol
from jitgate.core.duration import Duration, describe
from jitgate.core.errors import Invalid
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import MachineId, PolicyId, parse_machine_id
from jitgate.core.selector import Selector

SHORTEST_ACCESS = timedelta(minutes=5)
LONGEST_ACCESS = timedelta(days=1)
LOWEST_PORT, HIGHEST_PORT = 1, 65535
MOST_MACHINES = 2000
MOST_PORTS = 200
MOST_SOURCES = 256
MOST_SELECTIONS = 20


@dataclass(frozen=True, slots=True)
class PortRule:
    """One protected port of a machine.

    `sources`       what a request may ask for, canonical
    `source_texts`  the same as it was written; a single text came as ``allowedSourceAddressPrefix``,
                    a list as ``allowedSourceAddressPrefixes``
    """

    number: int
    protocol: Protocol
    sources: tuple[Prefix, ...]
    source_texts: str | tuple[str, ...]
    max_duration: Duration

    def keys(self, machine: str) -> Iterator[PortKey]:
        """The ports this rule protects; two for protocol ``*``."""
        for protocol in self.protocol.each:
            yield PortKey(machine, self.number, protocol)


@dataclass(frozen=True, slots=True)
class MachinePolicy:
    """The protected ports of one machine. `selected`: nobody named it, a selection of the policy has taken it in."""

    id: MachineId
    ports: tuple[PortRule, ...]
    public_ip_address: str | None = None
    selected: bool = field(default=False, compare=False)

    def rules(self, number: int, protocol: Protocol | None = None) -> tuple[PortRule, ...]:
        """The rules for a port number; with a protocol, those that allow it."""
        return tuple(
            rule
            for rule in self.ports
            if rule.number == number and (protocol is None or set(protocol.each) <= set(rule.protocol.each))
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Machines that a policy takes in by itself, also those that appear later.

    `ports`  what is protected on each of them
    `os`     None: whatever runs on them
    """

    selector: Selector
    ports: tuple[PortRule, ...]
    os: OperatingSystem | None = None

    def takes(self, machine: Machine) -> bool:
        """Whether a machine is meant. One that cannot have just-in-time access is not."""
        can_be = not machine.unsupported and not machine.uncovered
        return can_be and self.os in (None, machine.os) and self.selector.selects(machine)


@dataclass(frozen=True, slots=True)
class Policy:
    """A JIT policy as it stands. `machines`: those that were named, and those that `selections` have taken in."""

    id: PolicyId
    machines: tuple[MachinePolicy, ...]
    kind: str = "Basic"
    selections: tuple[Selection, ...] = ()
    _parts: Mapping[str, MachinePolicy] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Whoever asks for a thousand machines looks for a thousand parts, several times each.
        object.__setattr__(self, "_parts", {part.id.key: part for part in reversed(self.machines)})

    @property
    def named(self) -> tuple[MachinePolicy, ...]:
        """The machines that somebody named."""
        return tuple(machine for machine in self.machines if not machine.selected)

    def selected_part(self, machine: Machine) -> MachinePolicy | None:
        """What the selections make of a machine; None: none takes it. Of a port the first that has it counts."""
        rules: list[PortRule] = []
        for selection in self.selections:
            if selection.takes(machine):
                held = {port for rule in rules for port in rule.keys("")}
                rules += [rule for rule in selection.ports if held.isdisjoint(rule.keys(""))]
        return MachinePolicy(parse_machine_id(machine.id, "id"), tuple(rules), selected=True) if rules else None

    def machine(self, key: str) -> MachinePolicy | None:
        """The part for one machine, by the key of its id."""
        return self._parts.get(key)


def check_number(number: int, field: str) -> int:
    """A port that can be protected. Raises Invalid for 0, which the schema lets pass, and beyond 65535."""
    if not LOWEST_PORT <= number <= HIGHEST_PORT:
        raise Invalid(field, f"{number} is not a port that can be protected", allowed="1 to 65535")
    return number


def check_max_duration(duration: Duration, field: str, longest: timedelta = LONGEST_ACCESS) -> Duration:
    """Between five minutes and a day, or what the installation allows. Raises Invalid."""
    if not SHORTEST_ACCESS <= duration.length <= longest:
        raise Invalid(
            field,
            f"{duration} is not a maximum access time",
            allowed=f"{describe(SHORTEST_ACCESS)} to {describe(longest)}",
        )
    return duration


def check_ports(ports: Sequence[PortRule], field: str) -> None:
    """Each port once: a second rule, or TCP or UDP beside ``*``, would leave it open which one holds.

    Raises Invalid, also for a port that names no source, or too many.
    """
    if not ports:
        raise Invalid(field, "a machine without ports protects nothing", allowed="at least one port")
    seen: dict[tuple[int, Protocol], int] = {}
    for index, rule in enumerate(ports):
        _check_sources(rule, f"{field}[{index}]")
        for protocol in rule.protocol.each:
            earlier = seen.setdefault((rule.number, protocol), index)
            if earlier != index:
                raise Invalid(
                    f"{field}[{index}].number",
                    f"port {rule.number} {protocol} is already in {field}[{earlier}]",
                    allowed="each port and protocol once; * stands for TCP and UDP",
                )


def check_machines(machines: Sequence[MachinePolicy], field: str) -> None:
    """Each machine once. Raises Invalid."""
    seen: dict[str, int] = {}
    for index, machine in enumerate(machines):
        earlier = seen.setdefault(machine.id.key, index)
        if earlier != index:
            raise Invalid(
                f"{field}[{index}].id", f"the machine is already in {field}[{earlier}]", allowed="each machine once"
            )


def _check_sources(rule: PortRule, field: str) -> None:
    if 0 < len(rule.sources) <= MOST_SOURCES:
        return
    name = "allowedSourceAddressPrefix" + ("" if isinstance(rule.source_texts, str) else "es")
    raise Invalid(
        f"{field}.{name}",
        f"{len(rule.sources)} sources cannot be allowed",
        allowed=f"1 to {MOST_SOURCES}, or * for any",
    )
