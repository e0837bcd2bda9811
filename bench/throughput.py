"""Durable requests a second of some clients, against bare INSERTs through the same web stack."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.postgresql import Cluster

from bench.client import Target
from bench.figures import Aim, Row, median, number
from bench.installation import Installation
from bench.load import CLIENTS, Load, Rounds
from bench.processes import BareServer

_WARMING_SECONDS = 1.0
_OTHER_CLIENTS = (1, 8, 64)
"""How many, beside those that the aims are about."""
_BRIEF_TIMES, _BRIEF_SECONDS = 3, 3.0
DURABLE = ("max_connections=200", "listen_addresses=")
"""A PostgreSQL as it comes: what it has committed is on disk."""
_BARE: Mapping[str, Sequence[str]] = {"grouped": (), "own": ("--own-commit",), "plain": ("--plain",)}
_NAMES = {"grouped": "INSERT, grouped commits", "own": "INSERT, own commit", "postgresql": "INSERT, grouped commits"}
_HALF = Aim(0.5, at_least=True)
"""Of bare INSERTs that share their commits."""

Found = Mapping[str, Sequence[Load]]
"""The rounds, by what was asked. Those of one place ran one right after the other."""


def measure(scratch: Path, times: int, seconds: float, details: dict[str, Any]) -> Iterator[Row]:
    """With many clients and few, on SQLite and on PostgreSQL. `details`: is told of every round."""
    rounds = Rounds(scratch)
    details["loadFrom"] = rounds.client
    with ExitStack() as opened:
        installation = opened.enter_context(Installation(scratch / "loaded"))
        bare = {name: opened.enter_context(BareServer(scratch / name, *how)) for name, how in _BARE.items()}
        found = _in_turns(installation, bare, rounds, times, seconds)
        details["rounds"] = {name: [asdict(load) for load in loads] for name, loads in found.items()}
        yield from rows(found)
        del bare["plain"]
        for clients in _OTHER_CLIENTS:
            found = _in_turns(installation, bare, rounds, _BRIEF_TIMES, _BRIEF_SECONDS, clients)
            yield from _brief_rows(found, clients, "SQLite")
    yield from _measure_postgresql(scratch, rounds)


def _measure_postgresql(scratch: Path, rounds: Rounds) -> Iterator[Row]:
    cluster = Cluster(DURABLE, str(scratch.parent))  # on the same disk, where its own user may enter
    with ExitStack() as opened:
        opened.callback(cluster.close)
        ours, theirs = (cluster.url(cluster.create()) for _ in range(2))
        installation = opened.enter_context(Installation(scratch / "postgresql", database=ours))
        bare = {"postgresql": opened.enter_context(BareServer(scratch / "beside-it", "--database", theirs))}
        for clients in sorted([*_OTHER_CLIENTS, CLIENTS]):
            found = _in_turns(installation, bare, rounds, _BRIEF_TIMES, _BRIEF_SECONDS, clients)
            yield from _brief_rows(found, clients, "PostgreSQL")
        yield _two_replicas(installation.initiate, installation.joined(opened), rounds, installation.wait_until_settled)


def _two_replicas(first: Target, second: Target, rounds: Rounds, settle: Callable[[], None]) -> Row:
    """As many clients as one has, half of them at each; both on the same cores, which is what limits them here."""
    alone, both = [], []
    for _ in range(_BRIEF_TIMES):
        alone.append(rounds.run(first, _BRIEF_SECONDS).rate)
        settle()
        with ThreadPoolExecutor(2) as halves:
            asked = [halves.submit(rounds.run, each, _BRIEF_SECONDS, CLIENTS // 2) for each in (first, second)]
            both.append(sum(each.result().rate for each in asked))
        settle()
    what = f"durable requests a second, {CLIENTS} clients, PostgreSQL, two replicas on the same cores"
    ratio = median([two / one for two, one in zip(both, alone, strict=True)])
    return Row(what, f"{number(median(both))} /s", ratio, against=f"one replica {number(median(alone))} /s")


def _in_turns(
    installation: Installation,
    bare: Mapping[str, BareServer],
    rounds: Rounds,
    times: int,
    seconds: float,
    clients: int = CLIENTS,
) -> Found:
    """Rounds in turns. Between them the firewall is given time to catch up with what was granted."""
    targets = {"jitgate": installation.initiate, **{name: server.target for name, server in bare.items()}}
    found: dict[str, list[Load]] = defaultdict(list)
    for each in [_WARMING_SECONDS, *[seconds] * times]:
        for name, load in _round(targets, rounds, each, clients):
            installation.wait_until_settled()
            if each != _WARMING_SECONDS:
                found[name].append(load)
    return found


def _round(targets: Mapping[str, Target], rounds: Rounds, seconds: float, clients: int) -> Iterator[tuple[str, Load]]:
    for name, target in targets.items():
        yield name, rounds.run(target, seconds, clients)


def rows(found: Found) -> Iterator[Row]:
    """What came out, with as many clients as the aims are about."""
    what = f"durable requests a second, {CLIENTS} clients"
    yield _row(what, found, "grouped", _NAMES["grouped"], _HALF)
    yield _row(what, found, "own", _NAMES["own"], Aim(1, at_least=True))
    yield _row(what, found, "plain", "INSERT, grouped commits, FastAPI alone: nobody is asked who they are", None)
    p99 = {name: median([load.p99 for load in loads]) for name, loads in found.items()}
    others = f"INSERT, grouped {number(p99['grouped'])} ms, own {number(p99['own'])} ms"
    yield Row("the same, p99", f"{number(p99['jitgate'])} ms", p99["jitgate"], "ms", others, Aim(50))


def _brief_rows(found: Found, clients: int, database: str) -> Iterator[Row]:
    p99 = median([load.p99 for load in found["jitgate"]])
    what = f"durable requests a second, clients: {clients}, {database}, p99 {number(p99)} ms"
    for other in sorted(found.keys() - {"jitgate"}):
        yield _row(what, found, other, _NAMES[other], _HALF if clients == CLIENTS else None)


def _row(what: str, found: Found, other: str, called: str, aim: Aim | None) -> Row:
    """The median of the ratios of each round: what else the machine did fell on both of its sides."""
    pairs = [(ours.rate, theirs.rate) for ours, theirs in zip(found["jitgate"], found[other], strict=True)]
    measured, against = median([ours for ours, _ in pairs]), median([theirs for _, theirs in pairs])
    ratio = median([ours / theirs for ours, theirs in pairs])
    return Row(what, f"{number(measured)} /s", ratio, against=f"{called} {number(against)} /s", aim=aim)
