"""Machines: found, gone, made again, listed, and told by the names that people use."""

from dataclasses import replace

import pytest
from tests.house import HOUR, SUBSCRIPTION, House, lasting, machine, part, policy_id

from jitgate.audit import Operation
from jitgate.core.access import CloseReason, State
from jitgate.core.catalogue import Sought
from jitgate.core.errors import Invalid, NotFound
from jitgate.service import catalogue, machines


async def test_a_machine_that_is_gone_closes_its_grants_and_leaves_nothing_in_its_firewall(house: House) -> None:
    """Cases FW11, CL20."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    scheduled = (await house.ask("web-1", start=house.clock.wall() + HOUR)).grants[0].grant
    gone = house.machines.pop(0)
    await house.discover()
    await house.settle()
    ended = [await house.grant(uid) for uid in (grant.uid, scheduled.uid)]
    assert {(one.state, one.reason) for one in ended} == {(State.CLOSED, CloseReason.MACHINE_REMOVED)}
    assert not house.firewall.standing(gone.scope)
    removed = (await house.events(Operation.MACHINE_REMOVED))[-1]
    assert removed.resource == gone.id
    assert set(removed.properties["closed"]) == {grant.uid, scheduled.uid}


async def test_a_machine_made_again_under_its_id_inherits_no_grants_and_is_shut(house: House) -> None:
    """Case FW11."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.machines[0] = machine("web-1", uuid="uuid-of-the-second-web-1")
    await house.discover()
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.MACHINE_REMOVED
    assert not house.reaches("web-1")
    view = await machines.get_machine(house.service, house.alice, "web-1")
    assert (view.machine.uuid, view.open_grants) == ("uuid-of-the-second-web-1", 0)
    assert view.policies == (policy_id().text,)


async def test_a_machine_that_comes_back_is_protected_at_once(house: House) -> None:
    await house.enable("web-1")
    away = house.machines.pop(0)
    await house.discover()
    await house.settle()
    house.machines.insert(0, away)
    assert house.reaches("web-1")
    await house.discover()
    await house.settle()
    assert not house.reaches("web-1")


async def test_a_machine_that_moves_behind_another_firewall_is_protected_there_at_once(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1", span=lasting("1h"))
    before = house.machines[0]
    house.machines[0] = replace(before, scope="memory/other")
    await house.discover()
    await house.settle()
    assert not house.reaches("web-1", "192.0.2.1")
    assert not house.firewall.standing(before.scope)
    assert (await house.grant(grant.uid)).reason is CloseReason.MACHINE_REMOVED


async def test_a_machine_that_can_no_longer_be_protected_is_let_go_at_once(house: House) -> None:
    await house.enable("web-1")
    house.machines[0] = replace(house.machines[0], unsupported="its firewall has a policy of its own")
    await house.discover()
    await house.settle()
    assert house.reaches("web-1")
    assert (await machines.get_machine(house.service, house.alice, "web-1")).protected == {}


async def test_a_new_machine_that_a_policy_names_by_its_id_is_shut_as_soon_as_it_is_found(house: House) -> None:
    """Case PV12."""
    await house.enable("web-1")
    away = house.machines.pop(0)
    await house.discover()
    house.machines.insert(0, replace(away, uuid="uuid-of-the-second-web-1"))
    await house.discover()
    await house.settle()
    assert not house.reaches("web-1")


async def test_a_firewall_known_by_a_connector_of_another_name_belongs_to_the_new_one(house: House) -> None:
    await house.enable("web-1")
    house.connectors["renamed"] = house.firewall
    house.machines = [replace(one, connector="renamed") for one in house.machines]
    await machines.take_over(house.service, house.machines, "renamed")
    del house.connectors["memory"]
    assert (await house.open("web-1")).state is State.OPEN


@pytest.mark.parametrize("name", ["web-1", "WEB-1", machine("web-1").id, machine("web-1").id.upper(), "uuid-of-web-1"])
async def test_a_machine_is_found_by_name_id_or_uuid_in_any_case(house: House, name: str) -> None:
    """Case UI9."""
    found = await machines.resolve_machine(house.service, house.alice, name)
    assert found.uuid == "uuid-of-web-1"


async def test_a_name_that_several_machines_share_asks_for_the_id(house: House) -> None:
    house.machines.append(machine("web-1", uuid="another", group="other", scope="memory/another"))
    await house.discover()
    with pytest.raises(Invalid, match="other"):
        await machines.resolve_machine(house.service, house.alice, "web-1")
    local = await house.add_asker("local", "Reader", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/other")
    assert (await machines.resolve_machine(house.service, local, "web-1")).uuid == "another"


async def test_a_machine_that_one_may_not_read_is_not_there(house: House) -> None:
    stranger = await house.add_asker("stranger")
    answers = set()
    for name in ("web-1", "web-9"):
        for read in (machines.get_machine, machines.resolve_machine):
            with pytest.raises(NotFound) as missing:
                await read(house.service, stranger, name)
            answers.add(str(missing.value).replace(name, "…"))
    assert len(answers) == 1
    assert (await catalogue.find_machines(house.service, stranger, Sought())).items == ()


async def test_machines_are_listed_page_by_page_without_those_one_may_not_read(house: House) -> None:
    house.machines += [machine(f"far-{number}", group="far") for number in range(5)]
    await house.discover()
    reader = await house.add_asker("reader", "Reader", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate")
    names: list[str] = []
    after = None
    while True:
        page = await catalogue.find_machines(house.service, reader, Sought(), limit=2, after=after)
        names += [view.machine.name for view in page.items]
        after = page.after
        if after is None:
            break
    assert names == ["db-1", "web-1", "web-2"]


async def test_what_a_connector_finds_is_on_record_once(house: House) -> None:
    await house.discover()
    found = await house.events(Operation.MACHINE_FOUND)
    assert sorted(event.properties["uuid"] for event in found) == ["uuid-of-db-1", "uuid-of-web-1", "uuid-of-web-2"]


async def test_one_connector_loses_nothing_when_another_finds_nothing(house: House) -> None:
    await house.enable("web-1")
    await machines.take_over(house.service, [], "another")
    await house.settle()
    assert not house.reaches("web-1")
    assert (await machines.get_machine(house.service, house.alice, "web-1")).policies
