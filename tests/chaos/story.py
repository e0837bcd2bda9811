"""A story: what people do and what breaks, and when. All of it follows from a seed; nothing here does anything."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.world import APPROVED, HOSTS, MACHINES, PORTS, sources
from tests.connectors.azure.test_deaths import FAILPOINTS as IN_AZURE
from tests.crash.story import AT_THE_START
from tests.crash.test_failpoints import IN_THE_STORY

SQLITE, POSTGRESQL = "sqlite", "postgresql"
HOUSES = (SQLITE, POSTGRESQL)
EDITS = ("for longer", "for carol alone", "for everybody", "without the second port", "as it was")
_NAMES = (*IN_THE_STORY, *AT_THE_START)
AT_AN_AGENT = tuple(name for name in _NAMES if name.startswith(("agent.", "hosts.")))
AT_A_SERVER = (*(name for name in _NAMES if name not in AT_AN_AGENT), *IN_AZURE)
_HITS = (1, 1, 2, 3, 5, 8)


@dataclass(frozen=True, slots=True)
class Length:
    """How much is in a story. `horizon`: the seconds in which all of it begins."""

    horizon: float
    acts: int
    breaks: int


LONG = Length(6.0, 10, 4)
SHORT = Length(3.0, 7, 4)
"""For every run of the tests: a dozen of them cost no more than a minute and a half of a processor."""
A_DOZEN = range(20680, 20692)
"""The seeds of those: in these everything breaks that can (`test_judgement`)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody asks for a port; `number` is what the story calls it from then on."""

    number: int
    machine: str
    port: int
    source: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Decide:
    """Somebody else agrees, or does not."""

    number: int
    agrees: bool


@dataclass(frozen=True, slots=True)
class Extend:
    number: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Close:
    number: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A machine's policy is written anew."""

    machine: str
    how: str


@dataclass(frozen=True, slots=True)
class Break:
    """Something goes wrong, for some seconds. `kind` and `target`: see `tests.chaos.faults`; `how`: more about it."""

    kind: str
    target: str
    seconds: float
    how: str = ""

    @property
    def failpoint(self) -> str:
        """The name of the one that somebody is to die at, if that is what goes wrong."""
        return self.how.partition(":")[0] if self.kind == "failpoint" else ""

    @property
    def broken(self) -> str:
        """What cannot be broken again before it was mended."""
        return "database" if self.kind in ("restart", "disk") else self.target


Act = Ask | Decide | Extend | Close | Edit | Break


@dataclass(frozen=True, slots=True)
class Step:
    """`via`: which of the replicas is told, where there are several."""

    at: float
    act: Act
    via: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """`again`: the options by which `make chaos` tells it."""

    seed: int
    house: str
    again: str
    steps: tuple[Step, ...]


def tell(seed: int, length: Length = LONG) -> Story:
    """The story of a seed. Even ones play on SQLite, odd ones on PostgreSQL."""
    chance, house = random.Random(seed), HOUSES[seed % len(HOUSES)]
    moments = _moments(chance, length.acts, length.horizon)
    acts = [Step(at, act, chance.randrange(2)) for at, act in zip(moments, _acts(chance), strict=False)]
    breaks = [Step(at, each) for at, each in _breaks(chance, house, length)]
    again = f"--seed {seed}{' --short' if length is SHORT else ''}"
    return Story(seed, house, again, tuple(sorted([*acts, *breaks], key=lambda step: step.at)))


def _moments(chance: random.Random, count: int, horizon: float) -> list[float]:
    return sorted(round(chance.uniform(0, horizon), 2) for _ in range(count))


def _acts(chance: random.Random) -> Iterator[Act]:
    """What people do, without end: first of all they ask, and later on mostly about what was asked before."""
    asked: list[Ask] = []
    waiting: list[int] = []
    while True:
        if waiting and chance.random() < 0.6:
            yield Decide(waiting.pop(0), agrees=chance.random() < 0.8)
        elif not asked or chance.random() < 0.55:
            asked.append(_ask(chance, len(asked)))
            waiting += [asked[-1].number] if asked[-1].port == APPROVED else []
            yield asked[-1]
        else:
            yield _about(chance, chance.choice(asked))


def _ask(chance: random.Random, number: int) -> Ask:
    machine = chance.choice(MACHINES)
    port = chance.choices(PORTS, (3, 1))[0]
    return Ask(number, machine, port, chance.choice(sources(machine)), chance.choice((1, 2, 3, 5)))


def _about(chance: random.Random, asked: Ask) -> Act:
    acts: Sequence[Act] = (
        Extend(asked.number, chance.choice((2, 3, 4))),
        Close(asked.number),
        Edit(asked.machine, chance.choice(EDITS)),
    )
    return chance.choices(acts, (3, 3, 1))[0]


def _breaks(chance: random.Random, house: str, length: Length) -> Iterator[tuple[float, Break]]:
    """What goes wrong: never the same thing twice at the same time."""
    until: dict[str, float] = {}
    for at in _moments(chance, length.breaks, length.horizon):
        made = _break(chance, house)
        if at >= until.get(made.broken, 0.0):
            until[made.broken] = at + made.seconds + 0.5
            yield at, made


def _break(chance: random.Random, house: str) -> Break:
    return chance.choice((_kill, _pause, _failpoint, _cut, _clock, _flush, _cloud, _database))(chance, house)


def _servers(house: str) -> tuple[str, ...]:
    return ("first", "second") if house == POSTGRESQL else ("first",)


def _seconds(chance: random.Random) -> float:
    return chance.choice((0.5, 1.0, 2.0, 3.0))


def _kill(chance: random.Random, house: str) -> Break:
    target = chance.choice((*_servers(house), "agent", "gateway", "beside", "all of first"))
    return Break("kill", target, _seconds(chance))


def _pause(chance: random.Random, house: str) -> Break:
    return Break(
        "pause", chance.choice((*_servers(house), "agent", "gateway", "beside")), chance.choice((1.0, 2.0, 4.0))
    )


def _failpoint(chance: random.Random, house: str) -> Break:
    """An agent that has a supervisor hangs on the strings of the server that it is beside."""
    target = chance.choice((*_servers(house), "agent"))
    names = AT_AN_AGENT if target == "agent" else (*AT_A_SERVER, *(AT_AN_AGENT if target == "first" else ()))
    name, hits = chance.choice(names), chance.choice(_HITS)
    return Break("failpoint", target, 4.0, f"{name}:{1 if name in AT_THE_START else hits}")


def _cut(chance: random.Random, _: str) -> Break:
    return Break("cut", chance.choice(("agent", "gateway")), _seconds(chance))


def _clock(chance: random.Random, house: str) -> Break:
    off = chance.choice(("-3600", "-20", "-2", "2", "20", "900"))
    return Break("clock", chance.choice((*_servers(house), "agent", "gateway")), _seconds(chance), off)


def _flush(chance: random.Random, _: str) -> Break:
    return Break("flush", chance.choice(HOSTS), 0.0)


def _cloud(chance: random.Random, _: str) -> Break:
    return Break("cloud", "cloud", _seconds(chance), chance.choice(("fails", "throttles", "loses answers", "anything")))


def _database(chance: random.Random, house: str) -> Break:
    if house == POSTGRESQL and chance.random() < 0.7:
        return Break("restart", "database", chance.choice((0.0, 0.5, 1.0)))
    return Break("disk", "disk", _seconds(chance))
