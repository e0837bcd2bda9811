"""How late ports shut: a hundred thousand that end within one minute, and two hundred that end at the same instant.

Others are asked for seconds, not for an instant: they are late by how long after those seconds they let something pass.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.netns import Network

from bench.beside import routed_network
from bench.client import Connection, Target, source
from bench.figures import Aim, Row, median, number, percentile
from bench.installation import TRAFFIC, Installation
from bench.others import OTHERS, Other
from bench.watch import Watch

_MINUTE = 60.0
_FILLING_SECONDS, _FILLING_SECONDS_EACH = 30.0, 0.004
_WATCHED = 200
"""Sources, of the many, whose datagrams are sent."""
_GOES_ON = 15.0
"""Seconds after the last end for which the datagrams go on."""
_AT_ONCE = 200
_ASKING_SECONDS = 30.0
_OTHERS_ASKING_SECONDS = 100.0
_AIM = Aim(0)
"""Milliseconds. The kernel's clock ticks every few of them, so it is given less than is left."""


def measure(scratch: Path, many: int) -> Iterator[Row]:
    """The many, then the instant, with the other programs that are installed."""
    yield from _many(scratch / "ending", many)
    yield from _at_once(scratch / "at-once")
    for other in OTHERS:
        if not other.missing():
            yield _at_once_beside(scratch / f"{other.PROGRAMS[0]}-at-once", other)


def _many(directory: Path, count: int) -> Iterator[Row]:
    with Installation(directory) as installation:
        first = time.time() + _FILLING_SECONDS + count * _FILLING_SECONDS_EACH
        ends = {source(at): first + _MINUTE * at / count for at in range(count)}
        installation.fill_until(ends)
        if time.time() > first:
            raise TimeoutError(f"{count:,} grants were not standing before the first of them ended")
        watched = {each: end for at, (each, end) in enumerate(ends.items()) if at % max(1, count // _WATCHED) == 0}
        yield from _rows(f"{count:,} grants that end within a minute", installation, watched)


def _at_once(directory: Path) -> Iterator[Row]:
    with Installation(directory) as installation:
        end = time.time() // 1 + _ASKING_SECONDS
        ends = {source(at): end for at in range(_AT_ONCE)}
        with Connection(_until(installation.ask_for_traffic, end)) as asking:
            for each in ends:
                asking.post(each)
        yield from _rows(f"{_AT_ONCE} grants that end at the same instant", installation, ends)


def _rows(what: str, installation: Installation, ends: dict[str, float]) -> Iterator[Row]:
    """What is let through of these, and when all is on record."""
    late = _watch(installation.network, ends)
    installation.wait_until_shut()
    yield _row(f"{what}: the last packet of {len(late)}, after the end", late, _AIM)
    yield _row(f"{what}: on record as shut, after the end", installation.told_late(), None)


def _until(target: Target, end: float) -> Target:
    """The same, asked for until that time."""
    at = datetime.fromtimestamp(end, UTC).isoformat()
    return replace(target, body=target.body.replace("@END@", at))


def _at_once_beside(directory: Path, kind: type[Other]) -> Row:
    """Each is asked for as long as is left, in whole seconds: nearer it cannot be told."""
    with ExitStack() as opened:
        network = routed_network(opened)
        other = opened.enter_context(kind(network, directory))
        end = time.time() + _OTHERS_ASKING_SECONDS
        ends = {}
        for each in map(source, range(_AT_ONCE)):
            seconds = round(end - time.time())
            ends[each] = time.time() + seconds
            other.open(each, TRAFFIC, seconds, "udp")
        late = _watch(network, ends)
    return _row(f"{_AT_ONCE} ports that {kind.ASKED} opened until the same second: the last packet of each", late, None)


def _watch(network: Network, ends: dict[str, float]) -> list[float]:
    """Milliseconds from each end to the last packet let through; negative: the last came before. Raises RuntimeError if
    none came of some."""
    with Watch(network.alice, network.host, list(ends)) as watch:
        time.sleep(max(0.0, max(ends.values()) - time.time()) + _GOES_ON)
    if missing := ends.keys() - watch.last.keys():
        raise RuntimeError(f"{len(missing)} of {len(ends)} were never let through")
    return [(watch.last[each] - end) * 1000 for each, end in ends.items()]


def _row(what: str, late: Sequence[float], aim: Aim | None) -> Row:
    worst = max(late)
    measured = f"p50 {number(median(late))} ms, p99 {number(percentile(late, 99))} ms, worst {number(worst)} ms"
    if worst > _GOES_ON * 1000:
        measured += ", and still open"
    return Row(what, measured, worst, "ms", aim=aim)
