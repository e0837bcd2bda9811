"""``python -m bench [--quick] [--only PART]``: measure, print the table, keep the figures as JSON and as a drawing."""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from bench import (
    aws_calls,
    azure_calls,
    chart,
    closing,
    crowd,
    exposure,
    fleet,
    gateway,
    growth,
    latency,
    machine,
    memory,
    packets,
    pages,
    recovery,
    throughput,
)
from bench.figures import Row, failed, table
from bench.installation import Installation
from bench.processes import BareServer

RESULTS = Path(__file__).parent / "results"
_WITH_BOTH = ("packets", "memory", "latency", "recovery")
"""What two installations are started for, one with few live grants and one with many."""
PARTS = (
    *_WITH_BOTH,
    *("throughput", "azure", "aws", "gateway", "pages", "fleet", "exposure", "closing", "crowd", "growth"),
)
_SCRATCH = "/var/tmp"  # noqa: S108 - a disk, where /tmp may be memory; the directory in it is ours alone


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done.

    `grants`: the many; `batches`: of packets, in one round; `seconds`: of load, in one round; `remote`: requests for a
    host elsewhere; `agents`: simulated; `idle`: seconds in which they are left alone; `machines`: in the
    portal, each page of which is seen so often (`views`);
    `exposed`: machines whose exposure is worked out; `crowd`: open ports beside which `beside` more are opened;
    `most_machines` and `most_live` grants: what is grown up to
    """

    grants: int = 100_000
    requests: int = 500
    packet_rounds: int = 60
    batches: int = 100
    recoveries: int = 3
    load_rounds: int = 5
    seconds: float = 5
    remote: int = 300
    agents: int = 10_000
    machines: int = 10_000
    views: int = 60
    idle: float = 310
    exposed: int = 10_000
    crowd: int = 5_000
    beside: int = 40
    most_machines: int = 100_000
    most_live: int = 1_000_000


FULL = Size()
QUICK = Size(
    grants=10_000,
    requests=100,
    packet_rounds=15,
    batches=50,
    recoveries=1,
    load_rounds=2,
    seconds=2,
    remote=60,
    agents=500,
    machines=1_000,
    views=20,
    idle=60,
    exposed=1_000,
    crowd=500,
    beside=10,
    most_machines=1_000,
    most_live=10_000,
)


class Bench:
    """One run: the rows so far, and what else belongs in the file."""

    def __init__(self, size: Size, parts: Iterable[str], scratch: Path) -> None:
        self.size = size
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {}
        self._parts = frozenset(parts)
        self._scratch = scratch

    def run(self) -> None:
        """Measure all parts. What cannot be measured becomes a row that says so."""
        self._with_both()
        self._part(
            "throughput",
            lambda: throughput.measure(self._scratch, self.size.load_rounds, self.size.seconds, self.details),
        )
        self._part("azure", azure_calls.measure)
        self._part("aws", aws_calls.measure)
        self._part(
            "gateway",
            lambda: gateway.measure(self._scratch, self.size.remote, self.size.seconds / 2, self.size.load_rounds),
        )
        self._part("pages", lambda: pages.measure(self._scratch, self.size.machines, self.size.views))
        self._part("fleet", lambda: fleet.measure(self._scratch, self.size.remote, self.size.agents, self.size.idle))
        self._part("exposure", lambda: exposure.measure(self.size.exposed))
        self._part("closing", lambda: closing.measure(self._scratch, self.size.grants))
        self._part("crowd", lambda: crowd.measure(self._scratch, self.size.crowd, self.size.beside))
        self._part("growth", lambda: growth.measure(self._scratch, self.size.most_machines, self.size.most_live))

    def _with_both(self) -> None:
        if self._parts.isdisjoint(_WITH_BOTH):
            return
        with contextlib.ExitStack() as opened:
            _say(f"starting two installations, one with {self.size.grants:,} live grants")
            few = opened.enter_context(Installation(self._scratch / "few"))
            many = opened.enter_context(Installation(self._scratch / "many", self.size.grants))
            self._part("packets", lambda: packets.measure(few, many, self.size.packet_rounds, self.size.batches))
            self._part("memory", lambda: memory.measure(few, many))
            self._part("latency", lambda: self._latency(few, many))
            self._part("recovery", lambda: recovery.measure(many, self.size.recoveries))

    def _part(self, name: str, measure: Callable[[], Iterable[Row]]) -> None:
        if name not in self._parts:
            return
        _say(f"measuring {name}")
        began = time.monotonic()
        try:
            self.rows += measure()
        except Exception as error:  # noqa: BLE001 - one part that fails leaves the others worth knowing
            self.rows.append(failed(name, error))
        self.details.setdefault("seconds", {})[name] = round(time.monotonic() - began, 1)

    def _latency(self, few: Installation, many: Installation) -> Iterable[Row]:
        with BareServer(self._scratch / "bare") as bare:
            samples = latency.measure(few, many, bare, self.size.requests)
        self.details["milliseconds"] = latency.summary(samples)
        return latency.rows(samples, few.live, many.live)


def run() -> int:
    """The command: 1 if something could not be measured. An aim that is missed is information."""
    options = _options()
    if os.geteuid() != 0:
        sys.exit("bench: this needs root: it makes network namespaces, and firewalls in them")
    # What is filled in here would else be told grant by grant.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    size = QUICK if options.quick else FULL
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="jitgate-bench-", dir=_SCRATCH) as scratch:
        described = machine.describe(Path(scratch))
        bench = Bench(size, options.only or PARTS, Path(scratch))
        bench.run()
    kept = _keep(bench, described)
    print(f"\n{machine.sentence(described)}\n\n{table(bench.rows)}\n")
    print(f"10 live grants where nothing else is said. {time.monotonic() - began:.0f} s; all figures: {kept}")
    return int(any(row.value is None and not row.skipped for row in bench.rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="How fast jitgate is, as ratios within one run.")
    parser.add_argument("--quick", action="store_true", help="three minutes, with smaller numbers")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part (may be given several times)")
    return parser.parse_args()


def _keep(bench: Bench, described: machine.Description) -> Path:
    RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    path = RESULTS / f"{at:%Y-%m-%dT%H-%M-%SZ}.json"
    rows = [{**asdict(row), "aim": str(row.aim or ""), "met": row.met} for row in bench.rows]
    kept = {"at": at.isoformat(timespec="seconds"), "machine": described, "size": asdict(bench.size)}
    path.write_text(json.dumps({**kept, "rows": rows, **bench.details}, indent=2, ensure_ascii=False) + "\n")
    path.with_suffix(".svg").write_text(chart.chart(bench.rows, f"{at:%Y-%m-%d}: {machine.sentence(described)}"))
    return path


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(run())
