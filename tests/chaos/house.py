"""A scene that is ready for stories, and stories played on it, one after the other. Each leaves all shut."""

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from tests.chaos import proof
from tests.chaos.figures import Figures
from tests.chaos.ledger import LATE, Ledger
from tests.chaos.scene import Scene
from tests.chaos.story import LONG, Break, Length, Story, tell
from tests.chaos.telling import Telling, protect
from tests.chaos.voice import Voice
from tests.chaos.watch import Watch
from tests.chaos.world import APPROVED, MACHINES, PORTS, sources
from tests.processes import until

KEPT = Path("dist/chaos")
"""Where figures and logs go."""
_KINDS = {"host": ("web-1", "db-1"), "gateway": ("win-1",), "cloud": ("vm-1",)}


class Broken(AssertionError):
    """A story that did not end as it should: its seed, what was wrong, and how it went. `figures`: of it."""

    def __init__(self, story: Story, wrong: str, timeline: str, figures: Figures) -> None:
        super().__init__(f"story {story.seed}: {wrong}\n\n{timeline}\n\nAgain: make chaos ARGS='{story.again}'")
        self.figures = figures


class Playhouse:
    """Plays stories of one kind of house. What a story that failed has left, no other has to live with."""

    def __init__(self, kind: str, length: Length = LONG, late: Mapping[str, float] = LATE) -> None:
        """`late`: how late ports may shut, see `LATE`."""
        self._kind, self._length, self._late = kind, length, late
        self._standing: ExitStack | None = None
        self._house: House | None = None

    @property
    def house(self) -> "House":
        """Built when it is needed."""
        if self._house is None:
            with ExitStack() as stack:
                directory = stack.enter_context(TemporaryDirectory(prefix="jg-chaos-"))
                self._house = stack.enter_context(House(self._kind, Path(directory)))
                self._standing = stack.pop_all()
        return self._house

    def play(self, seed: int) -> Figures:
        """Tell the story of a seed. Raises Broken; what every process said is then in `KEPT`."""
        try:
            return self.house.play(tell(seed, self._length), self._late)
        except BaseException:
            if self._house is not None:
                self._house.keep_logs(KEPT / f"story-{seed}")
            self.close()
            raise

    def close(self) -> None:
        """Tear it down."""
        self._house = None
        if self._standing is not None:
            self._standing.close()
            self._standing = None


class House:
    """One scene, for many stories."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.scene = Scene(kind, directory)
        self.voice = Voice(self.scene)

    def __enter__(self) -> Self:
        self.scene.__enter__()
        try:
            self.scene.hub.inside(self._furnish)
        except BaseException:
            self.scene.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.scene.__exit__(kind, error, trace)

    def play(self, story: Story, late: Mapping[str, float]) -> Figures:
        """Tell a story, and see how it ends. Raises Broken."""
        return self.scene.hub.inside(lambda: self._play(story, Ledger(late)))

    def keep_logs(self, place: Path) -> None:
        """Copy what its processes have said."""
        place.mkdir(parents=True, exist_ok=True)
        for log in self.scene.logs():
            shutil.copy(log, place)

    # --- in the namespace of the servers --------------------------------------------------------------

    def _furnish(self) -> None:
        self.voice.let_program_in()
        until(lambda: _names(self.voice) >= set(MACHINES), "not every machine is found", 120)
        protect(self.voice)
        for port in PORTS:
            self._learn_door(port)
        limits = {"selector": {"scope": "/", "ports": [APPROVED]}, "limits": {"approvals": 1}}
        self.voice.insist("PUT", "/api/v1/guardrails/four-eyes", limits)

    def _learn_door(self, port: int) -> None:
        """Where the gateway stands for a port of the machine behind it: that never changes."""
        ports = [{"number": port, "sources": [sources("win-1")[0]], "duration": "PT1M"}]
        body = {"machines": [{"id": "win-1", "ports": ports}], "justification": "where is it?"}
        [grant] = self.voice.insist("POST", "/api/v1/requests?wait=20", body)["grants"]
        path = f"/api/v1/grants/{grant['id']}"
        shown = until(lambda: self.voice.insist("GET", path)["connection"], "the gateway has no door", 120)
        self.scene.doors["win-1", port] = shown["address"], shown["port"]
        self.voice.insist("POST", f"{path}/close?wait=20")

    def _play(self, story: Story, ledger: Ledger) -> Figures:
        begun = time.monotonic()
        telling = Telling(story, self.scene, self.voice, ledger)
        wrong = ""
        with Watch(self.scene, ledger) as watch:
            try:
                telling.tell()
                proof.prove(self.scene, self.voice, ledger, f"story {story.seed}")
            except AssertionError as error:
                wrong = str(error)
        figures = self._count(story, telling, ledger)
        figures.without_service, figures.seconds = watch.without_service, time.monotonic() - begun
        try:
            self._look_up(figures, story, ledger)
        except AssertionError as error:
            wrong = wrong or str(error)
        wrong = "; ".join(filter(None, (wrong, _told_too_late(ledger), _told_counts(figures))))
        if wrong:
            figures.failed.append(story.seed)
            raise Broken(story, wrong, ledger.told(), figures)
        return figures

    def _count(self, story: Story, telling: Telling, ledger: Ledger) -> Figures:
        figures = Figures(stories=1, knocks=ledger.knocks, found_open=len(ledger.sightings))
        figures.operations.update(ledger.operations)
        broken = [step.act for step in story.steps if isinstance(step.act, Break)]
        figures.faults.update(each.kind for each in broken)
        figures.armed.update(each.failpoint for each in broken if each.failpoint)
        figures.died.update(telling.died)
        figures.past_deadline = len(ledger.too_late())
        figures.worst = {kind: ledger.worst(machines) for kind, machines in _KINDS.items()}
        return figures

    def _look_up(self, figures: Figures, story: Story, ledger: Ledger) -> None:
        """Count what the record tells. Raises AssertionError, where no server answers."""
        name = f"story {story.seed}"
        figures.lost = len(proof.lost(self.voice, ledger, name))
        figures.opened_twice = len(proof.opened_twice(self.voice, name))


def _names(voice: Voice) -> set[Any]:
    return {each["name"] for each in voice.pages("/api/v1/machines?limit=100")}


def _told_too_late(ledger: Ledger) -> str:
    """The first and the last of what was found open too late."""
    found = ledger.too_late()
    chosen = [found[0], found[-1]] if found else []
    told = [f"{seen.machine}:{seen.port} from {seen.source} at {seen.at - ledger.began:.2f} s" for seen, _ in chosen]
    return f"{len(found)} times open past the deadline: {', '.join(told)}" if found else ""


def _told_counts(figures: Figures) -> str:
    counts = {"requests lost": figures.lost, "grants opened twice": figures.opened_twice}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
