"""Two machines in a fake Azure: one behind the group of its interface and that of its subnet, one behind the latter."""

import asyncio
import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from unittest.mock import patch

from tests.connectors.azure.scene import START, AzureHouse, allow
from tests.house import HOUR, MINUTE
from tests.stateful.model import ADDRESSES
from tests.stateful.worlds import Probe

from jitgate.clock import ManualClock
from jitgate.connectors.azure import connector, names
from jitgate.core.machine import Machine
from jitgate.service import machines
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.server import serve


class FoundHouse(AzureHouse):
    """Once its machines are found, they are as the state machine says."""

    every: Sequence[Machine] = ()

    async def discover(self) -> None:
        if not self.every:
            await super().discover()
            self.every = tuple(self.machines)
            return
        await machines.take_over(self.service, self.machines, self.connector_name)


class AzureWorld:
    """Groups, by a clock that moves when it is told to. What packets meet is worked out from the fake's rules."""

    machines = ("web-1", "web-2")
    can_be_made_again = False
    lengths = (3 * HOUR, HOUR, 10 * MINUTE, MINUTE)
    pauses = (timedelta(milliseconds=1), MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 25 * HOUR)
    tick = timedelta(milliseconds=1)
    slack = timedelta(milliseconds=1)
    lease = timedelta(seconds=30)
    back_off = timedelta(seconds=60)
    look_takes = timedelta(0)
    protocols = ("TCP", "UDP")
    heals_itself = False
    house_kind = FoundHouse
    is_cheap_to_probe = False  # A group keeps what it holds until somebody comes: no promise before that.

    def __init__(self) -> None:
        with contextlib.ExitStack() as opened:
            for each in self._begin():
                opened.enter_context(each)
            self.runner = opened.enter_context(asyncio.Runner())
            clock = ManualClock(START)
            arm = Arm(clock)
            url = opened.enter_context(serve(arm))
            self.house = self.house_kind(arm, url, clock, connector="memory")
            opened.callback(self.house.close)
            self._build()
            self.runner.run(self.house.__aenter__())
            self._opened = opened.pop_all()

    def _begin(self) -> Iterator[contextlib.AbstractContextManager[object]]:
        """What is otherwise for as long as this is there: what was listed counts for some seconds; here time stands."""
        yield patch.object(connector, "SWEEP_SECONDS", 0)

    def passing(self, probes: Iterable[Probe]) -> dict[Probe, set[str]]:
        return {probe: {address for address in ADDRESSES if self._passes(probe, address)} for probe in probes}

    def compare(self, probes: Iterable[Probe], wanted: Mapping[Probe, set[str]]) -> None:
        assert self.passing(probes) == wanted

    def holding(self) -> set[str]:
        tags = {names.machine_tag_of(name) for nsg in self._groups for name in self.house.ours(nsg)}
        return {machine.uuid for machine in self.house.every if names.tag(machine.uuid) in tags}

    def flush(self) -> None:
        """A template with inline rules is applied again."""
        for nsg in self._groups:
            for name in self.house.ours(nsg):
                self.house.scene.remove_rule(nsg, name)

    def edit(self, chance: random.Random) -> None:
        """Somebody changes a rule of ours in the portal."""
        held = [(nsg, name) for nsg in self._groups for name in self.house.ours(nsg)]
        if held:
            nsg, name = chance.choice(held)
            change: dict[str, object] = chance.choice(
                [{"sourceAddressPrefix": "*", "sourceAddressPrefixes": []}, {"access": "Allow"}]
            )
            properties = {**self.house.scene.rules(nsg)[name], **change}
            self.house.scene.add_rule(nsg, {"name": name, "properties": properties})

    def restart(self) -> None:
        """A process begins, which knows nothing yet."""
        self.runner.run(self.house.cloud.close())
        self.house.connectors["memory"] = self.house.cloud = self.house.make_cloud()

    def close(self) -> None:
        self.runner.run(self.house.cloud.close())
        self._opened.close()

    def _build(self) -> None:
        scene = self.house.scene
        everybody = allow("everybody", 3000, "*", protocol="*")
        outer, inner = scene.nsg("outer", everybody), scene.nsg("inner", everybody)
        vnet = scene.vnet("net", "10.0.0.0/16", "fd00::/48")
        subnet = scene.subnet(vnet, "default", "10.0.0.0/24", "fd00::/64", nsg=outer)
        scene.vm("web-1", scene.nic("nic-1", subnet, "10.0.0.4", "fd00::4", nsg=inner))
        scene.vm("web-2", scene.nic("nic-2", subnet, "10.0.0.5", "fd00::5"))
        self._groups = [outer, inner]
        self._ways = {"web-1": ([outer, inner], "10.0.0.4", "fd00::4"), "web-2": ([outer], "10.0.0.5", "fd00::5")}

    def _passes(self, probe: Probe, source: str) -> bool:
        uuid, port, protocol = probe
        name = next(machine.name for machine in self.house.every if machine.uuid == uuid)
        groups, four, six = self._ways[name]
        address = six if ":" in source else four
        return all(self.house.passes(nsg, address, source, port, protocol) for nsg in groups)
