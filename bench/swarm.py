"""Servers, and thousands of simulated agents that hold their polls."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Self

from tests.netns import Namespace
from tests.processes import Jitgate, share_keys

from bench import members
from bench.client import Connection, Target
from bench.installation import SSH, rule
from bench.members import GROUP, Member
from bench.processes import resident
from jitgate.clock import SystemClock
from jitgate.core import resource_id

_PROCESSES = 2
_AT_ONCE = 500
"""Grants that one request may ask for."""
_QUIET_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Took:
    """One state that an agent has taken over. `at`: on the clock that counts from boot, which all processes share."""

    number: int
    at: float
    protected: int
    opened: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A change that agents have taken over. `seconds`: after how many each had it; `server`, `agents`: the seconds of
    processor time that all servers, and all simulated agents together, took until the last one had it."""

    seconds: Sequence[float]
    server: float
    agents: float


class Swarm:
    """A context manager. `alone`: the memory of the first server without any agent, in bytes."""

    def __init__(self, directory: Path, count: int, database: str = "", replicas: int = 1) -> None:
        """`database`: a URL; "": a file. `replicas`: servers on it, each with its share of the agents."""
        self.count = count
        self._directory = directory
        self._url = database or f"sqlite:///{directory / 'jitgate.db'}"
        places = [directory, *(directory.with_name(f"{directory.name}-{at}") for at in range(1, replicas))]
        # The agents beside the servers have firewalls that are not this machine's.
        self._beside = [Namespace(f"swarm{at}") for at in range(replicas)]
        self._servers = [
            Jitgate(place, {f"beside-{at}": beside.name}, {"JITGATE_DATABASE": database})
            for at, (place, beside) in enumerate(zip(places, self._beside, strict=True))
        ]
        self._took: list[Took] = []
        self._playing: list[int] = []
        self._opened = ExitStack()
        self._clock = SystemClock()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for beside in self._beside:
                opened.enter_context(beside)
            first, *others = self._servers
            first.start()
            opened.callback(first.__exit__, None, None, None)
            self.alone = self.resident()
            first.__exit__(None, None, None)
            self._subscription = members.fill(self._url, self.count)
            first.start()
            share_keys(first, *others)
            for each in others:
                opened.enter_context(each)
            self._start_agents(opened)
            self._wait_until(lambda: len({took.number for took in self._took}) == self.count, "all agents to connect")
            self._wait_until_quiet()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    # --- what the servers cost ------------------------------------------------------------------------

    def resident(self) -> int:
        """Bytes of memory that the first server has."""
        return resident(self._servers[0].pid("server"))

    def load(self, seconds: float) -> float:
        """Cores that the servers use together, user and system, while nobody asks for anything."""
        before, began = self._busy(), time.monotonic()
        time.sleep(seconds)
        return (self._busy() - before) / (time.monotonic() - began)

    # --- changes --------------------------------------------------------------------------------------

    def protect(self, count: int) -> Reached:
        """Put so many hosts under one policy: after how many seconds each has it."""
        machines = [{"id": self._id(number), "ports": [rule(SSH, "TCP")]} for number in range(count)]
        target = self._target("PUT", "", {"kind": "Basic", "properties": {"virtualMachines": machines}})
        return self._reached([target], count, lambda took: took.protected > 0)

    def open(self, count: int) -> Reached:
        """Ask for a grant on each of so many hosts at once: after how many seconds each has it."""
        port = {"number": SSH, "allowedSourceAddressPrefix": "12.0.0.1", "duration": "PT2H"}
        wanted = [{"id": self._id(number), "ports": [port]} for number in range(count)]
        batches = [wanted[first : first + _AT_ONCE] for first in range(0, count, _AT_ONCE)]
        bodies = [{"virtualMachines": batch, "justification": "bench"} for batch in batches]
        targets = [self._target("POST", "/initiate", body) for body in bodies]
        return self._reached(targets, count, lambda took: took.opened > 0)

    def _reached(self, targets: Sequence[Target], count: int, is_it: Callable[[Took], bool]) -> Reached:
        already = len(self._took)
        server, agents = self._busy(), sum(map(self._used, self._playing))
        with ExitStack() as opened:
            connections = [opened.enter_context(Connection(target)) for target in targets]
            began = self._clock.elapsed()
            asking = [threading.Thread(target=each.post, args=("",)) for each in connections]
            for each in asking:
                each.start()
            found: dict[int, float] = {}

            def have_all() -> bool:
                for took in self._took[already:]:
                    if is_it(took):
                        found.setdefault(took.number, took.at - began)
                return len(found) == count

            self._wait_until(have_all, f"{count} agents to have a change")
            server, agents = self._busy() - server, sum(map(self._used, self._playing)) - agents
            for each in asking:
                each.join()
        self._wait_until_quiet()
        return Reached(list(found.values()), server, agents)

    def _target(self, method: str, action: str, body: object) -> Target:
        place = f"/subscriptions/{self._subscription}/resourceGroups/{GROUP}"
        path = f"{place}/providers/Microsoft.Security/locations/global/jitNetworkAccessPolicies/bench{action}"
        token = (self._directory / "owner.token").read_text().strip()
        port = int(self._servers[0].url.rpartition(":")[2])
        ca, path = self._directory / "ca.pem", f"{path}?api-version=2020-01-01"
        return Target(port, ca, path, json.dumps(body), token, method=method)

    def _id(self, number: int) -> str:
        return resource_id.machine_id(self._subscription, GROUP, Member(number).name)

    # --- below ----------------------------------------------------------------------------------------

    def _busy(self) -> float:
        """Seconds of processor time that the servers have taken."""
        return sum(self._used(each.pid("server")) for each in self._servers)

    def _used(self, pid: int) -> float:
        """Seconds of processor time (proc_pid_stat(5))."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _start_agents(self, opened: ExitStack) -> None:
        share = -(-self.count // _PROCESSES)
        for first, server in zip(range(0, self.count, share), cycle(self._servers), strict=False):
            command = [sys.executable, "-m", "bench.agents", str(server.directory), str(first)]
            command.append(str(min(share, self.count - first)))
            with (self._directory / "agents.log").open("ab") as log:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            self._playing.append(process.pid)
            opened.callback(process.wait)
            opened.callback(process.kill)
            threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            number, at, protected, opened = line.split()
            self._took.append(Took(int(number), float(at), int(protected), int(opened)))

    def _wait_until_quiet(self) -> None:
        """Return when the servers have nothing left to do but to hold polls."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            heard, used = len(self._took), self._busy()
            time.sleep(_QUIET_SECONDS)
            is_busy = self._busy() - used > _QUIET_SECONDS * 0.7
            if len(self._took) == heard or not is_busy or time.monotonic() > give_up:
                return

    def _wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not is_so():
            if time.monotonic() > give_up:
                raise TimeoutError(f"waited {_PATIENCE_SECONDS:g} s for {what}: {self._log()}")
            time.sleep(0.1)

    def _log(self) -> str:
        return (self._directory / "agents.log").read_text()[-200:]
