"""How rules are named and described: by that they are known as ours, and when they must be shut.

A rule has no tags. Its name says what it is for, its description whose it is, and the earliest end of what it lets
through, so that a sweep that knows nothing else can shut it. Names have at most 80 characters, descriptions 140.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from jitgate.core.desired import PortKey
from jitgate.core.resource_id import key

LONGEST_DESCRIPTION = 140
_PREFIX = "jitgate-"
_DENY, _ALLOW, _BASTION = "jitgate-deny", "jitgate-allow", "jitgate-bastion"
_NAME = re.compile(r"jitgate-(deny|allow|bastion)-(?P<tag>[0-9a-f]{12})(-[0-9]{1,5})?(-(tcp|udp|any))?-v[46]")
_MARK = re.compile(r"\[jitgate (?P<scope>[0-9a-f]{12})(?: until (?P<until>[0-9T:-]{19}Z))?\]\Z", re.ASCII)
# Microsoft's own just-in-time access, since May 2023 and before.
_MICROSOFT = re.compile(r"(MicrosoftDefenderForCloud|SecurityCenter)-JITRule[_-]|(MDC|ASC)-JIT\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a description of ours says. `scope`: the tag of its scope; `until`: the earliest end (UTC), if it opens."""

    scope: str
    until: datetime | None = None


def tag(text: str) -> str:
    """Twelve characters that stand for a machine's UUID or a scope."""
    return hashlib.sha256(key(text).encode()).hexdigest()[:12]


def deny_name(machine: str, protocol: str, family: int) -> str:
    """The deny of a machine. `protocol`: any, tcp or udp."""
    return f"{_DENY}-{tag(machine)}-{protocol}-v{family}"


def allow_name(machine: str, port: int, protocol: str, family: int) -> str:
    """What opens one port of a machine, for sources of one address family. `protocol`: any, tcp or udp."""
    return f"{_ALLOW}-{tag(machine)}-{port}-{protocol}-v{family}"


def allow_names(machine: str, port: int) -> frozenset[str]:
    """The names of all rules that can open one port of a machine."""
    return frozenset(allow_name(machine, port, protocol, v) for protocol in ("any", "tcp", "udp") for v in (4, 6))


def port_part(name: str) -> str:
    """What names of rules of one machine and port have in common."""
    return "-".join(key(name).split("-")[:4])


def bastion_name(machine: str, family: int) -> str:
    """What lets Azure Bastion through to a machine."""
    return f"{_BASTION}-{tag(machine)}-v{family}"


def nat_name(target: PortKey) -> str:
    """The DNAT rule of one port of a machine."""
    return f"jitgate-nat-{tag(target.machine)}-{target.port}-{target.protocol.lower()}"


def is_nat(name: str) -> bool:
    """Whether a name is one that a DNAT rule of ours has."""
    return re.fullmatch(r"jitgate-nat-[0-9a-f]{12}-\d{1,5}-[a-z]+", key(name)) is not None


def describe(what: str, scope: str, until: datetime | None = None) -> str:
    """A description with our mark at its end; `what` is shortened to make it fit. `until` is cut to whole seconds, so
    that it is never later than the end itself."""
    end = f" until {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if until else ""
    mark = f" [jitgate {tag(scope)}{end}]"
    room = LONGEST_DESCRIPTION - len(mark)
    return (what if len(what) <= room else what[: room - 1] + "…") + mark


def mark_of(description: str) -> Mark | None:
    """Our mark in a description; None: it is not ours, or somebody has changed it."""
    found = _MARK.search(description)
    if found is None:
        return None
    until = found["until"]
    try:
        return Mark(found["scope"], datetime.fromisoformat(until) if until else None)
    except ValueError:
        return None


def machine_tag_of(name: str) -> str | None:
    """The tag of the machine in a name that looks like ours."""
    found = _NAME.fullmatch(key(name))
    return found["tag"] if found else None


def is_ours(name: str, description: str) -> bool:
    """Whether name and mark prove a rule to be ours, of a group or of a firewall. Looking alike is not enough."""
    return (machine_tag_of(name) is not None or is_nat(name)) and mark_of(description) is not None


def opens(name: str) -> bool:
    """Whether a name of ours is that of a rule that opens for a time."""
    return key(name).startswith(_ALLOW + "-")


def is_microsofts(name: str, description: str = "") -> bool:
    """Whether Microsoft's own just-in-time access has written a rule."""
    return bool(_MICROSOFT.match(name)) or description.startswith(("MDC JIT", "ASC JIT"))
