"""From asking to the first accepted connection, against one durable INSERT over HTTP and one nft transaction."""

import contextlib
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.client import Connection, source
from bench.figures import Aim, Row, median, number, percentile
from bench.installation import Installation
from bench.processes import BareServer
from jitgate.connectors.hosts.nft import Nft

_TABLE = "bench"
_SETTLING = 0.01
"""Seconds after each request, so that what follows the opening (its record) does not fall on the next one."""

Samples = Mapping[str, Sequence[float]]
"""Milliseconds by what was done."""


def measure(few: Installation, many: Installation, bare: BareServer, times: int) -> Samples:
    """Do everything in turns, so that whatever else the machine does falls on all of it alike."""
    with contextlib.ExitStack() as opened:
        return in_turns(_acts(few, many, bare, opened), times)


def in_turns(acts: Mapping[str, Callable[[], float]], times: int) -> Samples:
    """Milliseconds of acts that return seconds."""
    samples: dict[str, list[float]] = defaultdict(list)
    for _ in range(times):
        for what, act in acts.items():
            samples[what].append(act() * 1000)
            time.sleep(_SETTLING)
    return samples


def rows(samples: Samples, few: int, many: int) -> Iterator[Row]:
    """What came out. `few`, `many`: the live grants."""
    for percent in (50, 99):
        first = percentile(samples["few"], percent)
        least, against = reference(samples, percent)
        what = f"request to first accepted connection, p{percent}"
        yield Row(what, f"{number(first)} ms", first / least, against=against, aim=Aim(3))
        told = percentile(samples["told"], percent)
        what = f"the same, waiting to be told that it is open, p{percent}"
        yield Row(what, f"{number(told)} ms", told / least, against=against)
    for percent in (50, 99):
        less, more = percentile(samples["few"], percent), percentile(samples["many"], percent)
        what = f"the same with {many:,} live grants, p{percent}"
        aim = Aim(1.5) if percent == 50 else None
        yield Row(what, f"{number(more)} ms", more / less, against=f"{few:,} live grants {number(less)} ms", aim=aim)


def reference(samples: Samples, percent: float) -> tuple[float, str]:
    """What asking is compared with, in milliseconds, and in words."""
    insert, nft = percentile(samples["insert"], percent), percentile(samples["nft"], percent)
    return insert + nft, f"INSERT over HTTP {number(insert)} ms + nft transaction {number(nft)} ms"


def summary(samples: Samples) -> dict[str, dict[str, float]]:
    """Milliseconds, for the file."""
    return {
        what: {"samples": len(each), "min": min(each), "p50": median(each), "p99": percentile(each, 99)}
        for what, each in samples.items()
    }


def _acts(
    few: Installation, many: Installation, bare: BareServer, opened: contextlib.ExitStack
) -> dict[str, Callable[[], float]]:
    """What is done in turns; each returns the seconds that it took."""
    sources = map(source, itertools.count())
    for_few = opened.enter_context(Connection(few.initiate))
    for_many = opened.enter_context(Connection(many.initiate))
    told = opened.enter_context(Connection(few.ask))
    return {
        "few": lambda: few.open_and_connect(for_few, next(sources)),
        "many": lambda: many.open_and_connect(for_many, next(sources)),
        "told": lambda: few.open_and_connect(told, next(sources)),
        **references(few.network.host.name, bare, sources, opened),
    }


def references(
    namespace: str, bare: BareServer, sources: Iterator[str], opened: contextlib.ExitStack
) -> dict[str, Callable[[], float]]:
    """What asking is compared with: one durable INSERT over HTTP, and one nft transaction."""
    inserting = opened.enter_context(Connection(bare.target))
    nft = _prepare_nft(namespace)
    opened.callback(nft.close)
    return {
        "insert": lambda: timed(lambda: inserting.post(next(sources))),
        "nft": lambda: timed(lambda: nft.run([_add(next(sources))])),
    }


def _prepare_nft(namespace: str) -> Nft:
    """A table without rules, with a set like ours."""
    nft = Nft(namespace)
    kind = "type ipv4_addr . inet_proto . inet_service; flags timeout;"
    nft.run([f"add table inet {_TABLE}", f"add set inet {_TABLE} open {{ {kind} }}"])
    return nft


def _add(address: str) -> str:
    return f'add element inet {_TABLE} open {{ {address} . tcp . 22 timeout 2h comment "2030-01-01T00:00:00+00:00" }}'


def timed(act: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
