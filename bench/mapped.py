"""From asking to the first accepted connection through a gateway: to the byte that the machine behind it says back."""

import itertools
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from tests.connectors.gateway.scene import Echo
from tests.gateways import Gateway
from tests.netns import Namespace

from bench import latency
from bench.client import Connection, Target
from bench.figures import Row, number, percentile
from bench.latency import Samples
from bench.processes import BareServer

_GATEWAY = "127.0.0.1"
_SECONDS = 60.0


def measure(directory: Path, times: int) -> Iterator[Row]:
    """In turns with what the latency part compares with."""
    with ExitStack() as opened:
        target = Echo()
        opened.callback(target.close)
        bare = opened.enter_context(BareServer(directory / "beside-gateway"))
        namespace = opened.enter_context(Namespace("mapped"))
        sources = (f"127.{at >> 16 & 255 | 64}.{at >> 8 & 255}.{at & 255}" for at in itertools.count(1))
        jitgate = opened.enter_context(Gateway(directory / "gateway", target))
        jitgate.protect()
        acts = {
            "mapped": _act(opened, jitgate, sources),
            **latency.references(namespace.name, bare, sources, opened),
        }
        yield from rows(latency.in_turns(acts, times))


def rows(samples: Samples) -> Iterator[Row]:
    """What came out."""
    for percent in (50, 99):
        first = percentile(samples["mapped"], percent)
        least, against = latency.reference(samples, percent)
        what = f"request to first accepted connection through a gateway, p{percent}"
        yield Row(what, f"{number(first)} ms", first / least, against=against)


def _act(opened: ExitStack, jitgate: Gateway, sources: Iterator[str]) -> Callable[[], float]:
    """What is done in turns; it returns the seconds that it took."""
    mapped = jitgate.ask(next(sources), 3600)["connection"]["port"]
    asking = opened.enter_context(Connection(_target(jitgate)))

    def ask() -> float:
        chosen, began = next(sources), perf_counter()
        asking.post(chosen)
        while not _says_back(chosen, mapped):
            if perf_counter() - began > _SECONDS:
                raise TimeoutError(f"{chosen} was not let in within {_SECONDS:g} s")
        return perf_counter() - began

    return ask


def _target(jitgate: Gateway) -> Target:
    wanted = {"number": jitgate.target.port, "sources": ["@SOURCE@"], "duration": "PT2H"}
    body = {"machines": [{"id": "win-1", "ports": [wanted]}], "justification": "bench"}
    token = (jitgate.directory / "owner.token").read_text().strip()
    return Target(jitgate.port, jitgate.directory / "ca.pem", "/api/v1/requests", json.dumps(body), token)


def _says_back(source: str, port: int) -> bool:
    """Whether somebody at that address reaches the machine."""
    with socket.socket() as connecting:
        connecting.settimeout(1)
        connecting.bind((source, 0))
        try:
            connecting.connect((_GATEWAY, port))
            connecting.sendall(b"x")
            return connecting.recv(1) == b"x"
        except OSError:
            return False
