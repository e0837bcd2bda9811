"""Hosts elsewhere: how soon a port opens on one, and what thousands of them cost one server, and two."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.postgresql import Cluster

from bench import remote
from bench.figures import Aim, Row, number, percentile
from bench.swarm import Reached, Swarm
from bench.throughput import DURABLE

_BATCH = 1_000


def measure(scratch: Path, times: int, agents: int, idle: float) -> Iterator[Row]:
    """First one real agent, then so many simulated ones. `idle`: seconds; the server looks at each host every 300 s."""
    yield from remote.measure(scratch, times)
    with Swarm(scratch / "swarm", agents) as swarm:
        yield _memory(swarm)
        cores = swarm.load(idle)
        yield Row(f"server, {agents:,} agents, idle", f"{number(cores)} cores", cores, "cores", aim=Aim(0.5))
        yield from _changes(swarm, f"{agents:,} hosts")
    yield from _two_replicas(scratch, agents, idle, cores)


def _two_replicas(scratch: Path, agents: int, idle: float, alone: float) -> Iterator[Row]:
    """Half of the agents at each, on the same cores, and PostgreSQL on these as well. `alone`: cores that one takes."""
    cluster = Cluster(DURABLE, str(scratch.parent))
    with ExitStack() as opened:
        opened.callback(cluster.close)
        database = cluster.url(cluster.create())
        swarm = opened.enter_context(Swarm(scratch / "replicas", agents, database, replicas=2))
        cores = swarm.load(idle)
        what = f"two replicas on the same cores, {agents:,} agents, idle, both together"
        yield Row(
            what, f"{number(cores)} cores", cores / alone, against=f"one server with a file {number(alone)} cores"
        )
        yield from _changes(swarm, f"{agents:,} hosts at two replicas")


def _changes(swarm: Swarm, where: str) -> Iterator[Row]:
    batch = min(_BATCH, swarm.count)
    yield from _reached(f"one policy over {batch:,} of {where}", swarm.protect(batch))
    yield from _reached(f"a grant on each of {batch:,} of {where}", swarm.open(batch))


def _memory(swarm: Swarm) -> Row:
    with_all = swarm.resident()
    each = (with_all - swarm.alone) / swarm.count / 1024
    what, against = f"server, resident, {swarm.count:,} agents", f"none {number(swarm.alone / 1e6)} MB"
    return Row(what, f"{number(with_all / 1e6)} MB", each, "KiB each", against)


def _reached(what: str, reached: Reached) -> Iterator[Row]:
    """From the ask to the agents having it."""
    most = max(reached.seconds)
    middle, late = percentile(reached.seconds, 50), percentile(reached.seconds, 99)
    used = f"processor: server {number(reached.server)} s, simulated agents {number(reached.agents)} s"
    yield Row(f"{what}: an agent has it, p99", f"{number(late)} s", late, "s", f"p50 {number(middle)} s", Aim(1))
    yield Row(f"{what}: the last agent has it", f"{number(most)} s", most, "s", used)
