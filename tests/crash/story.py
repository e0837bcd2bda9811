"""A story that touches everything which can be cut short: protect, ask, extend, close early, expire.

Its teller does not stop when the server dies under it; it remembers only what the server said yes to.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from tests.netns import ALICE4, ALICE4_SECOND, ALICE6, BOB4, HOST4, HOST6, Network
from tests.processes import Jitgate, until

from jitgate.core.access import State
from jitgate.core.record_trust import Trust
from jitgate.core.verification import Verifier, read_sealed_head
from jitgate.trust.record_key import PUBLIC_FILE
from jitgate.trust.signatures import is_signed

MACHINE = "web-1"
AT_THE_START = ("agent.after_take_up", "agent.before_take_up", "hosts.boot.written")
IN_A_NOTIFICATION = ("notify.sent",)
IN_A_RELEASE = ("agent.after_order", "agent.before_order", "hosts.release.recorded")
IN_THE_RELEASING_COMMAND = ("host.order.given", "host.release.before_opening")
ALICES = "10.71.1.0/24"
EVERY_GRANT = "/api/v1/grants?limit=200&" + "&".join(f"state={state}" for state in State if state is not State.NEW)
SHORT, LONG = 2, 60
"""Seconds that grants last: those which expire in the story, and those which are still open when it ends."""

_HEADS = '[record]\nheads_file = "{}/heads.jsonl"\n'
_GRACE = 0.05
"""Seconds after its end at which a port has to be shut. The kernel shuts up to 4 ms before it."""


@dataclass
class Told:
    """What the server has acknowledged: grants by uid, with the last end that it named, and the closed ones."""

    ends: dict[str, datetime] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)


def installation(armed: Path, network: Network, failpoint: str = "") -> Jitgate:
    """A jitgate that dies where it is told to, while the file `armed` exists."""
    environment = {"JITGATE_FAILPOINT_WHILE": str(armed), "JITGATE_FAILPOINT_LOG": str(armed.with_name("reached"))}
    if failpoint:
        environment["JITGATE_FAILPOINT"] = failpoint
    return Jitgate(armed.parent, {MACHINE: network.host.name}, environment, settings=_HEADS.format(armed.parent))


def tell(jitgate: Jitgate) -> Told:
    """Tell the story, whatever dies meanwhile."""
    told = Told()
    protect(jitgate)
    _ask(jitgate, told, [ALICES], SHORT)
    mine = _ask(jitgate, told, [ALICE4, ALICE6], LONG)
    bobs = _ask(jitgate, told, [BOB4], LONG)
    _change(jitgate, told, mine, "extend", {"duration": f"PT{2 * LONG}S"})
    _change(jitgate, told, bobs, "close", None)
    time.sleep(max(0.0, _seconds_until(min(told.ends.values())) + _GRACE))
    return told


def protect(jitgate: Jitgate) -> None:
    """Protect the machine; asked again until it is, whatever dies meanwhile."""
    until(lambda: _is_protected(jitgate), f"{MACHINE} is not protected")


def assert_kept(jitgate: Jitgate, network: Network, told: Told) -> None:
    """What was promised holds, seen from outside: packets, lists and the record agree."""
    listed = until(lambda: _settled(jitgate), "some grant does not come to rest")
    lost = set(told.ends) - set(listed)
    assert not lost, f"acknowledged and lost: {lost}"
    assert all(listed[uid]["state"] == "closed" for uid in told.closed), "closed early, and not closed"
    held = {source for grant in listed.values() if grant["state"] == "open" for source in grant["sources"]}
    assert _reachable(network) == _expected(held), f"open according to the lists: {held}"
    _assert_recorded(jitgate, listed)


def assert_shut_in_the_end(jitgate: Jitgate, network: Network, told: Told) -> None:
    """Everything can be closed, is proven shut, and nothing is left in the firewall."""
    for uid, grant in until(lambda: _listed(jitgate), "the server does not answer").items():
        if grant["state"] != "closed":
            _change(jitgate, told, uid, "close", None)
    listed = until(lambda: _settled(jitgate), "some grant does not come to rest")
    assert {grant["state"] for grant in listed.values()} == {"closed"}
    assert not _reachable(network)
    assert not network.alice.can_connect(HOST6, 22)


# --- talking to a server that may die ------------------------------------------------------------------


def _ask(jitgate: Jitgate, told: Told, sources: list[str], seconds: int) -> str:
    body = {"machines": [{"id": MACHINE, "ports": [{"number": 22, "sources": sources, "duration": f"PT{seconds}S"}]}]}
    [grant] = _insist(jitgate, "POST", "/api/v1/requests?wait=5", body)["grants"]
    told.ends[grant["id"]] = datetime.fromisoformat(grant["endTimeUtc"])
    return str(grant["id"])


def _change(jitgate: Jitgate, told: Told, uid: str, verb: str, body: object) -> None:
    changed = _insist(jitgate, "POST", f"/api/v1/grants/{uid}/{verb}?wait=5", body)
    if verb == "close":
        told.closed.add(uid)
    else:
        told.ends[uid] = datetime.fromisoformat(changed["endTimeUtc"])


def _insist(jitgate: Jitgate, method: str, path: str, body: object) -> Any:
    """Ask until the server says yes. What it may have done before it died is its own affair."""
    return until(lambda: _yes(jitgate, method, path, body), f"{method} {path} is never answered")


def _yes(jitgate: Jitgate, method: str, path: str, body: object) -> Any:
    try:
        with jitgate.client() as client:
            answer = client.request(method, path, json=body)
    except (httpx.TransportError, FileNotFoundError):
        return None
    assert answer.status_code < 400 or answer.status_code == 503, answer.text
    return answer.json() if answer.is_success else None


def _is_protected(jitgate: Jitgate) -> bool:
    if _yes(jitgate, "GET", "/api/v1/machines", None) is None or jitgate.machine(MACHINE) is None:
        return False
    _insist(jitgate, "POST", "/api/v1/machines/enable?wait=5", {"machines": [MACHINE]})
    machine = jitgate.machine(MACHINE)
    return bool(machine and machine["ports"] and all(port["protected"] for port in machine["ports"]))


# --- looking ---------------------------------------------------------------------------------------------


def _listed(jitgate: Jitgate) -> dict[str, dict[str, Any]] | None:
    answer = _yes(jitgate, "GET", EVERY_GRANT, None)
    return None if answer is None else {grant["id"]: grant for grant in answer["items"]}


def _settled(jitgate: Jitgate) -> dict[str, dict[str, Any]] | None:
    """All grants, once each of them is open with its end ahead, or closed."""
    listed = _listed(jitgate)
    return listed if listed is not None and all(map(_is_at_rest, listed.values())) else None


def _is_at_rest(grant: dict[str, Any]) -> bool:
    if grant["state"] == "open":
        return _seconds_until(datetime.fromisoformat(grant["endTimeUtc"])) > 0
    return bool(grant["state"] == "closed")


def _reachable(network: Network) -> set[str]:
    """Which sources reach the port."""
    clients = {ALICE4: network.alice, ALICE4_SECOND: network.alice, BOB4: network.bob}
    return {source for source, client in clients.items() if client.can_connect(HOST4, 22, source=source)}


def _expected(held: set[str]) -> set[str]:
    inside = {ALICE4: {ALICE4, ALICES}, ALICE4_SECOND: {ALICES}, BOB4: {BOB4}}
    return {source for source, texts in inside.items() if texts & held}


def _assert_recorded(jitgate: Jitgate, listed: dict[str, dict[str, Any]]) -> None:
    asked = {grant["grant"] for event in jitgate.activity("initiate/action") for grant in event["properties"]["grants"]}
    assert set(listed) <= asked, "a grant that nobody is on record as having asked for"
    shut = {event["properties"]["grant"] for event in jitgate.activity("grants/closed")}
    assert {uid for uid, grant in listed.items() if grant["state"] == "closed"} <= shut
    _assert_sealed(jitgate)


def _assert_sealed(jitgate: Jitgate) -> None:
    """The record is sound, and it is the one whose heads were kept elsewhere, a death or not."""
    kept = jitgate.directory / "heads.jsonl"
    with jitgate.client() as client:
        lines = client.get("/api/v1/activity/export?format=sealed").content.splitlines()
    trusted = (jitgate.directory / PUBLIC_FILE).read_text().split()
    heads = [found for line in kept.read_bytes().splitlines() if (found := read_sealed_head(line))]
    assert heads, "no head was kept"
    known = {head.number: head.digest for head, _ in heads}
    finding = Verifier(Trust(trusted, is_signed), known).verify(lines)
    assert finding.is_sound, finding.faults
    assert finding.events


def _seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()
