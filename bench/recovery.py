"""How long it takes from the start until everything stands as it should and asking works, after kill -9 of all."""

import time
from collections.abc import Iterator

from bench.client import Connection, source
from bench.figures import Aim, Row, median, number
from bench.installation import Installation

_GONE_SECONDS = 10.0
_FIRST = 1 << 22
"""Addresses that no other part of the benchmark asks for."""


def measure(many: Installation, runs: int) -> Iterator[Row]:
    """Kill and start it, with its table as it was, and with its table lost."""
    yield from _rows("all killed with -9", many, runs, lose_table=False)
    yield from _rows("all killed with -9, the table lost", many, runs, lose_table=True)


def _rows(what: str, many: Installation, runs: int, *, lose_table: bool) -> Iterator[Row]:
    ready, asked, verified = zip(*(_recover(many, lose_table=lose_table) for _ in range(runs)), strict=True)
    what = f"{many.live:,} live grants, {what}"
    started = f"the server answers after {number(median(ready))} s"
    yield Row(f"{what}: a request opens a port", f"{number(median(asked))} s", median(asked), "s", started, Aim(5))
    yield Row(f"{what}: all found standing", f"{number(median(verified))} s", median(verified), "s", started, Aim(5))


def _recover(many: Installation, *, lose_table: bool) -> tuple[float, float, float]:
    """Seconds from the start until it says that it is ready, until a request has opened a port, until all is verified.

    Raises RuntimeError if the kernel does then not hold every grant.
    """
    many.wait_until_settled()
    before = many.verified_at()
    many.jitgate.kill_all()
    if lose_table:
        _lose_table(many)
    began = time.perf_counter()
    many.jitgate.start()
    ready = time.perf_counter() - began
    with Connection(many.initiate) as connection:
        many.open_and_connect(connection, source(_FIRST + int(time.time()) % _FIRST))
    asked = time.perf_counter() - began
    many.wait_until_verified(before)
    verified = time.perf_counter() - began
    if (standing := many.standing()) < many.live:
        raise RuntimeError(f"{standing} of {many.live} grants stand")
    return ready, asked, verified


def _lose_table(many: Installation) -> None:
    """Delete the table as soon as the kernel has noticed that its owner is gone."""
    give_up = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            many.network.host.nft("delete table inet jitgate")
            return
        except AssertionError:
            if time.monotonic() > give_up:
                raise
        time.sleep(0.05)
