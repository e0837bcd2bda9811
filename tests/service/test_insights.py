"""Insights count what there was, each day that is over only once, and tell nobody who may not see it."""

from datetime import timedelta
from typing import Any

import pytest
from tests.house import HOUR, MINUTE, House, lasting, part, port

from jitgate.core.errors import Forbidden, Invalid
from jitgate.service import insights
from jitgate.store import figures

DAY = timedelta(days=1)


async def test_the_figures_tell_what_was_asked_for_and_how_late_it_shut(house: House) -> None:
    await house.enable("web-1", "web-2")
    await house.open("web-1", span=lasting("1h"))
    found = await insights.overview(house.service, house.alice)
    assert (found.open_now, found.machines_open, found.idle) == ({22: 1}, 1, 1)
    await house.pass_time(HOUR)
    await house.pass_time(2 * MINUTE)
    found = await insights.overview(house.service, house.alice)
    assert (found.open_now, found.days[-1].requests, found.days[-1].opened) == ({}, 1, 1)
    assert (found.opening.total, found.closing.total) == (1, 1)
    assert [one.name for one in (await insights.list_idle(house.service, house.alice)).items] == ["web-2"]


async def test_a_day_that_is_over_is_counted_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.enable("web-1")
    await house.open("web-1", span=lasting("1h"))
    await house.pass_time(2 * HOUR)
    await house.pass_time(DAY)
    await insights.overview(house.service, house.alice, 7)
    counted: list[Any] = []

    def count(_tx: object, begin: object, _end: object) -> list[Any]:
        counted.append(begin)
        return []

    monkeypatch.setattr(figures, "traces", count)
    house.clock.advance(2 * MINUTE)
    found = await insights.overview(house.service, house.alice, 7)
    assert len(counted) == 1, "only today may still change"
    assert [day.requests for day in found.days] == [0, 0, 0, 0, 0, 1, 0]


async def test_figures_of_today_are_a_minute_old_at_most(house: House) -> None:
    await house.enable("web-1")
    await insights.overview(house.service, house.alice, 1)
    await house.ask("web-1", span=lasting("1h"))
    assert (await insights.overview(house.service, house.alice, 1)).days[0].requests == 0
    house.clock.advance(MINUTE)
    assert (await insights.overview(house.service, house.alice, 1)).days[0].requests == 1


async def test_policies_far_wider_than_their_use_are_named(house: House) -> None:
    await house.put(part("web-1", port(22, longest="P1D"), port(3389)))
    await house.pass_time(8 * DAY)
    await house.open("web-1", span=lasting("1h"))
    page = await insights.list_wide(house.service, house.alice, 7)
    [wide] = page.items
    assert wide.policy.name == "default"
    assert [(one.port, one.kind) for one in wide.excesses] == [(22, "time"), (22, "sources"), (3389, "port")]


async def test_pages_of_machines_go_on_where_they_ended(house: House) -> None:
    await house.enable()
    first = await insights.list_idle(house.service, house.alice, limit=2)
    assert first.after is not None
    rest = await insights.list_idle(house.service, house.alice, limit=2, after=first.after)
    assert sorted(one.name for one in [*first.items, *rest.items]) == ["db-1", "web-1", "web-2"]
    assert rest.after is None


async def test_figures_of_everything_are_for_who_may_see_everything(house: House) -> None:
    auditor = await house.add_asker("audra", "Auditor")
    assert (await insights.overview(house.service, auditor, 1)).days[0].requests == 0
    use_cases: tuple[Any, ...] = (insights.overview, insights.list_idle, insights.list_wide)
    for role in ("JIT Requester", "JIT Approver"):
        asker = await house.add_asker(role.lower(), role)
        for use_case in use_cases:
            with pytest.raises(Forbidden):
                await use_case(house.service, asker)
    with pytest.raises(Invalid, match="1 to 90"):
        await insights.overview(house.service, auditor, 91)
