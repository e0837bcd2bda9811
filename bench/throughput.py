"""Durable requests a second of many clients, against bare INSERTs through the same web stack."""

from collections import defaultdict
from collections.abc import Iterator

from bench.client import Target
from bench.figures import Aim, Row, median, number
from bench.installation import Installation
from bench.load import CLIENTS, Load, Rounds
from bench.processes import BareServer

_WARMING_SECONDS = 1.0


def measure(
    installation: Installation, grouped: BareServer, own: BareServer, rounds: Rounds, times: int, seconds: float
) -> Iterator[Row]:
    """Rounds in turns. Between them the firewall is given time to catch up with what was granted."""
    targets = {"jitgate": installation.initiate, "grouped": grouped.target, "own": own.target}
    found: dict[str, list[Load]] = defaultdict(list)
    for each in [_WARMING_SECONDS, *[seconds] * times]:
        for name, load in _round(targets, rounds, each):
            installation.wait_until_settled()
            if each != _WARMING_SECONDS:
                found[name].append(load)
    yield from _rows(found)


def _round(targets: dict[str, Target], rounds: Rounds, seconds: float) -> Iterator[tuple[str, Load]]:
    for name, target in targets.items():
        yield name, rounds.run(target, seconds)


def _rows(found: dict[str, list[Load]]) -> Iterator[Row]:
    rate = {name: median([load.rate for load in loads]) for name, loads in found.items()}
    p99 = {name: median([load.p99 for load in loads]) for name, loads in found.items()}
    what = f"durable requests a second, {CLIENTS} clients"
    measured = f"{number(rate['jitgate'])} /s"
    grouped = f"INSERT, grouped commits {number(rate['grouped'])} /s"
    yield Row(what, measured, rate["jitgate"] / rate["grouped"], against=grouped, aim=Aim(0.5, at_least=True))
    own = f"INSERT, own commit {number(rate['own'])} /s"
    yield Row(what, measured, rate["jitgate"] / rate["own"], against=own, aim=Aim(1, at_least=True))
    others = f"INSERT, grouped {number(p99['grouped'])} ms, own {number(p99['own'])} ms"
    yield Row("the same, p99", f"{number(p99['jitgate'])} ms", p99["jitgate"], "ms", others, Aim(50))
