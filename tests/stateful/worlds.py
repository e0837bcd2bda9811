"""The firewall under test, and the house that drives it: one in memory, where time is a number."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from tests.house import HOUR, MINUTE, START, House
from tests.postgresql import database, execute
from tests.stateful.model import ADDRESSES

from jitgate.clock import ManualClock
from jitgate.connectors.base import Connector, Memory, Outcome, Plan
from jitgate.core import prefixes
from jitgate.core.alteration import Stage
from jitgate.core.desired import AccessKey, Desired, PortKey
from jitgate.core.desired import Protocol as IpProtocol
from jitgate.core.machine import Machine
from jitgate.store import alterations
from jitgate.store import scopes as scope_rows
from jitgate.store.database import Tx
from jitgate.store.schema import MICROSECOND

Probe = tuple[str, int, str]
"""A machine's uuid, a port, and TCP or UDP."""


class Killed(BaseException):
    """The process died here, as by ``kill -9``."""


class World(Protocol):
    """What the state machine needs of a firewall.

    `machines`  their names
    `lengths`   how long access may be asked for, the longest first
    `pauses`    how much time may pass at once, the longest last
    `lease`     how long a reconciler that dies holds a firewall
    `back_off`  how long one failure may put off the next attempt
    `tick`      how much time passes before each request, so that they have an order
    `slack`     how far the model's times may be off
    `look_takes` how long settling and looking takes: nothing may end meanwhile
    `heals_itself`  whether it is put right after another hand's change without a sweep
    """

    house: House
    runner: asyncio.Runner
    machines: tuple[str, ...]
    can_be_made_again: bool
    lengths: tuple[timedelta, ...]
    pauses: tuple[timedelta, ...]
    tick: timedelta
    slack: timedelta
    lease: timedelta
    back_off: timedelta
    look_takes: timedelta
    protocols: tuple[str, ...]
    heals_itself: bool
    is_cheap_to_probe: bool

    def passing(self, probes: Iterable[Probe]) -> dict[Probe, set[str]]:
        """Per port the addresses from which a new packet gets through now."""
        ...

    def compare(self, probes: Iterable[Probe], wanted: Mapping[Probe, set[str]]) -> None:
        """Raise AssertionError unless new packets get through exactly as wanted."""
        ...

    def holding(self) -> set[str]:
        """The machines, by uuid, that the firewalls hold anything of."""
        ...

    def flush(self) -> None:
        """Another program takes every rule away."""
        ...

    def edit(self, chance: random.Random) -> None:
        """Another hand changes something of ours."""
        ...

    def restart(self) -> None:
        """The process that holds the firewall dies, and another takes its place."""
        ...

    def close(self) -> None: ...


class MemoryWorld:
    """Two machines in memory, by a clock that moves when it is told to."""

    machines = ("web-1", "web-2")
    can_be_made_again = True
    lengths = (3 * HOUR, HOUR, 10 * MINUTE, MINUTE)
    pauses = (timedelta(milliseconds=1), MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 25 * HOUR)
    tick = timedelta(milliseconds=1)
    slack = timedelta(milliseconds=1)
    lease = timedelta(seconds=30)
    back_off = timedelta(seconds=60)
    look_takes = timedelta(0)
    protocols = ("TCP", "UDP")
    heals_itself = False
    is_cheap_to_probe = True

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.house = self._make_house()
        self.runner.run(self.house.__aenter__())
        self._every = tuple(self.house.machines)

    def _make_house(self) -> House:
        return House(machines=self.machines)

    def passing(self, probes: Iterable[Probe]) -> dict[Probe, set[str]]:
        firewall = self.house.firewall
        return {
            (machine, port, protocol): {
                address
                for address in ADDRESSES
                if firewall.reaches(self._scope(machine), PortKey(machine, port, IpProtocol(protocol)), address)
            }
            for machine, port, protocol in probes
        }

    def compare(self, probes: Iterable[Probe], wanted: Mapping[Probe, set[str]]) -> None:
        assert self.passing(probes) == wanted

    def holding(self) -> set[str]:
        scopes = {machine.scope for machine in self._every}
        return {key.machine for scope in scopes for key in self.house.firewall.standing(scope)}

    def flush(self) -> None:
        for machine in self.house.machines:
            self.house.firewall.flush(machine.scope)

    def edit(self, chance: random.Random) -> None:
        """Shut something that is open, or open something that is shut, as with our own hands."""
        for machine in self.house.machines:
            source = prefixes.of_address(chance.choice(ADDRESSES))
            key = AccessKey(machine.uuid, 22, IpProtocol.TCP, source)
            end = self.house.clock.wall() + 2 * HOUR if chance.random() < 0.5 else None
            generation = self.runner.run(self.house.generation(machine.name))
            wanted = Desired(machine.scope, generation, self.house.clock.wall(), frozenset(), {}, {key: end})
            self.runner.run(self._apply(wanted))

    async def _apply(self, wanted: Desired) -> None:
        await self.house.firewall.apply(await self.house.firewall.plan(wanted, {}))

    def restart(self) -> None:
        """What is in memory stands by itself."""

    def close(self) -> None:
        self.house.close()
        self.runner.close()

    def _scope(self, machine: str) -> str:
        return next(one.scope for one in self.house.machines if one.uuid == machine)


class ConsentWorld(MemoryWorld):
    """The same, with rules of others in front of both machines that let everybody in, and are altered with consent."""

    def __init__(self) -> None:
        super().__init__()
        scopes = [machine.scope for machine in self._every]
        for source in ("0.0.0.0/0", "::/0"):
            self.house.firewall.add_foreign(f"everybody from {source}", 0, 65535, prefixes.canonical(source), *scopes)
        agree_to_all(self.house)


def agree_to_all(house: House, before: Callable[[], None] = lambda: None) -> None:
    """From now on a house settles with somebody who agrees to all that waits. `before`: what is done first."""
    settle = house.settle

    async def settle_and_agree() -> int:
        before()
        passes = await settle()
        while await house.store.write(_agree):
            passes += await settle()
        return passes

    house.settle = settle_and_agree  # type: ignore[method-assign]


def _agree(tx: Tx) -> bool:
    """Agree to all that waits. False: nothing does."""
    waiting = [
        (scope, kept)
        for scope in alterations.scopes_waiting(tx)
        for kept in alterations.needed_by(tx, scope)
        if kept.stage is Stage.PROPOSED
    ]
    alterations.agree(tx, [kept for _, kept in waiting], "somebody")
    scope_rows.sweep_soon(tx, [scope for scope, _ in waiting])
    return bool(waiting)


class LeaseClock(ManualClock):
    """Moves leases along, which run out by the clock of a server that cannot be moved itself."""

    def __init__(self, url: str) -> None:
        super().__init__(START)
        self._url = url

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        execute(self._url, f"UPDATE scope_state SET lease_until = lease_until - {by // MICROSECOND}")


class PostgresqlWorld(MemoryWorld):
    """The same, with the rows in PostgreSQL, where the latest moment is kept once a second."""

    slack = timedelta(seconds=1)

    def _make_house(self) -> House:
        self._database = database()
        url = self._database.__enter__()
        return House(LeaseClock(url), self.machines, url)

    def close(self) -> None:
        super().close()
        self._database.__exit__(None, None, None)


class Interrupted:
    """A connector whose calls end in an error, or in the death of the process, before or after they are carried out."""

    name = "memory"
    whole_ports = False

    def __init__(self, real: Connector, ending: BaseException, *, after: bool) -> None:
        self._real, self._ending, self._after = real, ending, after

    async def discover(self) -> Sequence[Machine]:
        return await self._real.discover()

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        return await self._real.plan(desired, memory)

    async def apply(self, plan: Plan) -> Outcome:
        if self._after:
            await self._real.apply(plan)
        raise self._ending
