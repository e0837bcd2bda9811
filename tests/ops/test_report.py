"""A host's status tells people and programs the same."""

from dataclasses import replace
from datetime import UTC, datetime

from jitgate.connectors.hosts.on_site import Opening, Status
from jitgate.connectors.hosts.releases import Release
from jitgate.connectors.hosts.roster import Host
from jitgate.connectors.hosts.status import as_json, as_text
from jitgate.core.desired import AccessKey, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

END = datetime(2030, 1, 1, 12, tzinfo=UTC)
KEY = AccessKey("uuid-1", 22, Protocol.TCP, Prefix("203.0.113.7/32"))
PROTECTED = Status(
    Host("web-1", "uuid-1", "blue"),
    agent=7,
    ports=((Protocol.TCP, 22, SessionEnd.END),),
    openings=(Opening(KEY, END, 3725.5),),
)


def test_people_read_what_is_shut_and_what_is_open_for_how_long() -> None:
    assert list(as_text(PROTECTED)) == [
        "web-1 (namespace blue): protected; agent 7",
        "  shut  tcp/22, sessions end with their grant",
        "  open  tcp/22 from 203.0.113.7 for 1:02:05, until 2030-01-01 12:00:00 UTC",
    ]


def test_programs_read_the_same() -> None:
    told = as_json(PROTECTED)
    assert told["protected"] == [{"port": 22, "protocol": "TCP", "sessions": "end"}]
    assert told["open"][0] == {
        "port": 22,
        "protocol": "TCP",
        "source": "203.0.113.7/32",
        "endTimeUtc": "2030-01-01T12:00:00.000+00:00",
        "secondsLeft": 3725.5,
    }


def test_a_release_is_said_first_with_who_and_why() -> None:
    released = replace(PROTECTED, release=Release(True, END.isoformat(), "root", "locked out"), ports=(), openings=())
    [line] = as_text(released)
    assert "RELEASED" in line
    assert "root" in line
    assert "locked out" in line
    assert as_json(released)["released"] == {"by": "root", "at": END.isoformat(), "reason": "locked out"}


def test_what_cannot_be_told_is_not_called_protected() -> None:
    unknown = Status(PROTECTED.host, agent=None, error="no right to read the firewall")
    [line] = as_text(unknown)
    assert "unknown, no right to read the firewall" in line
    assert "no agent is running" in line
