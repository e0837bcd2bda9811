"""What people type: machines, ports, lengths of time and ends."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from jitgate.cli.exits import Usage
from jitgate.core import duration, policy
from jitgate.core.errors import Invalid

NAMED_PORTS = {"ssh": (22, "TCP"), "rdp": (3389, None), "winrm": (5985, "TCP"), "winrms": (5986, "TCP")}
_PORT = re.compile(r"(?P<number>\d{1,5})(?:/(?P<protocol>tcp|udp|any))?", re.IGNORECASE)
_CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?")

ForOption = Annotated[
    str | None,
    typer.Option("--for", help="How long: 2h, 90m, 1h30m. Without it: as long as the policy allows.", metavar="TIME"),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until", help="Until when: 17:30, or 2030-01-31T17:30; local time unless it says otherwise.", metavar="WHEN"
    ),
]
StartOption = Annotated[
    str | None,
    typer.Option("--at", help="When to open, as for --until. Without it: now.", metavar="WHEN"),
]


@dataclass(frozen=True, slots=True)
class PortWord:
    """A port as it was typed. `protocol`: None for whatever the policy has."""

    number: int
    protocol: str | None = None

    def body(self) -> dict[str, Any]:
        """The port as the server takes it."""
        return {"number": self.number} | ({} if self.protocol is None else {"protocol": self.protocol})


def port(word: str) -> PortWord | None:
    """The port that a word means; None: it means a machine. Raises Invalid for a number that is no port."""
    if word.lower() in NAMED_PORTS:
        return PortWord(*NAMED_PORTS[word.lower()])
    found = _PORT.fullmatch(word)
    if found is None:
        return None
    protocol = (found["protocol"] or "").upper()
    return PortWord(policy.check_number(int(found["number"]), word), "*" if protocol == "ANY" else protocol or None)


def needed_port(word: str) -> PortWord:
    """The same where only a port makes sense. Raises Usage."""
    found = port(word)
    if found is None:
        raise Usage(f"{word!r} is not a port. Give a number such as 22 or 53/udp, or one of {', '.join(NAMED_PORTS)}.")
    return found


def machines_and_ports(words: Sequence[str]) -> tuple[list[str], list[PortWord]]:
    """Tell machines and ports apart by their form. Raises Usage where either is missing."""
    ports = [found for word in words if (found := port(word))]
    machines = [word for word in words if port(word) is None]
    if not machines:
        raise Usage(
            "Name at least one machine. `jitgate machine ls` shows them; one whose name looks like a port has an id."
        )
    if not ports:
        raise Usage(f"Name at least one port: a number such as 22 or 53/udp, or one of {', '.join(NAMED_PORTS)}.")
    return list(dict.fromkeys(machines)), list(dict.fromkeys(ports))


def span(length: str | None, until: str | None) -> dict[str, str]:
    """How long, as the server takes it; empty if nothing was said. Raises Usage, Invalid."""
    if length is not None and until is not None:
        raise Usage("--for and --until exclude each other. Give one of them.")
    if length is not None:
        return {"duration": duration.parse_short(length, "--for").text}
    if until is not None:
        return {"endTimeUtc": in_utc(end(until, datetime.now().astimezone()))}
    return {}


def start(text: str | None) -> str | None:
    """When to open, as the server takes it. Raises Usage."""
    return None if text is None else in_utc(end(text, datetime.now().astimezone()))


def needed_span(length: str | None, until: str | None) -> dict[str, str]:
    """The same where a new end must be given. Raises Usage."""
    found = span(length, until)
    if not found:
        raise Usage("Say the new end: --for 2h counts from now, --until 17:30 names it.")
    return found


def end(text: str, now: datetime) -> datetime:
    """A time ahead that somebody typed; a time of day is the next one. `now` carries the local zone. Raises Usage."""
    found = _moment(text, now)
    return found + timedelta(days=1) if _is_clock(text) and found <= now else found


def since(text: str | None, now: datetime) -> str | None:
    """A time past: so long ago (``2h``), or a time, of which a time of day is the last one. Raises Usage."""
    if text is None:
        return None
    with suppress(Invalid):
        return in_utc(now - duration.parse_short(text, "--since").length)
    found = _moment(text, now)
    return in_utc(found - timedelta(days=1) if _is_clock(text) and found > now else found)


def _is_clock(text: str) -> bool:
    return _CLOCK.fullmatch(text.strip()) is not None


def _moment(text: str, now: datetime) -> datetime:
    """A time; a time of day is today's."""
    clock = _CLOCK.fullmatch(text.strip())
    try:
        if clock is not None:
            hour, minute, second = (int(part or 0) for part in clock.groups())
            return now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        found = datetime.fromisoformat(text.strip())
        return found if found.tzinfo else found.astimezone()
    except (ValueError, OverflowError):
        raise Usage(f"{text!r} is not a time. Give 17:30, or 2030-01-31T17:30, or 2030-01-31T17:30Z.") from None


def in_utc(moment: datetime) -> str:
    """A moment as the server takes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
