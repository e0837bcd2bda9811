"""The rules of a machine's own group: what must stand there, and what has to change for that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from jitgate.connectors.aws.world import MARK, UNTIL, Rule
from jitgate.core import prefixes
from jitgate.core.desired import AccessKey, Desired
from jitgate.core.prefixes import Prefix

_FORM = "%Y-%m-%dT%H:%M:%SZ"


class Hole(NamedTuple):
    """What one rule of ours lets through."""

    protocol: str
    port: int
    prefix: Prefix

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port} from {self.prefix}"


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be done to the rules that stand.

    `revoke`  ids, with what each is
    `add`     what is missing, with its end
    `renew`   ids of rules that stand with another end, or without our mark
    """

    revoke: Mapping[str, Rule]
    add: Mapping[Hole, datetime]
    renew: Mapping[str, datetime]

    def __bool__(self) -> bool:
        return bool(self.revoke or self.add or self.renew)


def wanted(desired: Desired) -> dict[AccessKey, datetime]:
    """What must be open, with its end."""
    return {key: end for key, end in desired.access.items() if end is not None and end > desired.at}


def ports_of(desired: Desired) -> list[str]:
    """The ports that are to be protected."""
    return sorted(map(str, desired.protected))


def holes(access: Mapping[AccessKey, datetime]) -> dict[Hole, datetime]:
    """The rules that it takes: per port the union of all sources, collapsed where the ends allow it.

    A narrow source inside of a wide one needs a rule only if it lasts longer.
    """
    by_port: dict[tuple[str, int], dict[datetime, list[Prefix]]] = {}
    for key, end in access.items():
        by_port.setdefault((key.protocol.lower(), key.port), {}).setdefault(end, []).append(key.prefix)
    found: dict[Hole, datetime] = {}
    for (protocol, port), by_end in by_port.items():
        kept: list[Prefix] = []
        for end in sorted(by_end, reverse=True):
            fresh = [one for one in prefixes.collapse(by_end[end]) if not any(prefixes.covers(k, one) for k in kept)]
            kept += fresh
            found |= {Hole(protocol, port, prefix): end for prefix in fresh}
    return found


def changes(standing: Iterable[Rule], instance: str, needed: Mapping[Hole, datetime], desired: Desired) -> Changes:
    """What it takes, from the rules that stand. A look at a part leaves other ports alone, until their ends."""
    missing = dict(needed)
    revoke: dict[str, Rule] = {}
    renew: dict[str, datetime] = {}
    asked = {(key.protocol.lower(), key.port) for key in desired.access}
    for rule in standing:
        hole = hole_of(rule)
        end = missing.pop(hole, None) if hole else None
        if end is None:
            if desired.complete or (hole is not None and hole[:2] in asked) or is_over(rule, desired.at):
                revoke[rule.id] = rule
        elif rule.tags.get(MARK) != instance or rule.tags.get(UNTIL) != stamp(end):
            renew[rule.id] = end
    return Changes(revoke, missing, renew)


def hole_of(rule: Rule) -> Hole | None:
    """What a rule lets through, if it is one that we would have made."""
    protocol, first, last = rule.part
    cidr = rule.source.get("CidrIpv4") or rule.source.get("CidrIpv6")
    if cidr is None or first != last or protocol not in ("tcp", "udp"):
        return None
    return Hole(protocol, first, prefixes.canonical(cidr))


def is_over(rule: Rule, now: datetime) -> bool:
    """Whether a rule of ours has outlived its end, by its own tag."""
    until = rule.tags.get(UNTIL)
    return until is not None and until <= now.astimezone(UTC).strftime(_FORM)


def stamp(moment: datetime) -> str:
    """A moment as a tag, to the second, rounded up: a rule is never shut early by it."""
    whole = moment.astimezone(UTC).timestamp()
    return datetime.fromtimestamp(-(-whole // 1), UTC).strftime(_FORM)


def description(end: datetime) -> str:
    """What a rule of ours says of itself."""
    return f"{MARK} until {stamp(end)}"


def permissions(found: Iterable[Hole], says: str) -> list[dict[str, Any]]:
    """Rules as Amazon wants them, a permission for each port."""
    by_port: dict[tuple[str, int], list[Prefix]] = {}
    for hole in found:
        by_port.setdefault((hole.protocol, hole.port), []).append(hole.prefix)
    return [_permission(protocol, port, sources, says) for (protocol, port), sources in by_port.items()]


def tags_for(instance: str, end: datetime) -> list[dict[str, str]]:
    """The tags of a rule of ours."""
    return [{"Key": MARK, "Value": instance}, {"Key": UNTIL, "Value": stamp(end)}]


def _permission(protocol: str, port: int, sources: Sequence[Prefix], says: str) -> dict[str, Any]:
    fours = [{"CidrIp": one, "Description": says} for one in sources if prefixes.family(one) == 4]
    sixes = [{"CidrIpv6": one, "Description": says} for one in sources if prefixes.family(one) == 6]
    ranges = ({"IpRanges": fours} if fours else {}) | ({"Ipv6Ranges": sixes} if sixes else {})
    return {"IpProtocol": protocol, "FromPort": port, "ToPort": port, **ranges}
