"""Opening one more port beside five thousand that are open, as others do it and as we do."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import latency
from bench.beside import Beside
from bench.client import Connection, source
from bench.figures import Aim, Row, number, percentile
from bench.installation import Installation
from bench.others import OTHERS

_TEN_TIMES = Aim(0.1)


def measure(scratch: Path, crowd: int, times: int) -> Iterator[Row]:
    """All in turns, each with so many open before. One row for each other program that is installed."""
    sources = map(source, itertools.count())
    with ExitStack() as opened:
        ours = opened.enter_context(Installation(scratch / "crowd", crowd))
        asking = opened.enter_context(Connection(ours.initiate))
        acts: dict[str, Callable[[], float]] = {"jitgate": lambda: ours.open_and_connect(asking, next(sources))}
        for kind in OTHERS:
            if not kind.missing():
                beside = Beside(opened, kind, scratch / "crowds", crowd)
                acts[kind.ASKED] = lambda beside=beside: beside.time(sources)  # type: ignore[misc]
        samples = latency.in_turns(acts, times)
    yield from _rows(samples, crowd)


def _rows(samples: latency.Samples, crowd: int) -> Iterator[Row]:
    ours: Sequence[float] = samples["jitgate"]
    first = percentile(ours, 50)
    what = f"request to first accepted connection beside {crowd:,} open ports, p50"
    for name, theirs in samples.items():
        if name != "jitgate":
            against = percentile(theirs, 50)
            yield Row(
                what, f"{number(first)} ms", first / against, against=f"{name} {number(against)} ms", aim=_TEN_TIMES
            )
