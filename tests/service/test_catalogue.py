"""The catalogue of machines: tabs, search, filters, orders, pages, and who may see what of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.house import HOUR, SUBSCRIPTION, House, lasting, machine, part, policy_id

from jitgate.core.catalogue import Front, Order, Sought, Standing, disjoint, within
from jitgate.core.desired import Protocol
from jitgate.core.errors import Invalid
from jitgate.core.exposure import Exposure, Reach
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.machine import OperatingSystem
from jitgate.core.resource_id import covers
from jitgate.core.selector import Selector
from jitgate.service import catalogue, guardrails, plans, policies
from jitgate.service.base import Asker
from jitgate.service.views import MachineView

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"


async def found(house: House, by: Asker | None = None, order: Order = Order.NAME, **sought: Any) -> list[str]:
    page = await catalogue.find_machines(house.service, by or house.alice, Sought(**sought), order=order)
    return [view.machine.name for view in page.items]


async def tabs(house: House, by: Asker | None = None, **sought: Any) -> tuple[int, ...]:
    counted = await catalogue.count_machines(house.service, by or house.alice, Sought(**sought))
    return tuple(counted[standing] for standing in Standing)


async def row(house: House, name: str) -> MachineView:
    page = await catalogue.find_machines(house.service, house.alice, Sought(text=name))
    return page.items[0]


async def walk(house: House, order: Order, limit: int, *, reverse: bool = False, by: Asker | None = None) -> list[str]:
    """All names, page by page."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = await catalogue.find_machines(
            house.service, by or house.alice, Sought(), order=order, reverse=reverse, limit=limit, after=after
        )
        names += [view.machine.name for view in page.items]
        if (after := page.after) is None:
            return names


async def test_a_machine_is_in_the_tab_that_its_policies_put_it_in(house: House) -> None:
    assert await tabs(house) == (0, 3, 0)
    await house.enable("web-1")
    assert await tabs(house) == (1, 2, 0)
    assert await found(house, standing=Standing.CONFIGURED) == ["web-1"]
    await house.put(part("web-2"), name="other")
    assert await found(house, standing=Standing.CONFIGURED) == ["web-1", "web-2"]
    await policies.disable_machines(house.service, house.alice, ["web-1"])
    assert await found(house, standing=Standing.NOT_CONFIGURED) == ["db-1", "web-1"]
    await house.put(part("db-1"), name="other")
    assert await found(house, standing=Standing.CONFIGURED) == ["db-1"]


async def test_a_machine_in_two_policies_stays_configured_until_both_are_gone(house: House) -> None:
    """azure-jit.md, R11."""
    await house.put(part("web-1"), name="one")
    await house.put(part("web-1"), name="two")
    for name, left in (("one", ["web-1"]), ("two", [])):
        await policies.delete_policy(house.service, house.alice, policy_id(name))
        assert await found(house, standing=Standing.CONFIGURED) == left


async def test_a_machine_that_cannot_have_it_is_unsupported_whatever_policies_say(house: House) -> None:
    await house.enable("web-1")
    house.machines[0] = replace(house.machines[0], unsupported="classic VM")
    await house.discover()
    assert await tabs(house) == (0, 2, 1)
    assert (await row(house, "web-1")).machine.unsupported == "classic VM"
    house.machines[0] = replace(house.machines[0], unsupported="")
    await house.discover()
    assert await tabs(house) == (1, 2, 0)


async def test_what_an_administrator_switched_off_is_unsupported_until_it_is_on_again(house: House) -> None:
    house.machines.append(machine("far", group="jitgate2"))
    await house.discover()
    await house.enable("web-1")
    await plans.disable_jit(house.service, house.alice, GROUP, "audit")
    assert await tabs(house) == (0, 1, 3)
    assert (await row(house, "web-1")).machine.unsupported == "disabled by policy"
    house.machines.append(machine("new"))
    await house.discover()
    assert (await row(house, "new")).standing is Standing.UNSUPPORTED
    await plans.enable_jit(house.service, house.alice, GROUP)
    assert await tabs(house) == (1, 4, 0)


async def test_machines_are_found_by_name_address_and_tag_in_any_case(house: House) -> None:
    house.machines = [
        machine("Web-1", tags={"Env": "Prod", "team": "a b"}),
        machine("web_2", tags={"env": "test"}),
        machine("db", os=OperatingSystem.WINDOWS, tags={"environment": "prod", "100%": ""}),
    ]
    house.machines[2] = replace(house.machines[2], addresses=("2001:db8::5",))
    await house.discover()
    assert await found(house, text="WEB") == ["Web-1", "web_2"]
    assert await found(house, text="b_2") == ["web_2"]
    assert await found(house, text="%") == ["db"]
    assert await found(house, text="2001:DB8") == ["db"]
    assert await found(house, tags=("env",)) == ["Web-1", "web_2"]
    assert await found(house, tags=("ENV=prod",)) == ["Web-1"]
    assert await found(house, tags=("env=prod", "team=A  b")) == ["Web-1"]
    assert await found(house, os=OperatingSystem.WINDOWS) == ["db"]
    assert await found(house, connector="memory", text="db") == ["db"]
    assert await found(house, connector="other") == []
    assert await tabs(house, text="web") == (0, 2, 0)


async def test_who_reads_one_group_sees_that_group_and_counts_it_alone(house: House) -> None:
    house.machines += [machine("far-1", group="far"), machine("far-2", group="farther")]
    await house.discover()
    reader = await house.add_asker("reader", "Reader", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/FAR")
    one = await house.add_asker("one", "Reader", house.machine("web-2").id)
    stranger = await house.add_asker("stranger")
    assert await found(house, reader) == ["far-1"]
    assert await tabs(house, reader) == (0, 1, 0)
    assert await found(house, one) == ["web-2"]
    assert await found(house, stranger) == []
    assert await tabs(house, stranger) == (0, 0, 0)
    assert await found(house, reader, scope=GROUP) == []
    assert await found(house, scope=GROUP) == ["db-1", "web-1", "web-2"]
    both = await house.add_role(reader, "Reader", house.machine("web-1").id)
    assert await found(house, both) == ["far-1", "web-1"]


async def test_who_reads_at_very_many_places_is_told_to_look_in_one(house: House) -> None:
    reader = await house.add_asker("reader", "Reader", GROUP)
    role = reader.principal.assignments[0]
    many = [replace(role, scope=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g{number}") for number in range(400)]
    most = replace(reader, principal=replace(reader.principal, assignments=tuple(many)))
    assert await found(house, most) == []
    assert await tabs(house, most) == (0, 0, 0)
    more = replace(reader, principal=replace(reader.principal, assignments=(*many, role)))
    with pytest.raises(Invalid, match="401 places"):
        await found(house, more)
    assert await found(house, more, scope=GROUP, text="db") == ["db-1"]


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("reverse", [False, True])
async def test_pages_hold_each_machine_once_in_one_order(house: House, order: Order, reverse: bool) -> None:
    house.machines = [machine(f"m{number:02}", group=f"g{number % 3}") for number in range(11)]
    house.machines.append(machine("m05", uuid="the-other-m05", group="g9"))
    house.machines = [replace(one, exposure=_exposed(at)) for at, one in enumerate(house.machines)]
    await house.discover()
    await house.put(part("m03", group="g0"), part("m07", group="g1"))
    whole = await walk(house, order, 100, reverse=reverse)
    assert sorted(whole) == sorted(one.name for one in house.machines)
    for limit in (1, 4, 12):
        assert await walk(house, order, limit, reverse=reverse) == whole
    if order is Order.NAME:
        assert whole == sorted(whole, reverse=reverse)


async def test_the_most_exposed_come_first_and_ties_by_name(house: House) -> None:
    named = [("b", 3), ("d", 0), ("a", 3), ("c", 1), ("e", 2)]
    house.machines = [replace(machine(name), exposure=_exposed(level)) for name, level in named]
    await house.discover()
    assert await walk(house, Order.EXPOSURE, 2) == ["a", "b", "e", "c", "d"]
    assert await walk(house, Order.EXPOSURE, 2, reverse=True) == ["d", "c", "e", "b", "a"]


async def test_the_latest_access_comes_first_with_who_it_was_for(house: House) -> None:
    bert = await house.add_asker("bert", "Owner")
    await house.enable()
    assert (await row(house, "db-1")).accessed_at is None
    await house.open("db-1", by=bert, span=lasting("1h"))
    await house.pass_time(timedelta(minutes=1))
    await house.open("web-2", span=lasting("1h"))
    assert await walk(house, Order.ACCESS, 1) == ["web-2", "db-1", "web-1"]
    assert await walk(house, Order.ACCESS, 1, reverse=True) == ["web-1", "db-1", "web-2"]
    seen = await row(house, "db-1")
    assert (seen.accessed_at, seen.accessed_by) == (house.clock.wall() - timedelta(minutes=1), "bert")
    assert [(one.person, one.port) for one in seen.holders] == [("bert", 22)]
    await house.pass_time(2 * HOUR)
    after = await row(house, "db-1")
    assert (after.accessed_by, after.holders) == ("bert", ())


async def test_what_was_not_granted_does_not_count_as_approved(house: House) -> None:
    await house.enable("web-1")
    for _ in range(2):
        await house.open("web-1", span=lasting("1h"))
    await house.add_approvers()
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("two", Selector(), Limits(approvals=1)))
    await house.ask("web-1", sources=("198.51.100.1",), span=lasting("1h"))
    assert (await row(house, "web-1")).approved_requests == 2
    await house.pass_time(timedelta(days=8))
    assert (await row(house, "web-1")).approved_requests == 0


async def test_the_firewall_alone_is_told_where_a_group_of_rules_holds_the_ports_too(house: House) -> None:
    """J9."""
    both = replace(machine("both"), provider="azure", facts={"firewall": "fw", "securityGroups": ["nsg"]})
    house.machines = [both, replace(machine("nsg"), provider="azure"), replace(machine("host"), provider="host")]
    await house.discover()
    fronts = {one.name: (await row(house, one.name)).front for one in house.machines}
    assert fronts == {"both": Front.AZURE_FIREWALL, "nsg": Front.SECURITY_GROUP, "host": Front.HOST}


@pytest.mark.parametrize("after", ["", "x", "bnVsbA", "WzFd", "W1tdXQ", "eyJhIjoxfQ", "WyJhIiwiYiIsImMiXQ", "W" * 9000])
@pytest.mark.parametrize("order", list(Order))
async def test_a_page_that_was_never_given_out_is_refused(house: House, after: str, order: Order) -> None:
    with pytest.raises(Invalid, match="never given out"):
        await catalogue.find_machines(house.service, house.alice, Sought(), order=order, after=after)


def _exposed(level: int) -> tuple[Exposure, ...]:
    reach = [None, Reach.INTERNAL, Reach.SPECIFIC, Reach.ANYONE][level % 4]
    return (Exposure(22, Protocol.TCP, reach),) if reach else ()


_PATHS = st.sampled_from(
    [
        "/",
        "/subscriptions/S",
        "/subscriptions/t",
        "/subscriptions/s/resourceGroups/A",
        "/subscriptions/s/resourceGroups/ab",
        "/subscriptions/s/resourceGroups/a/providers/Microsoft.Compute/virtualMachines/m",
    ]
)


@given(st.lists(_PATHS), _PATHS, _PATHS)
@settings(max_examples=200)
def test_places_inside_a_place_hold_what_lies_in_both(scopes: Sequence[str], place: str, resource: str) -> None:
    met = within(scopes, place)
    in_both = any(covers(scope, resource) for scope in scopes) and covers(place, resource)
    assert any(covers(scope, resource) for scope in met) == in_both
    assert disjoint(met) == met
