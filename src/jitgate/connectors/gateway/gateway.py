"""One gateway: made to hold what is desired, and to let go of it in time.

All of it happens in one event loop, without waiting: a change is done when the call returns. Time is the elapsed clock;
a deadline comes from the server's own time and from how long ago that was, so a wall clock that is wrong, or is
stepped, lengthens nothing.
"""

import asyncio
import logging
import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from jitgate.clock import Clock
from jitgate.connectors.base import Capabilities, Connection, ConnectorError, GenerationBehind, Report
from jitgate.connectors.gateway import door
from jitgate.connectors.gateway.door import Door
from jitgate.connectors.gateway.ports import MappedPorts
from jitgate.connectors.gateway.probe import where
from jitgate.connectors.gateway.relay import Relay, Waiting
from jitgate.connectors.gateway.roster import Place, Target
from jitgate.connectors.hosts.mirror import Mirror
from jitgate.connectors.hosts.table import Held, Purpose
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, covers

CAPABILITIES = Capabilities(ends_sessions=True, own_deadline=True)
TCP_ONLY = "a gateway relays TCP only"

_EARLY_SECONDS = 0.01
"""So much before its deadline a key ends, because a busy loop is late."""
_LONGEST_WAIT = 1.0
"""The loop's clock stops while the machine sleeps; ours does not, so it is looked at this often."""

_WARN_EVERY_SECONDS = 10.0

_log = logging.getLogger("jitgate.gateway")

OnNews = Callable[[str], None]


class Gateway:
    """One gateway. To be used in its event loop only.

    `noticed`  is told what the server should look at again: a target that no longer answers, or does again
    `most_connections`  how many there may be, where the process has fewer descriptors than the settings say

    Raises ConnectorError when its mapped ports cannot be read.
    """

    def __init__(
        self,
        place: Place,
        directory: Path,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        noticed: OnNews,
        most_connections: int | None = None,
    ) -> None:
        self.place = place
        self._clock, self._loop, self._noticed = clock, loop, noticed
        self._most = min(place.most_connections, most_connections or place.most_connections)
        self._targets: Mapping[str, Target] = {target.uuid: target for target in place.targets}
        self._mapped = MappedPorts(directory, *place.ports)
        self._mirror = Mirror()
        self._generation = 0
        self._protected: dict[PortKey, Protection] = {}
        self._doors: dict[PortKey, Door] = {}
        self._standing: Counter[PortKey] = Counter()
        self._relays: defaultdict[PortKey, set[Relay]] = defaultdict(set)
        self._from: Counter[Prefix] = Counter()
        self.connections = 0
        self._next_warning = 0.0
        self._waiting = Waiting()
        self._silent: dict[PortKey, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.exposed: dict[PortKey, str] = {}

    def sync(self, desired: Desired, worked_out: float) -> Report:
        """Make `desired` stand, and tell what stands. Safe to repeat.

        `worked_out`: when it was `desired.at` on the elapsed clock. Raises ConnectorError, GenerationBehind.
        """
        self._check(desired)
        elapsed = self._clock.elapsed()
        wall = desired.at + timedelta(seconds=max(0.0, elapsed - worked_out))
        self._protect(desired)
        new = self._give_ports(desired)
        changes = self._changes(desired, wall, elapsed)
        self._shut([key for key, held in changes.items() if held is None])
        refused = self._open({key: held for key, held in changes.items() if held is not None})
        self._cut(desired.cut)
        self._end_due(self._clock.elapsed())
        self._generation = desired.generation
        if desired.complete:
            self._mirror.forget_ended(wall)
        self._set_timer()
        return self._report(desired, refused | self._udp_alone(desired), new)

    def use(self, place: Place) -> None:
        """Other machines are behind it from now on. What leads to one that is not, or is elsewhere now, ends."""
        former, self.place = self._targets, place
        self._targets = {target.uuid: target for target in place.targets}
        gone = former.keys() - self._targets.keys()
        moved = {uuid for uuid, was in former.items() if uuid in gone or self._targets[uuid].address != was.address}
        self._end([each for key, relays in self._relays.items() if key.machine in moved for each in relays])
        self._shut([key for key in self._mirror.held(Purpose.OPEN) if key.machine in gone])
        self.exposed = {key: why for key, why in self.exposed.items() if key.machine not in moved}
        self._silent = {key: why for key, why in self._silent.items() if key.machine not in moved}

    def close(self) -> None:
        """Listen nowhere, and end every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for each in self._doors.values():
            each.close()
        self._doors.clear()
        self._end([relay for relays in self._relays.values() for relay in relays])

    def probed(self) -> list[tuple[PortKey, str, int]]:
        """The protected ports, and where their machines are."""
        return [
            (key, self._targets[key.machine].address, key.port)
            for key in self._protected
            if key.protocol is Protocol.TCP and key.machine in self._targets
        ]

    def found(self, key: PortKey, exposed: str) -> None:
        """Take in what a probe has found: "" or why the port counts as exposed."""
        if key in self._protected and key.machine in self._targets and self.exposed.get(key) != exposed:
            self.exposed[key] = exposed
            self._noticed(f"{self._name(key)}: {exposed or 'refused to others than the gateway'}")

    def problems(self) -> dict[PortKey, str]:
        """The protected ports, each with "" or why it is not held shut."""
        return {key: self._problem(key) for key in self._protected}

    # What is desired.

    def _check(self, desired: Desired) -> None:
        if desired.scope != self.place.scope:
            raise ConnectorError(f"this is scope {self.place.scope}, and not {desired.scope}", retry=False)
        if desired.generation < self._generation:
            raise GenerationBehind(self._generation)

    def _protect(self, desired: Desired) -> None:
        spoken_for = desired.machines
        kept = {} if desired.complete else {k: p for k, p in self._protected.items() if k.machine not in spoken_for}
        before, self._protected = self._protected, {**kept, **desired.protected}
        self.exposed = {key: why for key, why in self.exposed.items() if key in self._protected}
        for key, protection in self._protected.items():
            if before.get(key) != protection:
                self._end_uncovered(key)

    def _give_ports(self, desired: Desired) -> set[PortKey]:
        """A mapped port to all that is protected or to be opened; those that had none."""
        wanted = {key for key in self._protected if self._is_relayed(key)}
        wanted |= {key.target for key, end in desired.access.items() if end and self._is_relayed(key.target)}
        try:
            return self._mapped.give(wanted, self._doors, partial(door.is_free, self.place.listen))
        except OSError as error:
            raise ConnectorError(f"the mapped ports cannot be kept: {error}") from error

    def _is_relayed(self, key: PortKey) -> bool:
        return key.protocol is Protocol.TCP and key.machine in self._targets

    def _changes(self, desired: Desired, wall: datetime, elapsed: float) -> dict[AccessKey, Held | None]:
        standing = self._mirror.held(Purpose.OPEN)
        found: dict[AccessKey, Held | None] = {}
        if desired.complete:
            found = {key: None for key in standing if key not in desired.access}
        for key, end in desired.access.items():
            until = None
            if end is not None and self._is_relayed(key.target):
                until = self._mirror.until(Purpose.OPEN, key, end, wall, elapsed)
            if until != standing.get(key):
                found[key] = until
        return found

    def _shut(self, keys: Iterable[AccessKey]) -> None:
        gone = list(keys)
        self._mirror.record(Purpose.OPEN, dict.fromkeys(gone))
        for key in gone:
            self._standing[key.target] -= 1
        for target in {key.target for key in gone}:
            if not self._standing[target]:
                self._shut_door(target)
            self._end_uncovered(target)

    def _shut_door(self, target: PortKey) -> None:
        del self._standing[target]
        if (shut := self._doors.pop(target, None)) is not None:
            shut.close()

    def _open(self, changes: Mapping[AccessKey, Held]) -> dict[AccessKey, str]:
        """Let these in, each until then; those that cannot be, and why."""
        refused = {key: why for key in changes if (why := self._open_door(key.target))}
        held = self._mirror.held(Purpose.OPEN)
        for key in changes.keys() - refused.keys() - held.keys():
            self._standing[key.target] += 1
        self._mirror.record(Purpose.OPEN, {key: until for key, until in changes.items() if key not in refused})
        return refused

    def _open_door(self, target: PortKey) -> str:
        if target in self._doors:
            return ""
        port = self._mapped.of(target)
        if port is None:
            first, last = self.place.ports
            return f"no mapped port is left: all of {first}-{last} are given to protected ports, or taken by others"
        try:
            self._doors[target] = Door(self._loop, self.place.listen, port, partial(self._welcome, target))
        except OSError as error:
            return f"the gateway cannot listen on port {port}: {error.strerror}; end the program that has it"
        return ""

    def _cut(self, cut: Mapping[AccessKey, datetime]) -> None:
        """A revoke ends connections, however sessions end on the port, unless another grant covers them."""
        for key in cut:
            relays = self._relays.get(key.target, ())
            self._end(
                [each for each in relays if covers(key.prefix, each.source) and not self._is_in(key.target, each)]
            )

    # Time.

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._mirror.next_deadline()
        if due is not None:
            left = due - _EARLY_SECONDS - self._clock.elapsed()
            self._timer = self._loop.call_later(min(max(0.0, left), _LONGEST_WAIT), self._tick)

    def _tick(self) -> None:
        self._end_due(self._clock.elapsed())
        self._set_timer()

    def _end_due(self, elapsed: float) -> None:
        self._shut(self._mirror.due(elapsed + _EARLY_SECONDS)[Purpose.OPEN])

    # Connections.

    def _welcome(self, target: PortKey, client: socket.socket, source: Prefix) -> bool:
        self._end_due(self._clock.elapsed())
        if target not in self._doors or not self._mirror.covers(source, target, {}):
            return False
        if self.connections >= self._most or self._from[source] >= self.place.most_per_source:
            self._warn_of_too_many(source)
            return False
        relay = Relay(self._loop, client, source, self._waiting, partial(self._ended, target))
        self._relays[target].add(relay)
        self._from[source] += 1
        self.connections += 1
        relay.connect(self._targets[target.machine].address, target.port, partial(self._answers, target))
        return True

    def _warn_of_too_many(self, source: Prefix) -> None:
        """Now and then: who opens too many must not fill the log as well."""
        if (now := self._clock.elapsed()) >= self._next_warning:
            self._next_warning = now + _WARN_EVERY_SECONDS
            _log.warning("%s: too many connections, %d from %s", self.place.name, self._from[source], source)

    def _ended(self, target: PortKey, relay: Relay, why: str) -> None:
        self._relays[target].discard(relay)
        if not self._relays[target]:
            del self._relays[target]
        self.connections -= 1
        self._from[relay.source] -= 1
        if not self._from[relay.source]:
            del self._from[relay.source]
        if why and target not in self._silent:
            self._silent[target] = why
            self._noticed(f"{self._name(target)} does not answer the gateway: {why}")

    def _answers(self, target: PortKey) -> None:
        if self._silent.pop(target, None) is not None:
            self._noticed(f"{self._name(target)} answers the gateway again")

    def _end_uncovered(self, target: PortKey) -> None:
        """Where sessions end with their grant, those that no grant covers end now."""
        if self._protected.get(target, Protection()).session is SessionEnd.END:
            self._end([each for each in self._relays.get(target, ()) if not self._is_in(target, each)])

    def _is_in(self, target: PortKey, relay: Relay) -> bool:
        return self._mirror.covers(relay.source, target, {})

    def _end(self, relays: Iterable[Relay]) -> None:
        for relay in list(relays):
            relay.cut()

    # Telling.

    def _name(self, key: PortKey) -> str:
        target = self._targets[key.machine]
        return f"{target.name} at {where(target.address, key.port)}"

    def _udp_alone(self, desired: Desired) -> dict[AccessKey, str]:
        return {
            key: f"{key} cannot be opened: {TCP_ONLY}"
            for key, end in desired.access.items()
            if end is not None and key.protocol is Protocol.UDP
        }

    def _report(self, desired: Desired, refused: Mapping[AccessKey, str], new: Iterable[PortKey]) -> Report:
        held = self._mirror.held(Purpose.OPEN)
        shown = held if desired.complete else [key for key in desired.access if key in held]
        told = self._protected if desired.complete else new
        return Report(
            scope=self.place.scope,
            generation=self._generation,
            standing={key: held[key].end for key in shown},
            shut=frozenset(key for key in desired.access if key not in held),
            protected=self.problems(),
            capabilities=CAPABILITIES,
            refused=refused,
            outranked=tuple(
                f"{self._name(key)} does not answer the gateway: {why}" for key, why in sorted(self._silent.items())
            ),
            connections=self._connections(told),
            complete=desired.complete,
        )

    def _problem(self, key: PortKey) -> str:
        if key.machine not in self._targets:
            return f"the machine is not behind the gateway {self.place.name}"
        if key.protocol is Protocol.UDP:
            # Protocol * means TCP here; UDP by itself is a policy that cannot be carried out.
            tcp = PortKey(key.machine, key.port, Protocol.TCP)
            alone = tcp not in self._protected
            return f"{TCP_ONLY}: make the rule for port {key.port} TCP or *" if alone else self._problem(tcp)
        return self.exposed.get(key, "exposed as far as is known: the first probe past the gateway is under way")

    def _connections(self, keys: Iterable[PortKey]) -> dict[str, Connection]:
        """Of each machine that is named by a key, the way to all its ports."""
        machines = {key.machine for key in keys}
        return {
            machine: Connection(self.place.address, mapped)
            for machine in machines
            if (mapped := self._mapped.of_machine(machine))
        }
