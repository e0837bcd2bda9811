"""The three methods."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from jitgate.clock import Clock
from jitgate.connectors.base import Capabilities, ConnectorError, Done, Memory, Outcome, Plan, Report
from jitgate.connectors.steps import steps
from jitgate.core.desired import AccessKey, Desired, Protocol
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import machine_id
from jitgate_files import rules
from jitgate_files.rules import Hole, Rules

# The file says who may come in. It ends no session that has begun, and shuts nothing unless somebody writes it.
CAPABILITIES = Capabilities(ends_sessions=False, own_deadline=False)


class FilesConnector:
    """The machines are the files `NAME.rules` of a directory."""

    whole_ports = False  # A part can be changed without all that is open of its port.

    def __init__(self, name: str, directory: Path, place: tuple[str, str], clock: Clock) -> None:
        self.name = name
        self._directory, self._place, self._clock = directory, place, clock

    async def discover(self) -> Sequence[Machine]:
        """Changes nothing. The uuid is the same each time, and the scope is the file."""
        try:
            return [self._machine(file) for file in sorted(self._directory.glob("*.rules"))]
        except OSError as error:
            raise ConnectorError(f"{self._directory} cannot be listed: {error.strerror}") from error

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        """Here the desired state says it all. A connector that has to look first does so here."""
        return Plan(desired, steps(desired), memory=memory)

    async def apply(self, plan: Plan) -> Outcome:
        """Read, work out what must stand, write if it differs, and report what was read back."""
        name = plan.scope.rpartition("/")[2]
        file = self._directory / f"{name}.rules"
        try:
            before = rules.read(file)
            wanted = _wanted(before, plan.desired)
            if wanted != before:
                rules.write(file, wanted)
            report = _report(rules.read(file), before, plan, self._uuid(name))
        except OSError as error:
            raise ConnectorError(f"{file} cannot be changed: {error.strerror}") from error
        return Done(report, {"denied": len(wanted.denied)})

    async def missing_permissions(self) -> Sequence[str]:
        """What an administrator has to grant before it works."""
        return [] if self._directory.is_dir() else [f"read and write {self._directory}"]

    async def close(self) -> None:
        """There is no connection to let go of."""

    def _machine(self, file: Path) -> Machine:
        return Machine(
            uuid=self._uuid(file.stem),
            id=machine_id(*self._place, file.stem),
            name=file.stem,
            os=OperatingSystem.LINUX,
            connector=self.name,
            provider="files",
            scope=f"{self.name}/{file.stem}",
        )

    def _uuid(self, name: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"{self._place[0]}/{self.name}/{name}"))


def _wanted(now: Rules, desired: Desired) -> Rules:
    """What must stand: of a whole value all that it says, of a part what it speaks of, and the rest as it is."""
    opened = frozenset(_hole(key, end) for key, end in desired.access.items() if end is not None and end > desired.at)
    if desired.complete:
        denied = frozenset((port.protocol.lower(), port.port) for port in desired.protected)
        return replace(now, holes=opened, denied=denied)
    asked = {_key(key) for key in desired.access}
    return replace(now, holes=opened | {hole for hole in now.holes if hole.key not in asked})


def _report(now: Rules, before: Rules, plan: Plan, uuid: str) -> Report:
    """Worked out from what was read back, never from what was asked for."""
    desired = plan.desired
    ends = {hole.key: hole.end for hole in now.holes}
    keys = {AccessKey(uuid, hole.port, Protocol(hole.protocol.upper()), hole.source) for hole in now.holes}
    asked = keys if desired.complete else keys & desired.access.keys()
    return Report(
        scope=desired.scope,
        generation=desired.generation,
        standing={key: ends[_key(key)] for key in asked},
        shut=frozenset(desired.access.keys() - keys),
        protected={port: "" for port in desired.protected if (port.protocol.lower(), port.port) in now.denied},
        capabilities=CAPABILITIES,
        repaired=["all of jitgate's rules had been removed"] if plan.memory.get("denied") and not before.denied else [],
        complete=desired.complete,
    )


def _hole(key: AccessKey, end: datetime) -> Hole:
    return Hole(*_key(key), end)


def _key(key: AccessKey) -> tuple[str, int, Prefix]:
    return key.protocol.lower(), key.port, key.prefix
