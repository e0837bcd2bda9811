"""Stories follow from their seeds, and who judges them sees what is wrong."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.chaos import proof
from tests.chaos.figures import Figures
from tests.chaos.ledger import Ledger, Sighting, Wish
from tests.chaos.puppet import LEASE
from tests.chaos.story import (
    A_DOZEN,
    AT_A_SERVER,
    AT_AN_AGENT,
    HOUSES,
    LONG,
    POSTGRESQL,
    SHORT,
    Ask,
    Break,
    Close,
    Decide,
    Edit,
    Extend,
    Length,
    tell,
)
from tests.chaos.voice import Voice
from tests.connectors.azure.test_deaths import FAILPOINTS as IN_AZURE
from tests.crash.story import AT_THE_START
from tests.crash.test_failpoints import IN_THE_STORY

from jitgate.audit import Operation

LISTED = [{"id": "a", "justification": "story 7 wish 0"}, {"id": "b", "justification": "story 7 wish 1"}]
CAROL, DAVE = "10.71.3.2", "10.71.4.2"


def seen(ledger: Ledger, *sightings: Sighting) -> list[float]:
    ledger.saw(sightings, len(sightings))
    return [late for _, late in ledger.too_late()]


def sighting(machine: str, port: int, source: str, at: float) -> Sighting:
    """Somebody was let in at that very moment."""
    return Sighting(machine, port, source, at, by=at)


@pytest.fixture
def ledger() -> Ledger:
    """Carol was given a port of each of two machines, for a second, a while ago."""
    made = Ledger()
    for number, machine in enumerate(("web-1", "vm-1")):
        wish = made.wishes[number] = Wish(Ask(number, machine, 22, CAROL, 1), "")
        made.granted(wish, made.began, 1, answered=True)
    return made


def test_a_seed_always_tells_the_same_story_and_another_another() -> None:
    assert tell(17) == tell(17)
    assert tell(17).steps != tell(19).steps


def test_in_a_thousand_stories_everything_breaks_and_every_failpoint_of_the_code_is_tried() -> None:
    acts = [step.act for seed in range(1000) for step in tell(seed).steps]
    broken = {act.kind for act in acts if isinstance(act, Break)}
    assert broken == {"kill", "pause", "failpoint", "cut", "clock", "flush", "cloud", "restart", "disk"}
    tried = {act.failpoint for act in acts if isinstance(act, Break)} - {""}
    assert tried == {*AT_A_SERVER, *AT_AN_AGENT} >= {*IN_THE_STORY, *AT_THE_START, *IN_AZURE}
    assert {type(act) for act in acts} >= {Ask, Edit, Extend}


def test_a_failpoint_that_many_stories_were_to_die_at_and_none_did_is_named() -> None:
    figures, more = Figures(), Figures()
    for each, died in ((figures, 0), (more, 1)):
        each.armed.update({"hosts.nft.before": 15, "link.received": 15, "audit.sealed": 1})
        each.died.update({"link.received": died})
    figures.add(more)
    assert figures.never_died_at(tries=30) == ["hosts.nft.before"]
    assert figures.as_json()["failpointsNeverDiedAt"] == ["audit.sealed", "hosts.nft.before"]


def test_what_was_open_and_never_granted_is_told_in_words_and_in_json() -> None:
    figures = Figures(worst={"host": math.inf, "cloud": 1.5})
    assert json.loads(json.dumps(figures.as_json(), allow_nan=False))["worstCloseLatenessSeconds"]["host"] is None
    assert "cloud 1.5, host never granted" in figures.table()


def test_in_the_dozen_of_every_run_everything_breaks_everywhere() -> None:
    told = [(story.house, step.act) for story in (tell(seed, SHORT) for seed in A_DOZEN) for step in story.steps]
    broken = {(act.kind, act.target) for _, act in told if isinstance(act, Break)}
    killed = {"first", "second", "all of first", "agent", "beside", "gateway"}
    assert broken >= {("kill", target) for target in killed}
    assert broken >= {("failpoint", target) for target in ("first", "second", "agent")}
    assert broken >= {("cut", "agent"), ("cut", "gateway"), ("clock", "first"), ("clock", "agent")}
    assert broken >= {("flush", "web-1"), ("flush", "db-1"), ("restart", "database"), ("cloud", "cloud")}
    assert {house for house, act in told if isinstance(act, Break) and act.kind == "disk"} == set(HOUSES)
    assert {act.how for _, act in told if isinstance(act, Break)} >= {"fails", "throttles"}
    asleep = {
        (house, act.target)
        for house, act in told
        if isinstance(act, Break) and act.kind == "pause" and act.seconds > LEASE.total_seconds()
    }
    assert asleep & {(POSTGRESQL, "first"), (POSTGRESQL, "second")}, "no replica sleeps past its lease"
    assert {target for _, target in asleep} & {"agent", "beside"}, "no agent does"
    assert {type(act) for _, act in told} == {Ask, Decide, Extend, Close, Edit, Break}


@pytest.mark.parametrize("length", [SHORT, LONG])
def test_the_same_thing_does_not_break_twice_at_a_time(length: Length) -> None:
    for seed in range(200):
        until: dict[str, float] = {}
        for step in tell(seed, length).steps:
            if isinstance(step.act, Break):
                assert step.at >= until.get(step.act.broken, 0.0)
                until[step.act.broken] = step.at + step.act.seconds


def test_a_port_that_is_open_within_its_time_is_as_it_should_be(ledger: Ledger) -> None:
    assert seen(ledger, sighting("web-1", 22, CAROL, ledger.began + 0.9)) == []


@pytest.mark.parametrize(("machine", "after"), [("web-1", 1.2), ("vm-1", 9.5)])
def test_a_port_that_is_open_past_its_deadline_is_seen(ledger: Ledger, machine: str, after: float) -> None:
    [late] = seen(ledger, sighting(machine, 22, CAROL, ledger.began + after))
    assert late == pytest.approx(after - 1, abs=0.05)


@pytest.mark.parametrize(
    "other",
    [("web-1", 22, DAVE), ("web-1", 2222, CAROL), ("db-1", 22, CAROL)],
)
def test_what_was_never_granted_is_seen_at_once(ledger: Ledger, other: tuple[str, int, str]) -> None:
    assert len(seen(ledger, sighting(*other, ledger.began + 0.5))) == 1


def test_a_port_that_opens_before_it_is_asked_for_is_seen(ledger: Ledger) -> None:
    assert len(seen(ledger, sighting("web-1", 22, CAROL, ledger.began - 0.1))) == 1


def test_a_knock_that_was_answered_after_somebody_began_to_ask_is_as_it_should_be(ledger: Ledger) -> None:
    assert seen(ledger, Sighting("web-1", 22, CAROL, at=ledger.began - 0.5, by=ledger.began + 0.5)) == []


def test_a_port_that_was_closed_early_must_be_shut_from_then_on(ledger: Ledger) -> None:
    ledger.ended(ledger.wishes[0])
    assert len(seen(ledger, sighting("web-1", 22, CAROL, time.monotonic() + 0.5))) == 1


def test_an_extension_counts_from_its_answer(ledger: Ledger) -> None:
    ledger.granted(ledger.wishes[0], time.monotonic(), 3, answered=True)
    assert seen(ledger, sighting("web-1", 22, CAROL, ledger.began + 2.9)) == []
    assert len(seen(ledger, sighting("web-1", 22, CAROL, time.monotonic() + 3.5))) == 1


def test_a_cloud_has_until_everything_works_again_and_a_host_has_not(ledger: Ledger) -> None:
    ledger.wishes[0].bound = ledger.wishes[1].bound = ledger.began - 60
    ledger.trouble(ledger.began - 61)
    assert seen(ledger, sighting("vm-1", 22, CAROL, ledger.began + 1)) == []
    assert len(seen(ledger, sighting("web-1", 22, CAROL, ledger.began + 1))) == 1


def test_a_port_that_was_left_unprotected_may_be_open_and_no_other(ledger: Ledger) -> None:
    ledger.bare("web-1", 2222, time.monotonic())
    later = time.monotonic() + 1
    assert len(seen(ledger, sighting("web-1", 2222, DAVE, later), sighting("db-1", 2222, DAVE, later))) == 1


class Told(Voice):
    """A server that tells these grants, and these events of each operation."""

    def __init__(self, events: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._events = events

    def pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        if "/grants?" in path:
            return iter([*LISTED, {"id": "c", "justification": "story 6 wish 0"}])
        return iter([{"properties": each} for each in self._events.get(path.rpartition("operation=")[2], ())])


def test_what_was_answered_with_yes_and_is_not_listed_or_not_on_record_is_lost(ledger: Ledger) -> None:
    voice = Told({Operation.REQUEST: [{"grants": [{"grant": "a"}]}, {"grants": [{"grant": "gone"}]}]})
    for uid, lost in (("a", []), ("b", ["b"]), ("gone", ["gone"]), ("", [])):
        ledger.wishes[0].uid = uid
        assert proof.lost(voice, ledger, "story 7") == lost


def test_a_grant_that_opened_twice_by_the_record_is_told() -> None:
    opened = [{"grant": "a"}, {"grant": "b"}, {"grant": "c"}, {"grant": "c"}, {"grant": "b"}]
    assert proof.opened_twice(Told({Operation.GRANT_OPEN: opened}), "story 7") == ["b"]
