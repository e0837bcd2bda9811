"""Durable requests a second of many clients, against bare INSERTs through the same web stack."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bench.client import Target
from bench.figures import Aim, Row, median, number
from bench.installation import Installation
from bench.load import CLIENTS, Load, Rounds
from bench.processes import BareServer

_WARMING_SECONDS = 1.0

Found = Mapping[str, Sequence[Load]]
"""The rounds, by what was asked. Those of one place ran one right after the other."""


def measure(
    installation: Installation, bare: Mapping[str, BareServer], rounds: Rounds, times: int, seconds: float
) -> Found:
    """Rounds in turns. Between them the firewall is given time to catch up with what was granted."""
    targets = {"jitgate": installation.initiate, **{name: server.target for name, server in bare.items()}}
    found: dict[str, list[Load]] = defaultdict(list)
    for each in [_WARMING_SECONDS, *[seconds] * times]:
        for name, load in _round(targets, rounds, each):
            installation.wait_until_settled()
            if each != _WARMING_SECONDS:
                found[name].append(load)
    return found


def rows(found: Found) -> Iterator[Row]:
    """What came out."""
    what = f"durable requests a second, {CLIENTS} clients"
    yield _row(what, found, "grouped", "INSERT, grouped commits", Aim(0.5, at_least=True))
    yield _row(what, found, "own", "INSERT, own commit", Aim(1, at_least=True))
    yield _row(what, found, "plain", "INSERT, grouped commits, FastAPI alone: nobody is asked who they are", None)
    p99 = {name: median([load.p99 for load in loads]) for name, loads in found.items()}
    others = f"INSERT, grouped {number(p99['grouped'])} ms, own {number(p99['own'])} ms"
    yield Row("the same, p99", f"{number(p99['jitgate'])} ms", p99["jitgate"], "ms", others, Aim(50))


def _row(what: str, found: Found, other: str, called: str, aim: Aim | None) -> Row:
    """The median of the ratios of each round: what else the machine did fell on both of its sides."""
    pairs = [(ours.rate, theirs.rate) for ours, theirs in zip(found["jitgate"], found[other], strict=True)]
    measured, against = median([ours for ours, _ in pairs]), median([theirs for _, theirs in pairs])
    ratio = median([ours / theirs for ours, theirs in pairs])
    return Row(what, f"{number(measured)} /s", ratio, against=f"{called} {number(against)} /s", aim=aim)


def _round(targets: dict[str, Target], rounds: Rounds, seconds: float) -> Iterator[tuple[str, Load]]:
    for name, target in targets.items():
        yield name, rounds.run(target, seconds)
