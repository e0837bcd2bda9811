"""A whole jitgate as it is served, on a firewall of its own, with a client that connects."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import NullPool, create_engine, text
from tests.netns import ALICE4, HOST4, Namespace, Network
from tests.processes import Jitgate, share_keys, until

from bench import grants
from bench.client import Connection, Target
from bench.door import Door
from bench.grants import Wanted
from bench.processes import resident
from jitgate.core.desired import Protocol
from jitgate.core.machine import Machine
from jitgate.core.prefixes import of_address

SSH = 22
TRAFFIC = 9000
"""A UDP port, for counting packets."""
TALKERS = (ALICE4, *(f"10.90.0.{number}" for number in range(1, 10)))
"""The sources whose packets to that port pass, by one grant each."""

_MACHINE = "web-1"
_POLICY = "providers/Microsoft.Security/locations/global/jitNetworkAccessPolicies/bench"
_SECONDS = 60.0
_LOOK_EVERY = 0.02

_SETTLED = "SELECT NOT EXISTS (SELECT 1 FROM grants WHERE changed)"
_VERIFIED = "SELECT max(reported_at) > :since AND min(sweep_at) IS NOT NULL FROM scope_state"
_SHUT = "SELECT count(*) <= :first FROM grants WHERE state <> 'closed'"
_TOLD_LATE = "SELECT closed_at - end_at FROM grants WHERE state = 'closed'"
_VERIFIED_AT = "SELECT coalesce(max(reported_at), 0) FROM scope_state"


class Installation:
    """`live`: how many grants stand when it has been entered. `database`: where the records are; "": in a file."""

    def __init__(self, directory: Path, live: int = len(TALKERS), database: str = "") -> None:
        self.live = live
        self.network = Network()
        self.jitgate = Jitgate(directory, {_MACHINE: self.network.host.name}, {"JITGATE_DATABASE": database})
        self._url = database or f"sqlite:///{directory / 'jitgate.db'}"
        self._database = create_engine(self._url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
        self._directory = directory
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            opened.enter_context(self.network)
            self._lay_routes()
            listening = opened.enter_context(self.network.host.make_socket(socket.AF_INET))
            listening.bind((HOST4, SSH))
            listening.listen(64)
            self._door = Door(self.network.alice, listening)
            opened.enter_context(self.jitgate)
            self._protect()
            self._fill()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    # --- asking ---------------------------------------------------------------------------------------

    @property
    def initiate(self) -> Target:
        """The contract's way: answered when it is granted."""
        port = {"number": SSH, "allowedSourceAddressPrefix": "@SOURCE@", "duration": "PT2H"}
        body = {"virtualMachines": [{"id": self._machine_id, "ports": [port]}], "justification": "bench"}
        return self._target(f"{self._policy}/initiate?api-version=2020-01-01", body)

    @property
    def ask(self) -> Target:
        """Our own way: answered when it is open."""
        port = {"number": SSH, "sources": ["@SOURCE@"], "duration": "PT2H"}
        body = {"machines": [{"id": self._machine_id, "ports": [port]}], "justification": "bench"}
        return self._target("/api/v1/requests?wait=20", body)

    def open_and_connect(self, connection: Connection, source: str) -> float:
        """Seconds from asking to the first accepted connection. Raises TimeoutError."""
        return self._door.time(lambda: connection.post(source), source)

    @property
    def ask_for_traffic(self) -> Target:
        """Our own way, the port for packets, until ``@END@``: answered when it is open."""
        port = {"number": TRAFFIC, "protocol": "UDP", "sources": ["@SOURCE@"], "endTimeUtc": "@END@"}
        body = {"machines": [{"id": self._machine_id, "ports": [port]}], "justification": "bench"}
        return self._target("/api/v1/requests?wait=20", body)

    def fill_until(self, ends: Mapping[str, float]) -> None:
        """Have the port for packets open for each source until then (seconds since 1970)."""

        def make(machine: Machine, policy: str) -> Iterator[Wanted]:
            for address, end in ends.items():
                at = datetime.fromtimestamp(end, UTC)
                yield Wanted(machine, policy, of_address(address), TRAFFIC, Protocol.UDP, at)

        self._fill_with(make)

    # --- looking --------------------------------------------------------------------------------------

    def joined(self, opened: contextlib.ExitStack) -> Target:
        """As `initiate`, asked of another replica, which is started and has no firewall beside it."""
        directory = self._directory.with_name(f"{self._directory.name}-joined")
        own = opened.enter_context(Namespace("joined"))
        other = Jitgate(directory, {"beside": own.name}, {"JITGATE_DATABASE": self._url})
        share_keys(self.jitgate, other)
        opened.enter_context(other)
        return replace(self.initiate, port=int(other.url.rpartition(":")[2]))

    def wait_until_settled(self) -> None:
        """Return when no grant waits for the firewall."""
        self._wait_until(_SETTLED)

    def verified_at(self) -> int:
        """When the firewall was last found to hold everything; microseconds since 1970."""
        return int(self._one(_VERIFIED_AT))

    def wait_until_verified(self, since: int) -> None:
        """Return when the firewall has been found to hold everything, later than `since`."""
        self._wait_until(_VERIFIED, since=since)

    def wait_until_shut(self) -> None:
        """Return when no grant but the first ones is left that is not on record as shut."""
        self._wait_until(_SHUT, first=len(TALKERS))

    def told_late(self) -> Sequence[float]:
        """Milliseconds from the end of each grant that has ended to when it was found shut."""
        with self._database.connect() as connection:
            return [late / 1000 for late in connection.execute(text(_TOLD_LATE)).scalars()]

    def standing(self) -> int:
        """How many elements the kernel holds for single IPv4 addresses."""
        return grants.count_elements(self.network.host.name)

    def resident(self, process: str) -> float:
        """Megabytes of memory that one of the processes has."""
        return resident(self.jitgate.pid(process)) / 2**20

    # --- making it ------------------------------------------------------------------------------------

    def _lay_routes(self) -> None:
        """Any address of 12.0.0.0/8 and 10.90.0.0/24 is the client's."""
        for prefix in ("12.0.0.0/8", "10.90.0.0/24"):
            self.network.alice.ip(f"route add local {prefix} dev lo")
            self.network.host.ip(f"route add {prefix} via {ALICE4}")

    def _protect(self) -> None:
        machine = until(lambda: self.jitgate.machine(_MACHINE), "the machine is not listed")
        self._machine_id = str(machine["id"])
        ports = [rule(SSH, "TCP"), rule(TRAFFIC, "UDP")]
        body = {"kind": "Basic", "properties": {"virtualMachines": [{"id": self._machine_id, "ports": ports}]}}
        self.jitgate.call("PUT", f"{self._policy}?api-version=2020-01-01", body)

    def _fill(self) -> None:
        """The live grants: UDP for the talkers, SSH for all the others."""

        def make(machine: Machine, policy: str) -> Iterator[Wanted]:
            for address in TALKERS:
                yield Wanted(machine, policy, of_address(address), TRAFFIC, Protocol.UDP)
            for at in range(self.live - len(TALKERS)):
                yield Wanted(machine, policy, grants.other(at), SSH)

        self._fill_with(make)

    def _fill_with(self, make: Callable[[Machine, str], Iterable[Wanted]]) -> None:
        """Put grants into the database while nobody works on it, as if they had been asked for and opened."""
        self.jitgate.__exit__(None, None, None)
        grants.fill(self._url, make)
        before = self.verified_at()
        self.jitgate.start()
        self.wait_until_verified(before)

    @property
    def _policy(self) -> str:
        return f"{self._machine_id.partition('/providers/')[0]}/{_POLICY}"

    def _target(self, path: str, body: object) -> Target:
        url = json.loads((self._directory / "server.json").read_text())["url"]
        token = (self._directory / "owner.token").read_text().strip()
        return Target(int(url.rpartition(":")[2]), self._directory / "ca.pem", path, json.dumps(body), token)

    def _wait_until(self, question: str, **parameters: int) -> None:
        give_up = time.monotonic() + _SECONDS
        while not self._one(question, **parameters):
            if time.monotonic() > give_up:
                raise TimeoutError(f"not so within {_SECONDS:g} s: {question}")
            time.sleep(_LOOK_EVERY)

    def _one(self, question: str, **parameters: int) -> Any:
        with self._database.connect() as connection:
            return connection.execute(text(question), parameters).scalar_one()


def rule(number: int, protocol: str) -> dict[str, object]:
    """A port of a policy: any source, three hours."""
    return {
        "number": number,
        "protocol": protocol,
        "allowedSourceAddressPrefix": "*",
        "maxRequestAccessDuration": "PT3H",
    }
