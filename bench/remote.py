"""From asking to the first accepted connection on a host elsewhere: server and agent are real processes in network
namespaces of their own, with TLS between them."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from tests.joined import Joined
from tests.netns import ALICE4, BOB4, HOST4, Network
from tests.processes import Jitgate, until

from bench import latency
from bench.beside import BRIEFLY, Beside
from bench.client import Connection, Target, source
from bench.door import open_door
from bench.figures import Row, number, percentile
from bench.installation import SSH, rule
from bench.latency import Samples
from bench.others import OTHERS
from bench.processes import BareServer

_NAME = "web-1"
_CLOSINGS = 5
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
            self.door = open_door(opened, self.network.bob, self.network.alice, ALICE4, SSH)
            opened.enter_context(self._jitgate)
            opened.enter_context(self._host)
            self._host.join(self._jitgate)
            self._host.start()
            self._protect()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def connection(self, duration: str) -> Connection:
        """To the server, for asking for so long."""
        port = {"number": SSH, "allowedSourceAddressPrefix": "@SOURCE@", "duration": duration}
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
        sources = map(source, itertools.count())
        others = {each.ASKED: Beside(opened, each, directory) for each in OTHERS if not each.missing()}
        # Before many ports are open: fwknop has been seen not to shut one at all beside fifty others.
        yield _closing(remote, others, sources)
        yield from rows(latency.in_turns(_acts(opened, remote, bare, others, sources), times))


def rows(samples: Samples) -> Iterator[Row]:
    """What came out."""
    for percent in (50, 99):
        first = percentile(samples["remote"], percent)
        least, against = latency.reference(samples, percent)
        what = f"request to first accepted connection on a host elsewhere, p{percent}"
        yield Row(what, f"{number(first)} ms", first / least, against=against)
        for each in OTHERS:
            if each.ASKED in samples:
                other = percentile(samples[each.ASKED], percent)
                yield Row(what, f"{number(first)} ms", first / other, against=f"{each.ASKED} {number(other)} ms")
    for each in OTHERS:
        if each.ASKED not in samples:
            yield Row(f"the same through {each.ASKED}", "not installed", None, against=each.missing(), skipped=True)


def _acts(
    opened: ExitStack, remote: Remote, bare: BareServer, others: Mapping[str, "Beside"], sources: Iterator[str]
) -> dict[str, Callable[[], float]]:
    asking = opened.enter_context(remote.connection("PT2H"))

    def ask() -> float:
        chosen = next(sources)
        return remote.door.time(lambda: asking.post(chosen), chosen)

    acts = {"remote": ask, **latency.references(remote.network.host.name, bare, sources, opened)}
    return acts | {name: partial(other.time, sources) for name, other in others.items()}


def _closing(remote: Remote, others: Mapping[str, "Beside"], sources: Iterator[str]) -> Row:
    """How late a port shuts that was opened for a few seconds."""

    def late() -> float:
        chosen = next(sources)
        with remote.connection(f"PT{BRIEFLY}S") as asking:
            return remote.door.lateness(lambda: asking.post(chosen), chosen, BRIEFLY)

    beside = {name: partial(other.lateness, sources) for name, other in others.items()}
    acts: dict[str, Callable[[], float]] = {"remote": late, **beside}
    worst = {name: max(samples) for name, samples in latency.in_turns(acts, _CLOSINGS).items()}
    ours = worst.pop("remote")
    against = ", ".join(f"{name} {number(late)} ms" for name, late in worst.items())
    what = f"last connection after a port's time on a host elsewhere, worst of {_CLOSINGS}"
    return Row(what, f"{number(ours)} ms", ours, "ms", against)
