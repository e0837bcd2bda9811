"""From asking to the first accepted connection on a host elsewhere: server and agent are real processes in network
namespaces of their own, with TLS between them."""

import itertools
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.joined import Joined
from tests.netns import ALICE4, BOB4, HOST4, Namespace, Network
from tests.processes import Jitgate, until

from bench import latency
from bench.client import Connection, Target, source
from bench.door import Door
from bench.figures import Row, number, percentile
from bench.installation import SSH, rule
from bench.latency import Samples
from bench.others import Firewalld
from bench.processes import BareServer

_NAME = "web-1"
_UNTOUCHED = 2222
"""A port that firewalld's own zones do not open."""
_POLICY = "providers/Microsoft.Security/locations/global/jitNetworkAccessPolicies/bench"


class Remote:
    """A server, a host elsewhere whose agent has joined, and a client on a third machine. A context manager."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.network = Network()
        self._jitgate = Jitgate(directory / "server", {}, namespace=self.network.host, address=HOST4)
        self._host = Joined(self.network.alice, directory / "agent", _NAME)
        self._directory = directory / "server"
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self.network)
            self._lay_routes()
            self.door = _door(opened, self.network.bob, self.network.alice, ALICE4, SSH)
            opened.enter_context(self._jitgate)
            opened.enter_context(self._host)
            self._host.join(self._jitgate)
            self._host.start()
            self._protect()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def connection(self) -> Connection:
        """To the server, for asking."""
        port = {"number": SSH, "allowedSourceAddressPrefix": "@SOURCE@", "duration": "PT2H"}
        body = {"virtualMachines": [{"id": self._machine_id, "ports": [port]}], "justification": "bench"}
        token = (self._directory / "owner.token").read_text().strip()
        url = f"{self._policy}/initiate?api-version=2020-01-01"
        listens = int(self._jitgate.url.rpartition(":")[2])
        target = Target(listens, self._directory / "ca.pem", url, json.dumps(body), token, HOST4)
        return self.network.host.inside(lambda: Connection(target))

    @property
    def _policy(self) -> str:
        return f"{self._machine_id.partition('/providers/')[0]}/{_POLICY}"

    def _lay_routes(self) -> None:
        """Any address of 12.0.0.0/8 is the client's."""
        self.network.bob.ip("route add local 12.0.0.0/8 dev lo")
        self.network.host.ip(f"route add 12.0.0.0/8 via {BOB4}")

    def _protect(self) -> None:
        machine = until(lambda: self._jitgate.machine(_NAME), "the host is not listed")
        self._machine_id = str(machine["id"])
        body = {
            "kind": "Basic",
            "properties": {"virtualMachines": [{"id": self._machine_id, "ports": [rule(SSH, "TCP")]}]},
        }
        self._jitgate.call("PUT", f"{self._policy}?api-version=2020-01-01", body)
        until(lambda: not self.network.bob.can_connect(ALICE4, SSH), "the port is not shut")


def measure(directory: Path, times: int) -> Iterator[Row]:
    """Everything in turns: jitgate, what the latency part compares with, and others that are installed."""
    with ExitStack() as opened:
        remote = opened.enter_context(Remote(directory / "remote"))
        bare = opened.enter_context(BareServer(directory / "beside"))
        yield from rows(latency.in_turns(_acts(opened, remote, bare, directory), times))


def rows(samples: Samples) -> Iterator[Row]:
    """What came out."""
    for percent in (50, 99):
        first, insert, nft = (percentile(samples[each], percent) for each in ("remote", "insert", "nft"))
        against = f"INSERT over HTTP {number(insert)} ms + nft transaction {number(nft)} ms"
        what = f"request to first accepted connection on a host elsewhere, p{percent}"
        yield Row(what, f"{number(first)} ms", first / (insert + nft), against=against)
        if "firewalld" in samples:
            other = percentile(samples["firewalld"], percent)
            against = f"firewall-cmd --timeout, beside firewalld {number(other)} ms"
            yield Row(what, f"{number(first)} ms", first / other, against=against)
    if "firewalld" not in samples:
        yield _not_installed("firewall-cmd --timeout")
    if not shutil.which("fwknop"):
        yield _not_installed("fwknop")


def _acts(opened: ExitStack, remote: Remote, bare: BareServer, directory: Path) -> dict[str, Callable[[], float]]:
    sources = map(source, itertools.count())
    asking = opened.enter_context(remote.connection())

    def ask() -> float:
        chosen = next(sources)
        return remote.door.time(lambda: asking.post(chosen), chosen)

    acts = {"remote": ask, **latency.references(remote.network.host.name, bare, sources, opened)}
    if not Firewalld.missing():
        acts["firewalld"] = _firewalld(opened, directory, sources)
    return acts


def _firewalld(opened: ExitStack, directory: Path, sources: Iterator[str]) -> Callable[[], float]:
    """Asking firewalld, on a machine of its own."""
    network = opened.enter_context(Network())
    network.alice.ip("route add local 12.0.0.0/8 dev lo")
    network.host.ip(f"route add 12.0.0.0/8 via {ALICE4}")
    firewalld = opened.enter_context(Firewalld(network.host, directory / "firewalld"))
    door = _door(opened, network.alice, network.host, HOST4, _UNTOUCHED)

    def ask() -> float:
        chosen = next(sources)
        return door.time(lambda: firewalld.open(chosen, _UNTOUCHED), chosen)

    return ask


def _door(opened: ExitStack, client: Namespace, host: Namespace, address: str, port: int) -> Door:
    listening = opened.enter_context(host.make_socket(socket.AF_INET))
    listening.bind((address, port))
    listening.listen(64)
    return Door(client, listening)


def _not_installed(what: str) -> Row:
    return Row(f"the same through {what}", "not installed", None, skipped=True)
