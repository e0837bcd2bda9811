"""Insights: what is open, how much is asked for, how fast ports open and shut, what nobody needs.

No view counts the whole history: a day that is over is counted once and kept, and so are its uses of each policy; the
days that may still change are counted anew when their figures are older than a minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from jitgate.core import insight, roles
from jitgate.core.errors import Invalid
from jitgate.core.insight import DayFigures, Excess, Spread, Use
from jitgate.core.policy import PortRule
from jitgate.core.resource_id import PolicyId, key
from jitgate.service.attempt import require
from jitgate.service.base import Asker, Service
from jitgate.service.views import Page
from jitgate.store import figures, insights
from jitgate.store.insights import Allowed, Idle

MOST_DAYS = 90
USUAL_DAYS = 30
_FRESH = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures. `open_now`: grants by port, on `machines_open`; `idle`: protected machines that nobody asked for."""

    open_now: Mapping[int, int]
    machines_open: int
    idle: int
    days: Sequence[DayFigures]

    @property
    def opening(self) -> Spread:
        """From when only the firewall was to be waited for, until a port was open."""
        return sum((day.opening for day in self.days), Spread())

    @property
    def closing(self) -> Spread:
        """From the end of a port's time until it was proven shut."""
        return sum((day.closing for day in self.days), Spread())


@dataclass(frozen=True, slots=True)
class Wide:
    """A policy that allows far more than was used of it, on so many machines at most."""

    policy: PolicyId
    machines: int
    excesses: Sequence[Excess]


async def overview(service: Service, asker: Asker, days: int = USUAL_DAYS) -> Overview:
    """The figures of the last days, today included. Raises Forbidden, Invalid."""
    first, today = _window(service, asker, days)
    counted = await _counted(service, first, today)
    since = _begin(first)

    open_now, machines_open, idle = await service.store.read(
        lambda tx: (insights.open_now(tx), insights.machines_open_now(tx), insights.count_idle(tx, since))
    )
    return Overview(open_now, machines_open, idle, counted)


async def list_idle(
    service: Service, asker: Asker, days: int = USUAL_DAYS, *, limit: int = 100, after: str | None = None
) -> Page[Idle]:
    """Protected machines that nobody asked for in the last days, by id. Raises Forbidden, Invalid."""
    first, _ = _window(service, asker, days)
    found = await service.store.read(lambda tx: insights.idle(tx, _begin(first), after=after or "", most=limit + 1))
    return Page(tuple(found[:limit]), key(found[limit - 1].id) if len(found) > limit else None)


async def list_wide(
    service: Service, asker: Asker, days: int = USUAL_DAYS, *, limit: int = 100, after: str | None = None
) -> Page[Wide]:
    """Policies that allow far more than was used of them in the last days; of `limit` that are looked at, by id.

    Raises Forbidden, Invalid.
    """
    first, today = _window(service, asker, days)
    await _counted(service, first, today)

    found = await service.store.read(lambda tx: insights.allowed(tx, after=after or "", most=limit + 1))
    looked_at = found[:limit]
    used = await service.store.read(lambda tx: figures.uses_since(tx, first, [one.uid for one in looked_at]))
    wide = [view for one in looked_at if (view := _wide(one, used[one.uid], first)).excesses]
    return Page(tuple(wide), looked_at[-1].id.key if len(found) > limit else None)


def _window(service: Service, asker: Asker, days: int) -> tuple[date, date]:
    require(asker, roles.READ_INSIGHT, "/")
    if not 1 <= days <= MOST_DAYS:
        raise Invalid("days", f"{days} days are asked for", allowed=f"1 to {MOST_DAYS}")
    today = service.clock.wall().astimezone(UTC).date()
    return today - (days - 1) * _DAY, today


async def _counted(service: Service, first: date, today: date) -> list[DayFigures]:
    """The figures of each day, counted anew where they are not known to stand."""
    kept = await service.store.read(lambda tx: figures.days(tx, first, today))
    wanted = [first + number * _DAY for number in range((today - first).days + 1)]
    oldest = service.clock.wall() - _FRESH
    stale = [day for day in wanted if day not in kept or not (kept[day][0].is_final or kept[day][1] > oldest)]
    fresh = [await _count(service, day, is_over=day < today) for day in stale]
    if fresh:
        await service.store.write(lambda tx: figures.put(tx, fresh))
    known = {day: one for day, (one, _) in kept.items()} | {one.day: one for one, _ in fresh}
    return [known[day] for day in wanted]


async def _count(service: Service, day: date, *, is_over: bool) -> tuple[DayFigures, Sequence[Use]]:
    traces = await service.store.read(lambda tx: figures.traces(tx, _begin(day), _begin(day + _DAY)))
    return insight.figures(day, traces, is_over=is_over), insight.uses(traces)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _wide(one: Allowed, used: Mapping[int, Use], first: date) -> Wide:
    """What a policy allows too much, by the widest of its rules for each port."""
    rules: dict[int, PortRule] = {}
    for rule in (rule for _, part in one.rules for rule in part):
        known = rules.get(rule.number)
        if known is None or rule.max_duration.length > known.max_duration.length:
            rules[rule.number] = rule
    is_old = one.updated_at < _begin(first)
    found = insight.excesses((rules[number] for number in sorted(rules)), used, is_old=is_old)
    return Wide(one.id, sum(machines for machines, _ in one.rules), list(found))
