"""How a story ends: everything comes to rest, and every port is seen to be as the record says, then to be shut."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain, repeat
from typing import Any, TypeVar

from tests.chaos.ledger import Ledger, Sighting, Wish
from tests.chaos.scene import Scene
from tests.chaos.story import Ask
from tests.chaos.telling import protect
from tests.chaos.voice import Voice
from tests.chaos.watch import knock, targets
from tests.chaos.world import MACHINES, NUMBERS, PORTS, sources

from jitgate.audit import Operation
from jitgate.core.access import State

Grant = Mapping[str, Any]
Way = tuple[str, int, str]
T = TypeVar("T")
_GRANTS = "/api/v1/grants?limit=100&" + "&".join(f"state={state}" for state in State if state is not State.NEW)
_REST_SECONDS, _OPEN_SECONDS = 120.0, 600
"""How long is waited at the most: also on a machine that does much else besides."""
_ANSWERS_WITHIN = (0.25, 0.5, 1.0, 2.0)
"""How long a port is listened to, the longer the more often what was heard did not agree with the record."""


def prove(scene: Scene, voice: Voice, ledger: Ledger, story: str) -> None:
    """See to it. Raises AssertionError, which says what is not as it should be."""
    protect(voice)
    _until(lambda: _is_at_rest(_grants(voice, story)), "some grant does not come to rest")
    ledger.note("at rest; once more for everybody")
    _open_everywhere(voice, ledger, story)
    patience = chain(_ANSWERS_WITHIN, repeat(_ANSWERS_WITHIN[-1]))
    _until(lambda: _agrees(scene, voice, story, next(patience)), lambda: _difference(scene, voice, story))
    for grant in _grants(voice, story).values():
        if grant["state"] != "closed":
            voice.insist("POST", f"/api/v1/grants/{grant['id']}/close")
    _until(lambda: not _live(_grants(voice, story)), "some grant is never closed")
    ledger.note("all closed")
    reached = _reached(scene, _ANSWERS_WITHIN[-2])
    assert not reached, f"every grant is closed, and open is: {reached}"


def lost(voice: Voice, ledger: Ledger, story: str) -> list[str]:
    """What a server said yes to, and is not in its lists or not on its record."""
    listed = _grants(voice, story)
    asked = {
        grant["grant"]
        for event in _events(voice, Operation.REQUEST, len(listed))
        for grant in event["properties"].get("grants", ())
    }
    yes = [wish.uid for wish in ledger.wishes.values() if wish.uid]
    return [uid for uid in yes if uid not in listed or uid not in asked]


def opened_twice(voice: Voice, story: str) -> list[str]:
    """Grants that opened more than once, by the record."""
    listed = _grants(voice, story)
    events = _events(voice, Operation.GRANT_OPEN, len(listed))
    opened = [event["properties"].get("grant") for event in events]
    return [uid for uid in listed if opened.count(uid) > 1]


def _open_everywhere(voice: Voice, ledger: Ledger, story: str) -> None:
    """Ask for a port of each machine, all or nothing: whatever was broken, there is service again."""
    asks = [Ask(-1 - at, each, PORTS[0], sources(each)[0], _OPEN_SECONDS) for at, each in enumerate(MACHINES)]
    for ask in asks:
        wish = ledger.wishes[ask.number] = Wish(ask, f"{story} in the end")
        ledger.granted(wish, time.monotonic(), ask.seconds, answered=True)
    machines = [
        {"id": ask.machine, "ports": [{"number": ask.port, "sources": [ask.source], "duration": f"PT{ask.seconds}S"}]}
        for ask in asks
    ]
    body = {"machines": machines, "justification": f"{story} in the end"}
    request = voice.insist("POST", "/api/v1/requests", body)["id"]
    _until(
        lambda: all(
            grant["state"] == "open" for grant in voice.insist("GET", f"/api/v1/requests/{request}?wait=5")["grants"]
        ),
        "a port that is asked for after all is over does not open",
    )


def _grants(voice: Voice, story: str) -> dict[str, Grant]:
    """The grants of a story: the newest."""
    found: dict[str, Grant] = {}
    for grant in voice.pages(_GRANTS):
        if not grant["justification"].startswith(f"{story} "):
            break
        found[grant["id"]] = grant
    return found


def _live(grants: Mapping[str, Grant]) -> list[Grant]:
    return [grant for grant in grants.values() if grant["state"] != "closed"]


def _is_at_rest(grants: Mapping[str, Grant]) -> bool:
    return all(grant["state"] in {"open", "pending"} for grant in _live(grants))


def _open_by_record(grants: Mapping[str, Grant]) -> set[Way]:
    return {
        (grant["machine"], grant["port"], source.partition("/")[0])
        for grant in grants.values()
        if grant["state"] in {"open", "opening", "closing"}
        for source in grant["sources"]
    }


def _reached(scene: Scene, within: float) -> set[Way]:
    """Every port, tried from every source."""
    seen: list[Sighting] = []
    for name in NUMBERS:
        seen += scene.places[name].inside(partial(_knock, scene, name, within))
    return {(each.machine, each.port, each.source) for each in seen}


def _knock(scene: Scene, name: str, within: float) -> list[Sighting]:
    return knock(targets(scene, name), within)


def _agrees(scene: Scene, voice: Voice, story: str, within: float) -> bool:
    """Whether ports and record agree; the record is read before and after, since time does not stand still."""
    before = _open_by_record(_grants(voice, story))
    reached = _reached(scene, within)
    return before == reached == _open_by_record(_grants(voice, story))


def _difference(scene: Scene, voice: Voice, story: str) -> str:
    said, seen = _open_by_record(_grants(voice, story)), _reached(scene, _ANSWERS_WITHIN[-1])
    return f"open and not on record: {seen - said}; on record and not open: {said - seen}"


def _events(voice: Voice, operation: str, most: int) -> list[Mapping[str, Any]]:
    """What is on record of an operation, of as many last times as can concern a story."""
    found: list[Mapping[str, Any]] = []
    for event in voice.pages(f"/api/v1/activity?limit=100&operation={operation}"):
        found.append(event)
        if len(found) >= 4 * most + 20:
            break
    return found


def _until(holds: Callable[[], bool], otherwise: str | Callable[[], str]) -> None:
    give_up = time.monotonic() + _REST_SECONDS
    while not holds():
        assert time.monotonic() < give_up, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.2)
