"""How templates write moments, lengths of time, ports and states. Before scripts run times are in UTC, and say so."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jitgate.core import duration
from jitgate.core.access import CloseReason, State
from jitgate.core.errors import Invalid
from jitgate.core.networks import Networks
from jitgate.core.prefixes import ANYWHERE, Prefix
from jitgate.service.views import GrantView
from jitgate.web.api.forms import texts
from jitgate.web.portal import machine_words

_PORT_NAMES = {22: "SSH", 3389: "RDP", 5985: "WinRM", 5986: "WinRM over TLS"}


def iso(moment: datetime) -> str:
    """For the machine: ``2030-01-01T12:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc(moment: datetime) -> str:
    """For people: ``1 Jan 2030, 12:00 UTC``."""
    at = moment.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def left(until: datetime, now: datetime) -> str:
    """What is left, as a clock: ``1:59:03``."""
    seconds = max(0, int((until - now).total_seconds()))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def spell(length: timedelta) -> str:
    """A length in words: ``2 hours 30 minutes``."""
    minutes = int(length.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [_count(days, "day"), _count(hours, "hour"), _count(rest, "minute")]
    return " ".join(part for part in parts if part) or _count(int(length.total_seconds()), "second") or "no time"


def length_of(text: str) -> timedelta | None:
    """The length that an ISO 8601 text tells; None: it tells none."""
    try:
        return duration.parse(text, "length").length
    except Invalid:
        return None


def spell_text(text: str) -> str:
    """A length that an ISO 8601 text tells, in words; the text itself if it tells none."""
    length = length_of(text)
    return text if length is None else spell(length)


def port_name(number: int) -> str:
    """What usually answers at a port; "" where nothing is usual."""
    return _PORT_NAMES.get(number, "")


def sources(prefixes: Sequence[Prefix], known: Networks | None = None) -> str:
    """Where from, in words. `known`: networks that have names."""
    if set(ANYWHERE) <= set(prefixes):
        return "anywhere"
    names = known.names_of(prefixes) if known else {}
    shown = zip(prefixes, texts(prefixes), strict=True)
    return ", ".join(f"{text} ({names[prefix]})" if prefix in names else text for prefix, text in shown)


def asked_sources(views: Sequence[GrantView]) -> Sequence[Prefix]:
    """From where the ports of a request are asked for, all of them together."""
    return list(dict.fromkeys(source for view in views for source in view.grant.sources))


def asked_networks(views: Sequence[GrantView]) -> Sequence[str]:
    """The names of the networks that they are in."""
    return list(dict.fromkeys(name for view in views for name in view.networks.values()))


def asked_length(views: Sequence[GrantView]) -> str:
    """For how long they are, in words; "" where they have an end instead."""
    lengths = sorted({view.grant.duration.length for view in views if view.grant.duration})
    return " to ".join(spell(length) for length in dict.fromkeys([*lengths[:1], *lengths[-1:]]))


def state_badge(state: State) -> tuple[str, str, str]:
    """A state's tone, icon and word."""
    return {
        State.PENDING: ("warn", "hourglass", "Waits for approval"),
        State.SCHEDULED: ("info", "calendar", "Scheduled"),
        State.OPENING: ("accent", "turning", "Opening"),
        State.OPEN: ("good", "unlock", "Open"),
        State.CLOSING: ("accent", "turning", "Shutting"),
        State.CLOSED: ("", "lock", "Shut"),
    }.get(state, ("", "lock", str(state)))


def reason_text(reason: CloseReason | None) -> str:
    """Why it is shut."""
    return {
        None: "",
        CloseReason.EXPIRED: "its time was over",
        CloseReason.USER_REQUESTED: "done early",
        CloseReason.REVOKED: "closed by somebody else",
        CloseReason.DENIED: "denied",
        CloseReason.WITHDRAWN: "withdrawn",
        CloseReason.APPROVAL_TIMED_OUT: "nobody approved in time",
        CloseReason.SUPERSEDED: "replaced by a newer request",
        CloseReason.POLICY_REMOVED: "its policy is gone",
        CloseReason.MACHINE_REMOVED: "the machine is gone",
        CloseReason.FAILED: "the firewall could not open it",
    }[reason]


def initials(name: str) -> str:
    """One or two letters for a name."""
    words = [word for word in name.replace("@", " ").replace(".", " ").replace("-", " ").split() if word]
    return "".join(word[0] for word in words[:2]) or "?"


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day, in UTC."""

    key: str
    title: str
    items: Sequence[Any]


def by_day(entries: Sequence[Any]) -> list[Day]:
    """Entries of a timeline, gathered by the day of their `at`."""
    days = itertools.groupby(entries, key=lambda entry: entry.at.astimezone(UTC).date())
    return [Day(day.isoformat(), f"{day:%A}, {day.day} {day:%B %Y}", tuple(found)) for day, found in days]


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}" if number else ""


FILTERS: Mapping[str, Callable[..., Any]] = {
    "iso": iso,
    "utc": utc,
    "left": left,
    "spell": spell,
    "iso_length": duration.iso,
    "length_of": length_of,
    "spell_text": spell_text,
    "port_name": port_name,
    "sources": sources,
    "asked_sources": asked_sources,
    "asked_networks": asked_networks,
    "asked_length": asked_length,
    "state_badge": state_badge,
    "reason_text": reason_text,
    "initials": initials,
    **machine_words.FILTERS,
    "by_day": by_day,
}
