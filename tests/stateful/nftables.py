"""The firewall under test: the kernel's, in a network namespace, met by real packets in real time."""

import asyncio
import contextlib
import json
import random
import select
import socket
import struct
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from tests.house import HOUR, House
from tests.netns import HOST4, HOST6, Network
from tests.stalls import Stalls
from tests.stateful.model import ADDRESSES
from tests.stateful.worlds import Probe

from jitgate.clock import Clock, SystemClock
from jitgate.connectors.base import Done, Memory, Outcome, Plan
from jitgate.connectors.hosts.enforcer import Enforcer
from jitgate.connectors.hosts.nft import Nft
from jitgate.core.desired import Desired
from jitgate.core.machine import Machine

PORTS = (22, 53)
_SLICES = 8
_ANSWERS_WITHIN, _AT_THE_LATEST = 0.08, 0.5
"""Seconds until a port without an answer counts as shut: at first sight, and when that is not what was expected."""


class SteppedClock:
    """The machine's clocks, with a wall clock that was set to another time."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._offset = timedelta(0)

    def wall(self) -> datetime:
        return self._real.wall() + self._offset

    def elapsed(self) -> float:
        return self._real.elapsed()

    def advance(self, by: timedelta) -> None:
        time.sleep(max(0.0, by.total_seconds()))

    def step(self, by: timedelta) -> None:
        self._offset += by


class EnforcerConnector:
    """An enforcer as a connector, without a process between. `enforcer` is whichever serves now."""

    name = "memory"
    whole_ports = False

    def __init__(self, enforcer: Enforcer, clock: Clock) -> None:
        self.enforcer = enforcer
        self._clock = clock

    async def discover(self) -> Sequence[Machine]:
        return ()

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        return self.enforcer.plan(desired)

    async def apply(self, plan: Plan) -> Outcome:
        return Done(await asyncio.to_thread(self.enforcer.sync, plan.desired, self._clock.elapsed()))


class NftWorld:
    """One host in a network namespace, with clients in two more."""

    kernel_knows_owners = True

    machines = ("web-1",)
    can_be_made_again = False
    lengths = (3 * HOUR, HOUR, timedelta(seconds=1.5), timedelta(seconds=0.7))
    pauses = (timedelta(milliseconds=1), timedelta(seconds=0.2), timedelta(seconds=1))
    tick = timedelta(0)
    lease = timedelta(seconds=0.3)
    back_off = timedelta(seconds=0.5)
    look_takes = timedelta(seconds=0.6)
    protocols = ("TCP", "UDP")
    heals_itself = True
    is_cheap_to_probe = False

    def __init__(self) -> None:
        with contextlib.ExitStack() as opened:
            if not self.kernel_knows_owners:
                opened.enter_context(patch.object(Nft, "claim", lambda *_: False))
            self._stalls = opened.enter_context(Stalls())
            self.runner = opened.enter_context(asyncio.Runner())
            self.house = House(SteppedClock(), self.machines)
            opened.callback(self.house.close)
            self.network = opened.enter_context(Network())
            for port in PORTS:
                opened.enter_context(self.network.host.listen(port))
                opened.enter_context(self.network.host.listen(port, udp=True))
            self._machine = self.house.machines[0]
            self._state = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="jg-enforcer-")))
            self._connector = EnforcerConnector(self._start(), self.house.clock)
            opened.callback(lambda: self._connector.enforcer.close())
            self.house.connectors["memory"] = self._connector
            self.runner.run(self.house.__aenter__())
            self._meet()
            self._opened = opened.pop_all()

    @property
    def slack(self) -> timedelta:
        """A request takes its time, and longer where the machine stands still."""
        return timedelta(seconds=1 + self._stalls.seconds)

    def passing(self, probes: Iterable[Probe], patience: float = _ANSWERS_WITHIN) -> dict[Probe, set[str]]:
        """All at once: what is shut is known only when nothing has come for a while."""
        found: dict[Probe, set[str]] = {probe: set() for probe in probes}
        with contextlib.ExitStack() as opened:
            waiting: dict[int, tuple[socket.socket, Probe, str]] = {}
            for probe in found:
                for address in ADDRESSES:
                    sent = opened.enter_context(self._send(probe, address))
                    waiting[sent.fileno()] = sent, probe, address
            self._gather(waiting, found, patience)
        return found

    def compare(self, probes: Iterable[Probe], wanted: Mapping[Probe, set[str]]) -> None:
        listed = list(probes)
        if self.passing(listed) != wanted:
            # A busy machine may have been slow to answer, or to put right what another hand did.
            assert self.passing(listed, _AT_THE_LATEST) == wanted

    def holding(self) -> set[str]:
        """What cuts old sessions may stay; nothing that protects or opens."""
        listed = json.loads(self.network.host.run("nft", "-j", "list", "ruleset"))["nftables"]
        sets = [entry["set"] for entry in listed if "set" in entry]
        held = [one for one in sets if one["name"].startswith(("ports", "open")) and one.get("elem")]
        return {self._machine.uuid} if held else set()

    def flush(self) -> None:
        self.network.host.nft("flush ruleset")

    def edit(self, chance: random.Random) -> None:
        """The kernel refuses it where our table has an owner; else it is put right."""
        with contextlib.suppress(AssertionError):
            self.network.host.nft(chance.choice(["delete table inet jitgate", "flush table inet jitgate"]))

    def restart(self) -> None:
        self._connector.enforcer.close()
        self._connector.enforcer = self._start()

    def close(self) -> None:
        self._opened.close()

    def _meet(self) -> None:
        """Let the neighbours get to know each other, which may take a second, while nothing is protected yet."""
        probe = (self._machine.uuid, PORTS[0], "TCP")
        while self.passing([probe], _AT_THE_LATEST)[probe] != set(ADDRESSES):
            time.sleep(_ANSWERS_WITHIN)

    def _start(self) -> Enforcer:
        uuid, scope = self._machine.uuid, self._machine.scope
        made = Enforcer(scope, uuid, self.network.host.name, self._state, self.house.clock)
        made.start()
        return made

    def _send(self, probe: Probe, address: str) -> socket.socket:
        """A connection attempt or a datagram on its way."""
        _, port, protocol = probe
        six = ":" in address
        client = self.network.bob if address in ("10.71.2.2", "fd71:2::2") else self.network.alice
        family = socket.AF_INET6 if six else socket.AF_INET
        made = client.make_socket(family, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((address, 0))
        if protocol == "TCP":
            # Ended with a reset, so that nothing of it stays established.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            made.connect_ex((HOST6 if six else HOST4, port))
        else:
            made.connect((HOST6 if six else HOST4, port))
            made.send(b"ping")
        return made

    def _gather(
        self, waiting: dict[int, tuple[socket.socket, Probe, str]], found: dict[Probe, set[str]], patience: float
    ) -> None:
        poll = select.poll()
        for number, (_, probe, _) in waiting.items():
            poll.register(number, select.POLLOUT if probe[2] == "TCP" else select.POLLIN)
        # In slices: who answers is a thread of this process; a machine that stands still takes one from it, not all.
        until = time.monotonic() + patience
        quiet = 0
        while waiting and (quiet < _SLICES or time.monotonic() < until):
            found_now = poll.poll(1000 * patience / _SLICES)
            quiet += not found_now
            for number, _ in found_now:
                poll.unregister(number)
                sent, probe, address = waiting.pop(number)
                if sent.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found[probe].add(address)


class OldKernelWorld(NftWorld):
    """The same on a kernel where any other program can take our table away, and the watch puts it back."""

    kernel_knows_owners = False
