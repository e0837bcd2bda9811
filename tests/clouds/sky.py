"""Clouds in memory, as administrators connect them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.house import SUBSCRIPTION, House, machine

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.errors import Invalid
from jitgate.core.machine import Machine
from jitgate.main.clouds import Clouds, Kind
from jitgate.service import connectors
from jitgate.service.connectors import ConnectorView, Draft
from jitgate.store.connectors import Connector

KIND = "memory"


class Cloud(MemoryConnector):
    """A cloud account whose machines, missing permissions and outages are ordered by the test."""

    missing: Sequence[str] = ()
    outage = ""
    closed = False
    looks = 0

    async def discover(self) -> Sequence[Machine]:
        self.looks += 1
        if self.outage:
            raise ConnectorError(self.outage)
        return tuple(self.machines)

    async def missing_permissions(self) -> Sequence[str]:
        if self.outage:
            raise ConnectorError(self.outage)
        return self.missing

    async def close(self) -> None:
        self.closed = True


class Sky:
    """A house with a process that looks after its clouds, and what it made of their rows."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.service = replace(house.service, connector_kinds={KIND: check})
        self.made: list[Cloud] = []
        self.machines = [machine("vm-1", connector="prod"), machine("vm-2", connector="prod")]
        self.clouds = self.process("first")

    def process(self, owner: str) -> Clouds:
        """One more process of the same house."""
        kinds = {KIND: Kind(check, self._make)}
        return Clouds(self.house.service, kinds, self.house.connectors, owner)

    async def close(self) -> None:
        await self.clouds.close()

    @property
    def cloud(self) -> Cloud:
        """The connector that is at work."""
        return self.made[-1]

    async def add(self, name: str = "prod", **settings: Any) -> ConnectorView:
        draft = Draft(name, KIND, SUBSCRIPTION, "jitgate", settings)
        return await connectors.put_connector(self.house.service, self.house.alice, draft)

    async def view(self, name: str = "prod") -> ConnectorView:
        return await connectors.get_connector(self.house.service, self.house.alice, name)

    async def look(self, clouds: Clouds | None = None) -> None:
        """One look of a process, with all that it begins; machines are listed again whenever asked."""
        chosen = clouds or self.clouds
        for begun in chosen._begun.values():
            begun.due = 0.0
        await chosen.look()
        tasks = [task for begun in chosen._begun.values() for task in (begun.looking, begun.testing) if task]
        await asyncio.gather(*tasks)
        await self.house.settle()

    def _make(self, row: Connector) -> Cloud:
        if row.settings.get("broken"):
            raise ConnectorError("the package for it is not installed")
        made = Cloud(self.house.clock, self.machines, row.name)
        self.made.append(made)
        return made


def check(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of the clouds in memory."""
    for name in settings:
        if name not in {"broken", "colour", "subscriptions"}:
            raise Invalid(f"settings.{name}", "there is no such setting", allowed="broken, colour")
    return settings
