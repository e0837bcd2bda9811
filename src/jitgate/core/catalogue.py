"""The catalogue of machines: how each stands with just-in-time access, and what people look for in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jitgate.core.errors import Invalid
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.resource_id import check_scope, covers, key

LONGEST_SEARCH = 200
MOST_TAGS = 10
_MOST_NOTICES, _LONGEST_NOTICE = 20, 500


class Standing(StrEnum):
    """How a machine stands with just-in-time access: the three tabs of Microsoft's page."""

    CONFIGURED = "configured"
    NOT_CONFIGURED = "notConfigured"
    UNSUPPORTED = "unsupported"


class Order(StrEnum):
    """By what a list is sorted: by name, the most exposed first, or the latest access first."""

    NAME = "name"
    EXPOSURE = "exposure"
    ACCESS = "lastAccess"


class Front(StrEnum):
    """What holds a machine's ports. Where a firewall and a group of rules both do, the firewall is told."""

    HOST = "hostFirewall"
    GATEWAY = "gateway"
    SECURITY_GROUP = "securityGroup"
    AZURE_FIREWALL = "azureFirewall"
    UNKNOWN = "unknown"


_FRONTS = {
    "host": Front.HOST,
    "gateway": Front.GATEWAY,
    "aws": Front.SECURITY_GROUP,
    "azure": Front.SECURITY_GROUP,
}


@dataclass(frozen=True, slots=True)
class Sought:
    """What somebody looks for; what is empty or None leaves nothing out.

    `scope`  a subscription or resource group, as a scope path
    `tags`   each ``name`` or ``name=value``; a machine has them all. Compared without case
    `text`   stands somewhere in a machine's name, addresses or tags
    """

    standing: Standing | None = None
    scope: str = "/"
    connector: str = ""
    os: OperatingSystem | None = None
    tags: Sequence[str] = ()
    text: str = ""


def check(sought: Sought) -> None:
    """Raise Invalid for what nobody can look for."""
    check_scope(sought.scope, "scope")
    if len(sought.tags) > MOST_TAGS:
        raise Invalid("tag", f"{len(sought.tags)} tags are too many", allowed=f"{MOST_TAGS} at most")
    for name, text in (("search", sought.text), *(("tag", tag) for tag in sought.tags)):
        if len(text) > LONGEST_SEARCH:
            raise Invalid(name, f"{len(text)} characters are too many", allowed=f"{LONGEST_SEARCH} at most")


def words(machine: Machine) -> str:
    """What a machine is found by, a line each and in one case: its name, addresses and tags."""
    lines = [machine.name, *machine.addresses]
    for name, value in machine.tags.items():
        lines += [f"{name}=", f"{name}={value}"]
    return "\n" + "".join(key(" ".join(line.split())) + "\n" for line in lines)


def front(machine: Machine) -> Front:
    """What holds a machine's ports, as its connector tells; the firewall alone where both do (J9)."""
    if machine.provider == "azure" and machine.facts.get("firewall"):
        return Front.AZURE_FIREWALL
    return _FRONTS.get(machine.provider, Front.UNKNOWN)


def notices(machine: Machine) -> list[str]:
    """What its connector has to say to people about a machine. It is believed no further than that these are texts."""
    told = machine.facts.get("notices")
    return [str(each)[:_LONGEST_NOTICE] for each in told[:_MOST_NOTICES]] if isinstance(told, list | tuple) else []


def disjoint(scopes: Sequence[str]) -> tuple[str, ...]:
    """Scope paths without those that lie within another of them."""
    kept: list[str] = []
    for scope in sorted(scopes, key=len):
        if not any(covers(wide, scope) for wide in kept):
            kept.append(scope)
    return tuple(kept)


def within(scopes: Sequence[str], place: str) -> tuple[str, ...]:
    """What is left of some scope paths inside a place."""
    met = [place if covers(scope, place) else scope for scope in scopes if covers(scope, place) or covers(place, scope)]
    return disjoint(met)
