"""How what people wait for grows: from ten machines to a hundred thousand, and from ten live grants to a million.

Each size is an installation of its own, a process with a real database, over TLS. Its firewalls are in memory: what a
real one costs with many grants in it is measured in other parts.
"""

import contextlib
import itertools
import json
import math
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from bench import estate, grants, pages
from bench.client import Connection, Target, source
from bench.figures import Aim, Row, median, number
from bench.grown import server
from bench.latency import timed
from bench.processes import resident
from jitgate.core.machine import Machine
from jitgate.store import machines as machine_rows

_FEW = 10
_SPREAD = 1_000
"""Machines that many grants are spread over."""
_TIMES = 40
_PATIENCE = 900.0
_LOOK_EVERY = 0.1
_UNCOMPARED = "SELECT count(*) FROM scope_state WHERE reported_at IS NULL OR reported_at < ? OR sweep_at IS NULL"
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. `live`: grants, spread evenly."""

    machines: int
    live: int


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is measured at each size.

    `unit`    of its figures
    `steady`  it must not grow with the size at all, but for the processor's caches: by half at most
    """

    what: str
    unit: str
    steady: bool = False


ASK = Question("asking", "ms", steady=True)
OPEN = Question("asking, and one firewall brought to it", "ms", steady=True)
LIST = Question("the newest grants of a person", "ms")
MACHINES = Question("a page of the list of machines", "ms")
HOME = Question("the portal's first page", "ms")
RESTART = Question("from a start until it answers", "s")
SWEEP = Question("from a start until every firewall was compared", "s")
MEMORY = Question("resident", "MB")

Found = Mapping[Question, Sequence[float]]
"""Figures, size by size."""


def measure(scratch: Path, most_machines: int, most_live: int) -> Iterator[Row]:
    """Grow the machines, then the grants."""
    by_machines = [Size(count, _FEW) for count in _steps(most_machines)]
    yield from rows("machines", [size.machines for size in by_machines], _ask_all(scratch / "machines", by_machines))
    by_live = [Size(_FEW if count == _FEW else _SPREAD, count) for count in _steps(most_live)]
    yield from rows("live grants", [size.live for size in by_live], _ask_all(scratch / "live", by_live))


def rows(of_what: str, counts: Sequence[int], found: Found) -> Iterator[Row]:
    """One for each question. What is steady is compared with the smallest, all else with n log n, step by step."""
    span = " → ".join(f"{count:,}" for count in counts)
    for question, figures in found.items():
        measured = " → ".join(number(each) for each in figures) + f" {question.unit}"
        what = f"{question.what}, {span} {of_what}"
        if question.steady:
            yield Row(what, measured, figures[-1] / figures[0], against="the smallest", aim=Aim(1.5))
        else:
            yield Row(what, measured, _worst_step(counts, figures), against="n log n, worst step", aim=Aim(1))


def _worst_step(counts: Sequence[int], figures: Sequence[float]) -> float:
    """How the figure grew from one size to the next, in parts of what n log n would have grown."""
    steps = zip(counts, counts[1:], figures, figures[1:], strict=False)
    return max((after / before) / (_n_log_n(more) / _n_log_n(less)) for less, more, before, after in steps)


def _n_log_n(count: int) -> float:
    return count * math.log(count)


def _steps(most: int) -> list[int]:
    """Ten, a hundred times as many each, and the most."""
    return [*(_FEW * 100**step for step in range(10) if _FEW * 100**step < most), most]


def _ask_all(scratch: Path, sizes: Sequence[Size]) -> Found:
    found: dict[Question, list[float]] = defaultdict(list)
    for at, size in enumerate(sizes):
        with Grown(scratch / str(at), size) as grown:
            for question, figure in grown.ask().items():
                found[question].append(figure)
    return found


class Grown:
    """An installation of a size, started anew when entered. A context manager."""

    def __init__(self, directory: Path, size: Size) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._size = size
        self._machine, self._cookie = self._fill()

    def _fill(self) -> tuple[Machine, str]:
        """A machine among many, and what signs the owner in to the portal."""
        with server(self._directory, self._size.machines, reconciles=False) as running:
            found = running.call(running.service.store.read(lambda tx: machine_rows.of_connector(tx, "memory")))
            running.call(running.service.store.write(lambda tx: estate.configure(tx, found)))
            cookie = pages.sign_in(running)
        able = [one for one in found if not one.unsupported]
        with grants.opened(f"sqlite:///{self._directory / 'jitgate.db'}") as store:
            grants.add(store, (_wanted(able[at % len(able)], at) for at in range(self._size.live)))
        return able[len(able) // 2], cookie

    def __enter__(self) -> Self:
        self._began, at = time.monotonic(), time.time()
        command = [sys.executable, "-m", "bench.grown", str(self._directory), str(self._size.machines)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        self._url = self._process.stdout.readline().strip()
        self._restart = time.monotonic() - self._began
        self._sweep = self._wait_until_compared(int(at * 1e6))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=120)

    def ask(self) -> dict[Question, float]:
        """Every question, once it has come to rest."""
        return {
            ASK: self._milliseconds(self._initiate),
            OPEN: self._milliseconds(self._request),
            LIST: self._milliseconds(self._get("/api/v1/grants?mine=true")),
            MACHINES: self._milliseconds(self._get("/api/v1/machines")),
            HOME: self._milliseconds(self._get("/", self._cookie)),
            RESTART: self._restart,
            SWEEP: self._sweep,
            MEMORY: resident(self._process.pid) / 2**20,  # that of the firewalls in it, too
        }

    @property
    def _initiate(self) -> Target:
        port = {"number": 22, "allowedSourceAddressPrefix": "@SOURCE@", "duration": "PT2H"}
        body = {"virtualMachines": [{"id": self._machine.id, "ports": [port]}], "justification": "bench"}
        group = self._machine.id.partition("/providers/")[0]
        policy = f"{group}/providers/Microsoft.Security/locations/global/jitNetworkAccessPolicies/default"
        return self._target(f"{policy}/initiate?api-version=2020-01-01", json.dumps(body))

    @property
    def _request(self) -> Target:
        port = {"number": 22, "sources": ["@SOURCE@"], "duration": "PT1H"}
        body = {"machines": [{"id": self._machine.id, "ports": [port]}], "justification": "bench"}
        return self._target("/api/v1/requests?wait=20", json.dumps(body))

    def _get(self, path: str, cookie: str = "") -> Target:
        target = self._target(path, "", "GET")
        return replace(target, token="", cookie=cookie) if cookie else target

    def _target(self, path: str, body: str, method: str = "POST") -> Target:
        token = (self._directory / "owner.token").read_text().strip()
        port = int(self._url.rpartition(":")[2])
        return Target(port, self._directory / "ca.pem", path, body, token, method=method)

    def _milliseconds(self, target: Target) -> float:
        """The median of many, after one that is not counted."""
        with Connection(target) as connection:
            taken = [timed(lambda: connection.post(source(next(_numbers)))) for _ in range(_TIMES + 1)]
        return median(taken[1:]) * 1000

    def _wait_until_compared(self, since: int) -> float:
        """Seconds since the start. `since`: microseconds since 1970. Raises TimeoutError."""
        with contextlib.closing(sqlite3.connect(f"file:{self._directory}/jitgate.db?mode=ro", uri=True)) as database:
            while left := database.execute(_UNCOMPARED, [since]).fetchone()[0]:
                if time.monotonic() - self._began > _PATIENCE:
                    raise TimeoutError(f"{left} firewalls were not compared within {_PATIENCE:g} s")
                time.sleep(_LOOK_EVERY)
        return time.monotonic() - self._began


def _wanted(one: Machine, at: int) -> grants.Wanted:
    return grants.Wanted(one, estate.policy_of(one), grants.other(at), 22)
