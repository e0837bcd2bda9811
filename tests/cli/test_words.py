"""What people type, and what it means."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.cli import words
from jitgate.cli.exits import Usage
from jitgate.cli.words import PortWord
from jitgate.core.errors import Invalid

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2030, 5, 1, 15, 0, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("22", PortWord(22)),
        ("ssh", PortWord(22, "TCP")),
        ("RDP", PortWord(3389)),
        ("winrm", PortWord(5985, "TCP")),
        ("winrms", PortWord(5986, "TCP")),
        ("53/udp", PortWord(53, "UDP")),
        ("443/TCP", PortWord(443, "TCP")),
        ("53/any", PortWord(53, "*")),
        ("web-1", None),
        ("22a", None),
        ("web/22", None),
        ("/subscriptions/x", None),
    ],
)
def test_a_port_is_told_from_a_machine_by_its_form(word: str, expected: PortWord | None) -> None:
    assert words.port(word) == expected


@pytest.mark.parametrize("word", ["0", "65536", "99999"])
def test_a_number_that_is_no_port_is_refused_and_never_taken_for_a_machine(word: str) -> None:
    with pytest.raises(Invalid, match="1 to 65535"):
        words.port(word)


@given(st.lists(st.sampled_from(["22", "ssh", "53/udp", "web-1", "db-1", "win-1"]), min_size=1))
def test_no_word_gets_lost_and_none_is_counted_twice(given_words: list[str]) -> None:
    try:
        machines, ports = words.machines_and_ports(given_words)
    except Usage:
        assert not {"22", "ssh", "53/udp"} & set(given_words) or not {"web-1", "db-1", "win-1"} & set(given_words)
        return
    assert sorted([*machines, *(word for word in set(given_words) if words.port(word))]) == sorted(set(given_words))
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17:30", datetime(2030, 5, 1, 17, 30, tzinfo=ZONE)),
        ("09:00", datetime(2030, 5, 2, 9, 0, tzinfo=ZONE)),
        ("15:00", datetime(2030, 5, 2, 15, 0, tzinfo=ZONE)),
        ("2030-05-03T12:00Z", datetime(2030, 5, 3, 12, 0, tzinfo=UTC)),
        ("2030-05-03 12:00+05:30", datetime(2030, 5, 3, 6, 30, tzinfo=UTC)),
    ],
)
def test_an_end_lies_ahead_by_the_local_clock_unless_it_names_its_own(text: str, expected: datetime) -> None:
    assert words.end(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2030-05-01T11:00:00Z"),
        ("09:00", "2030-05-01T07:00:00Z"),
        ("17:30", "2030-04-30T15:30:00Z"),
        ("2030-04-01T00:00Z", "2030-04-01T00:00:00Z"),
        (None, None),
    ],
)
def test_a_beginning_lies_in_the_past(text: str | None, expected: str | None) -> None:
    assert words.since(text, NOW) == expected


@pytest.mark.parametrize("text", ["25:00", "12:61", "tomorrow", "", "2030-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="is not a time"):
        words.end(text, NOW)
