"""``python -m tests.chaos``: many stories, and the figures of all: `make chaos`.

::

    --seeds 0-999   which stories (JITGATE_CHAOS_SEED=17 or --seed 17: one)
    --short         as every run of the tests tells them
    --jobs 2        how many houses at a time
    --save FILE     where the figures go
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.chaos.figures import Figures
from tests.chaos.house import KEPT, Broken, Playhouse
from tests.chaos.story import HOUSES, LONG, SHORT, Length

_STORIES_A_HOUSE = 25
_TRIES = 10
"""A failpoint that was armed as often as this, and never died at, is one that no story reaches any more."""


def main() -> int:
    """The command."""
    options = _options()
    figures, begun = Figures(), time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool:
        for done in pool.map(partial(play, length=SHORT if options.short else LONG), _shares(options.seeds)):
            figures.add(done)
            passed = time.monotonic() - begun
            print(f"{figures.stories} stories, {len(figures.failed)} failed, {passed:.0f} s", flush=True)
    figures.save(options.save)
    print(f"\n{figures.table()}\n\nkept in {options.save}")
    never = figures.never_died_at(_TRIES)
    if never:
        print(f"\nnobody died at {', '.join(never)}, armed {_TRIES} times or more: no story gets there any more")
    return 1 if figures.failed or never else 0


def play(seeds: Sequence[int], length: Length) -> Figures:
    """Play stories of one kind of house; each is told of at once."""
    figures, stage = Figures(), Playhouse(HOUSES[seeds[0] % len(HOUSES)], length)
    with contextlib.closing(stage):
        for seed in seeds:
            try:
                told = stage.play(seed)
                late = ", ".join(f"{kind} {seconds:.3f} s" for kind, seconds in told.worst.items() if seconds)
                print(f"story {seed}: {told.seconds:.0f} s{late and f', late: {late}'}", flush=True)
            except Broken as broken:
                told = broken.figures
                print(f"\n{broken}\n", flush=True)
            figures.add(told)
    return figures


def _shares(seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    """By house, and as many as one scene plays."""
    for house in range(len(HOUSES)):
        mine = [seed for seed in seeds if seed % len(HOUSES) == house]
        yield from (mine[at : at + _STORIES_A_HOUSE] for at in range(0, len(mine), _STORIES_A_HOUSE))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Stories in which everything breaks.")
    one = os.environ.get("JITGATE_CHAOS_SEED")
    parser.add_argument("--seeds", type=_range, default=[int(one)] if one else range(1000), metavar="FIRST-LAST")
    parser.add_argument("--seed", type=_range, dest="seeds", metavar="N", help="one story, again")
    parser.add_argument("--short", action="store_true", help="as every run of the tests tells them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="houses at a time")
    parser.add_argument("--save", type=Path, default=KEPT / "figures.json", help="where the figures go")
    return parser.parse_args()


def _range(text: str) -> Sequence[int]:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
