"""What a desired state changes, compared with what is held. Pure: no firewall, no clock."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jitgate.connectors.base import Step
from jitgate.connectors.hosts.mirror import Changes, Mirror
from jitgate.connectors.hosts.table import Held, Ports, Purpose, Slot, drop, fill, slot_of
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection

_BATCH = 5_000
"""Keys. So many take libnftables some 50 ms and a few megabytes; a hundred thousand at once take it half a gigabyte."""


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on both clocks."""

    wall: datetime
    elapsed: float


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes of the keys: for each the time it stands until from now on, or None. What stays is not listed."""

    open: Changes = field(default_factory=dict)
    cut: Changes = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.open or self.cut)

    def __len__(self) -> int:
        return len(self.open) + len(self.cut)

    @property
    def lasting(self) -> bool:
        """Whether anything of it is to stand."""
        return any(held is not None for purpose in Purpose for held in self.of(purpose).values())

    @property
    def closed(self) -> list[AccessKey]:
        return [key for key, held in self.open.items() if held is None]

    def of(self, purpose: Purpose) -> Changes:
        return self.open if purpose is Purpose.OPEN else self.cut

    def slots(self) -> set[Slot]:
        """The sets that what is put or dropped lives in."""
        return {slot_of(purpose, key) for purpose in Purpose for key in self.of(purpose)}

    def batches(self) -> Iterator["Difference"]:
        """The same in pieces that a transaction can hold, what closes first. There is always one, be it empty."""
        if len(self) <= _BATCH:
            yield self
            return
        each = [(purpose, key, held) for purpose in Purpose for key, held in self.of(purpose).items()]
        each.sort(key=lambda change: change[2] is not None)
        for start in range(0, len(each), _BATCH):
            piece = each[start : start + _BATCH]
            yield Difference(
                {key: held for purpose, key, held in piece if purpose is Purpose.OPEN},
                {key: held for purpose, key, held in piece if purpose is Purpose.CUT},
            )

    def commands(self, elapsed: float, standing: Mirror, *, again: bool = False) -> list[str]:
        """As nft commands: what closes first, then what opens. What `standing` holds is replaced.

        `elapsed`: when the kernel will have read them. `again`: the same was carried out before.
        """
        gone: list[str] = []
        stays: list[str] = []
        for purpose in Purpose:
            held = standing.held(purpose)
            changes = self.of(purpose)
            lasting = {key: until for key, until in changes.items() if until is not None}
            # A kernel before 6.12 reports success for a new timeout of an element that it has, and keeps the old one.
            gone += drop(purpose, (key for key in changes if again or key in held or key not in lasting))
            stays += fill(purpose, lasting, elapsed)
        return gone + stays


def difference(desired: Desired, machine: str, mirror: Mirror, now: Now) -> Difference:
    """What `desired` changes for this machine. Keys of other machines never stand here."""
    opened = _changes(desired, machine, mirror, Purpose.OPEN, desired.access, now)
    cut = _changes(desired, machine, mirror, Purpose.CUT, desired.cut, now)
    for key in opened.keys() & mirror.held(Purpose.CUT).keys() - cut.keys():
        # A new grant starts with a clean slate: its session is not cut for the sake of a former one.
        if opened[key] is not None:
            cut[key] = None
    return Difference(opened, cut)


def wanted_ports(desired: Desired, machine: str) -> dict[PortKey, Protection] | None:
    """The machine's protected ports, or None if `desired` does not speak of the machine."""
    if machine not in desired.machines and not desired.complete:
        return None
    return {key: protection for key, protection in desired.protected.items() if key.machine == machine}


def with_time_left(held: Mapping[AccessKey, Held], now: Now) -> dict[AccessKey, Held]:
    """What was found standing, less what is past its end, and no longer than until its end as the wall shows it."""
    found = {}
    for key, each in held.items():
        left = min(each.deadline - now.elapsed, (each.end - now.wall).total_seconds())
        if left > 0:
            found[key] = Held(each.end, now.elapsed + left)
    return found


def steps(difference: Difference, mirror: Mirror, ports: Ports, wanted: Iterable[PortKey] | None) -> list[Step]:
    """The difference as lines for people."""
    told: list[Step] = []
    if wanted is not None:
        after = {(key.protocol, key.port): key for key in wanted}
        told += [Step("protect", str(key)) for port, key in sorted(after.items()) if port not in ports]
        told += [Step("release", f"{p.lower()}/{n}") for p, n in sorted(ports) if (p, n) not in after]
    standing = mirror.held(Purpose.OPEN)
    for key, held in sorted(difference.open.items(), key=lambda change: change[0]):
        if held is None:
            told.append(Step("shut", str(key)))
        else:
            former = f", was {standing[key].end.isoformat()}" if key in standing else ""
            told.append(Step("open", f"{key} until {held.end.isoformat()}{former}"))
    return told + [Step("cut", str(key)) for key, held in sorted(difference.cut.items()) if held is not None]


def _changes(
    desired: Desired,
    machine: str,
    mirror: Mirror,
    purpose: Purpose,
    asked: Mapping[AccessKey, datetime | None],
    now: Now,
) -> dict[AccessKey, Held | None]:
    standing = mirror.held(purpose)
    found: dict[AccessKey, Held | None] = {}
    if desired.complete:
        found = {key: None for key in standing if key not in asked}
    for key, end in asked.items():
        held = standing.get(key)
        until = (
            None if end is None or key.machine != machine else mirror.until(purpose, key, end, now.wall, now.elapsed)
        )
        if until != held:
            found[key] = until
    return found
