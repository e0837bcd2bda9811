"""Insights: what is open, how much is asked for, how fast ports open and shut, what nobody needs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from jitgate.core.insight import DayFigures, Spread
from jitgate.service import insights
from jitgate.service.insights import MOST_DAYS, USUAL_DAYS, Wide
from jitgate.service.views import Page
from jitgate.store.insights import Idle
from jitgate.web.api import tables
from jitgate.web.api.forms import After, Limit, Listing, Shown
from jitgate.web.api.refusals import REFUSALS
from jitgate.web.api.values import PortNumber
from jitgate.web.api.words import NativeRoute
from jitgate.web.dependencies import CurrentAsker, CurrentService

router = APIRouter(prefix="/insights", tags=["insights"], route_class=NativeRoute, responses=REFUSALS)

T = TypeVar("T")
Days = Annotated[int, Query(ge=1, le=MOST_DAYS, description="How many days, today included.")]
_PAGE = 500


class Table(StrEnum):
    """What is exported."""

    DAYS = "days"
    IDLE = "idle-machines"
    WIDE = "wide-policies"


TableQuery = Annotated[Table, Query(description="Which table.")]


class ShownSpread(Shown):
    """How lengths of time lie, in seconds, to 19 %: what half, 95 and 99 of 100 do not exceed. Null: there are none."""

    count: int = Field(description="How many there are.")
    p50: float | None = Field(description="What half do not exceed, in seconds.")
    p95: float | None = Field(description="What 95 of 100 do not exceed, in seconds.")
    p99: float | None = Field(description="What 99 of 100 do not exceed, in seconds.")


class _Asked(Shown):
    day: date = Field(description="The day, in UTC.")
    requests: int = Field(description="How many requests were made.")
    needed_approval: int = Field(description="How many of these needed approval.")
    denied: int = Field(description="How many of these were denied.")
    grants: int = Field(description="How many grants they asked for.")
    opened: int = Field(description="How many of these have opened.")


class ShownDay(_Asked):
    """What was asked for on a day in UTC, and what became of it by now."""

    opening: ShownSpread = Field(description="From when only the firewall was waited for until the port was open.")
    closing: ShownSpread = Field(description="From the end of a port's time until it was proven shut.")


class ShownFlatDay(_Asked):
    """A day as a row: lengths in seconds."""

    opening_p50: float | None = Field(description="Seconds until half of the ports were open; null: none opened.")
    opening_p95: float | None = Field(description="Seconds until 95 of 100 of the ports were open; null: none opened.")
    opening_p99: float | None = Field(description="Seconds until 99 of 100 of the ports were open; null: none opened.")
    closing_p50: float | None = Field(
        description="Seconds from the end until half of the ports were proven shut; null: none was."
    )
    closing_p95: float | None = Field(
        description="Seconds from the end until 95 of 100 of the ports were proven shut; null: none was."
    )
    closing_p99: float | None = Field(
        description="Seconds from the end until 99 of 100 of the ports were proven shut; null: none was."
    )


class ShownPort(Shown):
    """How many grants of a port are open."""

    port: PortNumber
    grants: int = Field(description="How many of its grants are open.")


class ShownOverview(Shown):
    """The figures."""

    open_now: list[ShownPort] = Field(description="What is open now, port by port.")
    machines_open: int = Field(description="How many machines have an open port now.")
    idle_machines: int = Field(description="Protected machines that nobody asked for in these days.")
    opening: ShownSpread = Field(description="How fast ports opened in these days.")
    closing: ShownSpread = Field(description="How late ports were proven shut in these days.")
    days: list[ShownDay] = Field(description="Day by day, the oldest first.")


class ShownIdle(Shown):
    """A protected machine that nobody asked for. `lastAskedUtc`: when somebody did before; null: never."""

    machine: str = Field(description="The machine's id.")
    name: str = Field(description="The machine's short name.")
    last_asked_utc: datetime | None = Field(description="When somebody last asked for it, in UTC; null: never.")


class ShownExcess(Shown):
    """Something that a policy allows, far wider than it was used. `kind`: time, sources or port."""

    policy: str = Field(description="The policy's id.")
    machines: int = Field(description="How many machines the policy covers.")
    port: PortNumber
    kind: str = Field(description="What is too wide: `time`, `sources`, or the `port` itself, which nobody asked for.")
    allowed: str = Field(description="What the policy allows, for people.")
    used: str = Field(description="What was used of it, for people.")


@router.get("", summary="The figures")
async def overview(service: CurrentService, asker: CurrentAsker, days: Days = USUAL_DAYS) -> ShownOverview:
    """What is open now; and day by day what was asked for, how fast it opened, how late it shut."""
    found = await insights.overview(service, asker, days)
    return ShownOverview(
        open_now=[ShownPort(port=port, grants=count) for port, count in sorted(found.open_now.items())],
        machines_open=found.machines_open,
        idle_machines=found.idle,
        opening=_show_spread(found.opening),
        closing=_show_spread(found.closing),
        days=list(map(_show_day, found.days)),
    )


@router.get("/idle-machines", summary="Machines that nobody asks for")
async def list_idle(
    service: CurrentService,
    asker: CurrentAsker,
    days: Days = USUAL_DAYS,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownIdle]:
    """Protected machines that nobody asked for in the last days."""
    page = await insights.list_idle(service, asker, days, limit=limit, after=after)
    return Listing(items=list(map(_show_idle, page.items)), after=page.after)


@router.get("/wide-policies", summary="Policies far wider than their use")
async def list_wide(
    service: CurrentService,
    asker: CurrentAsker,
    days: Days = USUAL_DAYS,
    limit: Annotated[Limit, Query()] = 100,
    after: Annotated[After, Query()] = None,
) -> Listing[ShownExcess]:
    """What policies allow far beyond what was used of it. `limit`: of so many policies."""
    page = await insights.list_wide(service, asker, days, limit=limit, after=after)
    return Listing(items=[shown for wide in page.items for shown in _show_wide(wide)], after=page.after)


@router.get(
    "/export",
    summary="Export figures",
    response_class=StreamingResponse,
    responses=tables.described(ShownFlatDay, ShownIdle, ShownExcess, lines=False),
)
async def export(
    service: CurrentService, asker: CurrentAsker, table: TableQuery = Table.DAYS, days: Days = USUAL_DAYS
) -> StreamingResponse:
    """One table as CSV, all of it."""
    return await stream(table, service, asker, days)


async def stream(table: Table, service: CurrentService, asker: CurrentAsker, days: int) -> StreamingResponse:
    """A table as a download."""
    if table is Table.DAYS:
        rows: AsyncIterator[bytes] = tables.csv(ShownFlatDay, _one(_flat_days(service, asker, days)))
    elif table is Table.IDLE:
        idle = _pages(lambda after: insights.list_idle(service, asker, days, limit=_PAGE, after=after))
        rows = tables.csv(ShownIdle, _mapped(idle, lambda one: [_show_idle(one)]))
    else:
        wide = _pages(lambda after: insights.list_wide(service, asker, days, limit=_PAGE, after=after))
        rows = tables.csv(ShownExcess, _mapped(wide, _show_wide))
    return await tables.stream(rows, f"{table}.csv")


async def _flat_days(service: CurrentService, asker: CurrentAsker, days: int) -> Sequence[ShownFlatDay]:
    found = await insights.overview(service, asker, days)
    return [_flat(day) for day in found.days]


def _flat(day: DayFigures) -> ShownFlatDay:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return ShownFlatDay(
        day=day.day,
        requests=day.requests,
        needed_approval=day.needed_approval,
        denied=day.denied,
        grants=day.grants,
        opened=day.opened,
        **{f"opening_{name}": _seconds(day.opening.percentile(share)) for name, share in shares.items()},
        **{f"closing_{name}": _seconds(day.closing.percentile(share)) for name, share in shares.items()},
    )


async def _one(rows: Awaitable[Sequence[T]]) -> AsyncIterator[Sequence[T]]:
    yield await rows


async def _pages(ask: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[Sequence[T]]:
    page = await ask(None)
    yield page.items
    while page.after is not None:
        page = await ask(page.after)
        yield page.items


async def _mapped(
    pages: AsyncIterator[Sequence[T]], show: Callable[[T], Sequence[Shown]]
) -> AsyncIterator[Sequence[Shown]]:
    async for page in pages:
        yield [shown for one in page for shown in show(one)]


def _show_day(day: DayFigures) -> ShownDay:
    return ShownDay(
        day=day.day,
        requests=day.requests,
        needed_approval=day.needed_approval,
        denied=day.denied,
        grants=day.grants,
        opened=day.opened,
        opening=_show_spread(day.opening),
        closing=_show_spread(day.closing),
    )


def _show_spread(spread: Spread) -> ShownSpread:
    return ShownSpread(
        count=spread.total,
        p50=_seconds(spread.percentile(0.5)),
        p95=_seconds(spread.percentile(0.95)),
        p99=_seconds(spread.percentile(0.99)),
    )


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else round(length.total_seconds(), 3)


def _show_idle(one: Idle) -> ShownIdle:
    return ShownIdle(machine=one.id, name=one.name, last_asked_utc=one.last)


def _show_wide(wide: Wide) -> list[ShownExcess]:
    return [
        ShownExcess(
            policy=wide.policy.text,
            machines=wide.machines,
            port=one.port,
            kind=one.kind,
            allowed=one.allowed,
            used=one.used,
        )
        for one in wide.excesses
    ]
