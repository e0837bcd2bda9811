"""Which writes it takes to make wanted rules stand in one network security group. Pure: no call is made here.

Others' rules are never changed or renumbered. Ours go where a number is free: what opens as low as possible, a deny
behind all that, but in front of what others let through. A number, once given, stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from jitgate.connectors.azure.names import is_ours, mark_of, port_part
from jitgate.connectors.azure.rules import SUCCEEDED, Nsg, Rule, Wanted, covers_port
from jitgate.core import prefixes
from jitgate.core.resource_id import key

FIRST, LAST = 100, 4096
"""The priorities that Azure allows. The lowest decides first."""
FIRST_DENY = 1000
"""Where denies begin, unless others let something through in front of that."""
ROOM = 10
"""So many numbers are left in front of a deny for what opens."""
MOST_RULES = 1000
MOST_PREFIXES = 4000


@dataclass(frozen=True, slots=True)
class Put:
    """Make a rule stand. `was`: the one of that name that stands."""

    wanted: Wanted
    priority: int
    was: Rule | None = None

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def shuts(self) -> bool:
        """Whether it takes something away from what is let through."""
        return self.wanted.access == "deny" or (
            self.was is not None and (self.was.is_spoiled or self.wanted.lets_through_less_than(self.was))
        )

    @property
    def due(self) -> datetime | None:
        """When the first of what stands has to go, by its mark."""
        return _end_of(self.was)


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a rule away."""

    was: Rule

    @property
    def name(self) -> str:
        return self.was.name

    @property
    def shuts(self) -> bool:
        return True

    @property
    def due(self) -> datetime | None:
        """When it has to go, by its mark."""
        return _end_of(self.was)


Write = Put | Delete
_NO_END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NsgPlan:
    """What has to be done in one group.

    `writes`     in their order: what shuts comes first, of that what is due first
    `awaited`    names of wanted rules that are told as they must be, while a change of them is under way
    `refused`    names of wanted rules for which there is no room, and why
    `outranked`  names of wanted denies in front of which others let something through: by which rules
    """

    writes: Sequence[Write] = ()
    awaited: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    outranked: Mapping[str, Sequence[Rule]] = field(default_factory=dict)


def plan(
    nsg: Nsg,
    wanted: Iterable[Wanted],
    unwanted: Iterable[str],
    groups: Mapping[str, frozenset[str]],
    *,
    locked: bool = False,
) -> NsgPlan:
    """The writes that make `wanted` stand, and rules of the names `unwanted` go.

    `groups`: per address, the application security groups that it is in. `locked`: nothing can be deleted, so what
    should go is turned to a deny.
    """
    ordered = sorted(wanted, key=lambda each: (each.access != "deny", each.name))
    gone = sorted(set(map(key, unwanted)))
    work = _Work(nsg, groups, frozenset([*gone, *(key(each.name) for each in ordered)]), locked=locked)
    for name in gone:
        work.remove(name)
    for each in ordered:
        work.place(each)
    return work.result()


def _end_of(rule: Rule | None) -> datetime | None:
    mark = mark_of(rule.description) if rule is not None else None
    return mark.until if mark is not None else None


def turned(rule: Rule) -> Wanted:
    """A rule of ours as a deny: how it is shut where it cannot be deleted."""
    scope = mark_of(rule.description)
    what = f"jitgate: shut; kept because a lock forbids deleting{'' if scope is None else f' [jitgate {scope.scope}]'}"
    return Wanted(rule.name, "deny", rule.protocol, rule.sources, rule.destinations, rule.ports, what)


def _leaks(nsg: Nsg, deny: Wanted, groups: Mapping[str, frozenset[str]], planned: frozenset[str]) -> Sequence[Rule]:
    """Rules of others that let through what a deny is to shut, the first ones first.

    `planned`: rules that are made right or taken away now, whatever a hand has made of their marks.
    """
    members = frozenset().union(*(groups.get(address, frozenset()) for address in deny.destinations))
    others = (rule for name, rule in nsg.rules.items() if name not in planned and not _is_ours(rule))
    return sorted((rule for rule in others if _lets_through(rule, deny, members)), key=lambda rule: rule.priority)


def _is_ours(rule: Rule) -> bool:
    return is_ours(rule.name, rule.description)


def _lets_through(rule: Rule, deny: Wanted, members: frozenset[str]) -> bool:
    return (
        rule.is_inbound
        and rule.access == "allow"
        and (rule.protocol in ("*", deny.protocol) or deny.protocol == "*")
        and any(covers_port(rule.ports, int(port)) for port in deny.ports)
        and may_concern(rule, deny.destinations, members)
    )


def may_concern(rule: Rule, addresses: frozenset[str], members: frozenset[str]) -> bool:
    """Whether a rule is for any of these addresses. What is not known for sure counts as yes."""
    if rule.groups:
        return bool(rule.groups & members)
    return any(_holds(destination, address) for destination in rule.destinations for address in addresses)


def _holds(destination: str, address: str) -> bool:
    if "/" not in destination and not destination[:1].isdigit() and ":" not in destination:
        return True  # "*" or a service tag, which may well hold it.
    return prefixes.covers(prefixes.canonical(destination), prefixes.canonical(address))


class _Work:
    """One group while it is planned."""

    def __init__(self, nsg: Nsg, groups: Mapping[str, frozenset[str]], names: frozenset[str], *, locked: bool) -> None:
        """`names`: of all rules that are planned."""
        self._nsg = nsg
        self._names = names
        self._locked = locked
        self._groups = groups
        self._taken = {rule.priority for rule in nsg.rules.values() if rule.is_inbound}
        self._count = len(nsg.rules)
        self._sources = sum(len(rule.sources) for rule in nsg.rules.values())
        self._denies: dict[str, int] = {}
        self._shutting: list[Write] = []
        self._opening: list[Write] = []
        self._awaited: set[str] = set()
        self._refused: dict[str, str] = {}
        self._outranked: dict[str, Sequence[Rule]] = {}

    def remove(self, name: str) -> None:
        """A number that becomes free now is not given again at once: Azure may still hold it."""
        standing = self._nsg.rules.get(name)
        if standing is None or (self._locked and standing.access == "deny" and not standing.is_spoiled):
            return
        if self._locked:
            self._shutting.append(Put(turned(standing), standing.priority, standing))
            return
        self._shutting.append(Delete(standing))
        self._count -= 1

    def place(self, wanted: Wanted) -> None:
        standing = self._nsg.rules.get(key(wanted.name))
        if refusal := self._lacks_room(wanted, standing):
            self._refused[wanted.name] = refusal
            return
        priority = self._priority(wanted, standing)
        if priority is None:
            self._refused[wanted.name] = f"{self._nsg.name} has no priority left in front of the deny of this machine"
            return
        self._taken.add(priority)
        if standing is not None and standing.priority == priority and wanted.is_held_by(standing):
            if standing.state == SUCCEEDED:
                return
            if not standing.is_spoiled:
                self._awaited.add(wanted.name)
                return
        put = Put(wanted, priority, standing)
        (self._shutting if put.shuts else self._opening).append(put)

    def result(self) -> NsgPlan:
        # What changes from one rule of a port to another is let in by the new one before it goes from the old one.
        handed_over = {port_part(write.name) for write in self._shutting}
        first = [put for put in self._opening if port_part(put.name) in handed_over]
        last = [put for put in self._opening if put not in first]
        shutting = sorted(self._shutting, key=lambda write: write.due or _NO_END)
        return NsgPlan((*first, *shutting, *last), frozenset(self._awaited), self._refused, self._outranked)

    def _lacks_room(self, wanted: Wanted, standing: Rule | None) -> str:
        grown = len(wanted.sources) - (len(standing.sources) if standing else 0)
        if standing is None and self._count >= MOST_RULES:
            return f"{self._nsg.name} has {MOST_RULES} rules, as many as Azure allows"
        if grown > 0 and self._sources + grown > MOST_PREFIXES:
            return f"{self._nsg.name} holds as many addresses as Azure allows ({MOST_PREFIXES})"
        self._count += standing is None
        self._sources += grown
        return ""

    def _priority(self, wanted: Wanted, standing: Rule | None) -> int | None:
        if wanted.access == "deny":
            return self._deny_priority(wanted, standing)
        limit = min((number for number, _ in self._denies_for(wanted)), default=LAST + 1)
        if standing is not None and FIRST <= standing.priority < limit:
            return standing.priority
        return self._lowest_free(FIRST, limit)

    def _deny_priority(self, wanted: Wanted, standing: Rule | None) -> int | None:
        others = _leaks(self._nsg, wanted, self._groups, self._names)
        first = others[0].priority if others else LAST + 1
        if standing is not None and FIRST + ROOM <= standing.priority < first:
            chosen: int | None = standing.priority
        else:
            chosen = (
                self._lowest_free(FIRST_DENY, first)
                or self._highest_free(FIRST + ROOM, min(first, FIRST_DENY))
                or (standing.priority if standing else self._lowest_free(FIRST_DENY, LAST + 1))
            )
        if chosen is not None:
            self._denies[wanted.name] = chosen
            if chosen > first:
                self._outranked[wanted.name] = [rule for rule in others if rule.priority < chosen]
        return chosen

    def _denies_for(self, allow: Wanted) -> Iterable[tuple[int, str]]:
        """Our denies that an allow has to come before: those for one of its addresses, planned or standing."""
        standing = {
            rule.name: rule.priority
            for rule in self._nsg.rules.values()
            if key(rule.name).startswith("jitgate-deny-") and rule.destinations & allow.destinations
        }
        machine = allow.name.split("-")[2]
        planned = {name: number for name, number in self._denies.items() if name.split("-")[2] == machine}
        return [(number, name) for name, number in {**standing, **planned}.items()]

    def _lowest_free(self, low: int, limit: int) -> int | None:
        return next((number for number in range(low, min(limit, LAST + 1)) if number not in self._taken), None)

    def _highest_free(self, low: int, limit: int) -> int | None:
        return next((number for number in range(limit - 1, low - 1, -1) if number not in self._taken), None)
