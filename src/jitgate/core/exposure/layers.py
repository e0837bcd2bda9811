"""Filters that a packet passes on its way to a machine, one after the other, and what gets through.

A layer is a list of rules of which the first that fits decides: a network security group, a network's access list, a
table of nftables. A union of allowing rules, such as a security group's of AWS, is the same without rules that deny.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import groupby

from jitgate.core.desired import Protocol
from jitgate.core.exposure.addresses import EVERYWHERE, NOWHERE, Addresses, union

Ports = tuple[tuple[int, int], ...]
ALL_PORTS: Ports = ((0, 65535),)


class Verdict(Enum):
    """ALWAYS: allowed, and no later layer is asked (a virtual network manager's AlwaysAllow)."""

    ALLOW = "allow"
    DENY = "deny"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What one rule says. Two are the same only if they are one.

    `id`            what people find it by
    `protocol`      ANY: of every one
    `destinations`  None: whatever its layer is in front of
    `ours`          jitgate wrote it
    `condition`     what else it asks of a packet, which is not judged here, such as source ports; "" for nothing
    """

    id: str
    verdict: Verdict
    sources: Addresses
    ports: Ports = ALL_PORTS
    protocol: Protocol = Protocol.ANY
    destinations: Addresses | None = None
    ours: bool = False
    condition: str = ""

    def is_about(self, protocol: Protocol, port: int) -> bool:
        """Whether it says anything of a port."""
        if self.protocol is not Protocol.ANY and self.protocol is not protocol:
            return False
        # A denial that asks for more than is judged here denies nothing for certain.
        if self.condition and self.verdict is Verdict.DENY:
            return False
        return any(low <= port <= high for low, high in self.ports)

    def covers(self, destination: Addresses) -> bool:
        """Whether it says anything of a destination."""
        return self.destinations is None or bool(self.destinations & destination)


class Layer:
    """Rules in the order in which they are asked, and what becomes of the rest."""

    __slots__ = ("_about", "otherwise", "rules")

    def __init__(self, rules: Sequence[Rule], otherwise: Verdict = Verdict.DENY) -> None:
        self.rules = tuple(rules)
        self.otherwise = otherwise
        self._about: dict[tuple[Protocol, int], tuple[Rule, ...]] = {}

    def about(self, protocol: Protocol, port: int) -> tuple[Rule, ...]:
        """The rules that say something of a port. Machines that share a layer share the answer."""
        at = (protocol, port)
        if (found := self._about.get(at)) is None:
            found = self._about[at] = tuple(rule for rule in self.rules if rule.is_about(protocol, port))
        return found


@dataclass(frozen=True, slots=True)
class Passed:
    """What gets through: from where, by which rules."""

    sources: Addresses
    rules: tuple[Rule, ...] = ()


def passed(
    layers: Iterable[Layer], destination: Addresses, protocol: Protocol, port: int, left_out: frozenset[Verdict]
) -> Passed:
    """What gets through all layers to a port of a destination.

    `left_out`: of jitgate's own rules, those with these verdicts count as if they were not there.
    """
    through, always, by = EVERYWHERE, NOWHERE, list[tuple[Rule, Addresses]]()
    for layer in layers:
        asked = tuple(
            rule
            for rule in layer.about(protocol, port)
            if not (rule.ours and rule.verdict in left_out) and rule.covers(destination)
        )
        allowed, at_once, hits = _decided(asked, layer.otherwise)
        always |= at_once & through
        through = through & allowed
        by += hits
    found = through | always
    return Passed(found, tuple(rule for rule, hit in by if hit & found))


@lru_cache(maxsize=4096)
def _decided(
    asked: tuple[Rule, ...], otherwise: Verdict
) -> tuple[Addresses, Addresses, Sequence[tuple[Rule, Addresses]]]:
    """What rules allow, what they allow for good, and which of them allows what. Many machines ask the same ones."""
    undecided, allowed, always = EVERYWHERE, NOWHERE, NOWHERE
    hits: list[tuple[Rule, Addresses]] = []
    for verdict, together in groupby(asked, lambda rule: rule.verdict):
        if verdict is Verdict.DENY:
            undecided = undecided - union(rule.sources for rule in together)
            continue
        before = len(hits)
        for rule in together:
            if hit := undecided & rule.sources:
                hits.append((rule, hit))
                undecided = undecided - hit
        let_in = union(hit for _, hit in hits[before:])
        if verdict is Verdict.ALLOW:
            allowed |= let_in
        else:
            always |= let_in
    return (allowed if otherwise is Verdict.DENY else allowed | undecided), always, hits
