"""Policies: what a write keeps, what it closes, whom it asks, and what nobody loses by accident."""

import pytest
from tests.house import HERE, HOUR, MACHINES, MINUTE, SUBSCRIPTION, House, ask, machine, part, policy, policy_id, port

from jitgate.audit import Operation
from jitgate.core.access import CloseReason, State
from jitgate.core.desired import PortKey, Protection, Protocol
from jitgate.core.errors import Forbidden, Invalid, NotFound
from jitgate.core.machine import OperatingSystem
from jitgate.core.policy import MachinePolicy
from jitgate.service import machines, policies, requests


async def test_a_policy_shuts_the_ports_it_names_and_no_others(house: House) -> None:
    assert house.reaches("web-1", port=22)
    await house.put(part("web-1", port(22), port(3389)))
    assert not house.reaches("web-1", port=22)
    assert not house.reaches("web-1", port=3389)
    assert house.reaches("web-1", port=443)
    assert house.reaches("web-2", port=22)


async def test_a_policy_written_again_keeps_the_grants_it_still_covers(house: House) -> None:
    await house.put(part("web-1", port(22), port(3389)))
    kept = await house.open("web-1", port=22)
    closed = await house.open("web-1", port=3389)
    await house.put(part("web-1", port(22, longest="PT1H")), part("web-2"))
    assert (await house.grant(kept.uid)).state is State.OPEN
    ended = await house.grant(closed.uid)
    assert (ended.state, ended.reason) == (State.CLOSED, CloseReason.POLICY_REMOVED)
    assert house.reaches("web-1", port=22)


async def test_a_machine_taken_out_of_its_policy_loses_its_grants(house: House) -> None:
    """Case CL20."""
    await house.put(part("web-1"), part("web-2"))
    grant = await house.open("web-1")
    await house.put(part("web-2"))
    assert (await house.grant(grant.uid)).reason is CloseReason.POLICY_REMOVED


async def test_a_machine_taken_out_of_its_policy_by_force_loses_its_protection_at_once(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    await policies.put_policy(house.service, house.alice, policy(part("web-1")), force=True)
    await house.settle()
    assert not house.reaches("web-1")
    assert house.reaches("web-2")


async def test_a_protocol_taken_out_of_a_policy_closes_the_grants_that_need_it(house: House) -> None:
    await house.put(part("web-1", port(22, Protocol.ANY)))
    grant = await house.open("web-1")
    assert grant.protocol is Protocol.ANY
    await house.put(part("web-1", port(22, Protocol.TCP)))
    assert (await house.grant(grant.uid)).reason is CloseReason.POLICY_REMOVED
    assert not house.reaches("web-1")


async def test_a_deleted_policy_closes_its_grants_and_gives_its_ports_back(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    assert await policies.delete_policy(house.service, house.alice, policy_id())
    await house.settle()
    assert (await house.grant(grant.uid)).state is State.CLOSED
    assert house.reaches("web-1", "192.0.2.1")
    assert not await policies.delete_policy(house.service, house.alice, policy_id())


async def test_a_grant_outlives_its_policy_where_another_covers_its_port(house: House) -> None:
    """Case CL20: the port closes unless something else still holds it open."""
    await house.put(part("web-1"), name="one")
    grant = await house.open("web-1")
    await house.put(part("web-1"), name="other")
    await policies.delete_policy(house.service, house.alice, policy_id("one"))
    await house.settle()
    assert (await house.grant(grant.uid)).state is State.OPEN
    assert house.reaches("web-1")
    assert not house.reaches("web-1", "192.0.2.1")


async def test_a_grant_closes_when_the_last_policy_that_covers_its_port_goes(house: House) -> None:
    """Case CL20: also when that is not the policy under which it was given."""
    await house.put(part("web-1"), name="one")
    await house.put(part("web-1"), name="other")
    grant = await requests.initiate(house.service, house.alice, policy_id("one"), ask("web-1"))
    await house.settle()
    for name in ("one", "other"):
        assert (await house.grant(grant.grants[0].grant.uid)).state is State.OPEN
        await policies.delete_policy(house.service, house.alice, policy_id(name))
        await house.settle()
    assert (await house.grant(grant.grants[0].grant.uid)).reason is CloseReason.POLICY_REMOVED
    await house.put(part("web-1"))
    assert not house.reaches("web-1")


async def test_two_policies_protect_the_union_of_their_ports_and_either_can_grant(house: House) -> None:
    """Case RA18."""
    await house.put(part("web-1", port(22, sources=["10.0.0.0/8"])), name="one")
    await house.put(part("web-1", port(22, sources=[HERE]), port(3389)), name="two")
    assert not house.reaches("web-1", port=22)
    assert not house.reaches("web-1", port=3389)
    await house.open("web-1", sources=[HERE])
    await house.open("web-1", sources=["10.1.2.3"])
    assert house.reaches("web-1", HERE)
    assert house.reaches("web-1", "10.1.2.3")


async def test_a_scheduled_grant_ends_with_its_policy_and_that_is_on_record(house: House) -> None:
    await house.put(part("web-1"))
    asked = await house.ask("web-1", start=house.clock.wall() + HOUR)
    uid = asked.grants[0].grant.uid
    await policies.delete_policy(house.service, house.alice, policy_id())
    ended = await house.grant(uid)
    assert (ended.state, ended.reason) == (State.CLOSED, CloseReason.POLICY_REMOVED)
    assert (await house.events(Operation.POLICY_DELETE))[-1].properties["closed"] == [uid]


async def test_a_policy_made_again_under_its_name_inherits_no_grants(house: House) -> None:
    await house.put(part("web-1"))
    await house.open("web-1")
    await policies.delete_policy(house.service, house.alice, policy_id())
    await house.settle()
    await house.put(part("web-1"))
    assert (await policies.get_policy(house.service, house.alice, policy_id())).requests == ()
    assert not house.reaches("web-1")


async def test_a_policy_is_found_in_any_case_and_told_as_it_was_written(house: House) -> None:
    """Case RA7."""
    await house.put(part("WEB-1"), name="Default")
    found = await policies.get_policy(house.service, house.alice, policy_id("dEFAULT"))
    assert found.policy.id.name == "Default"
    assert found.policy.machines[0].id.name == "WEB-1"
    assert not house.reaches("web-1")


async def test_a_policy_for_an_unknown_machine_names_the_field_and_changes_nothing(house: House) -> None:
    """Case PV3."""
    with pytest.raises(Invalid) as refused:
        await house.put(part("web-1"), part("web-9"))
    assert refused.value.reason.field == "properties.virtualMachines[1].id"
    assert refused.value.code == "VirtualMachineNotFound"
    with pytest.raises(NotFound):
        await policies.get_policy(house.service, house.alice, policy_id())
    assert house.reaches("web-1")


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ((part("web-1"), part("WEB-1")), "properties.virtualMachines[1].id"),
        ((part("web-1", port(22), port(22)),), "properties.virtualMachines[0].ports[1].number"),
        ((part("web-1", port(22), port(22, Protocol.ANY)),), "properties.virtualMachines[0].ports[1].number"),
    ],
    ids=["one machine twice", "one port twice", "one port by two protocols"],
)
async def test_a_policy_that_says_two_things_of_one_port_is_refused(
    house: House, parts: tuple[MachinePolicy, ...], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await house.put(*parts)
    assert refused.value.reason.field == field


async def test_a_policy_is_settled_once_its_firewalls_have_been_seen(house: House) -> None:
    """Case RA11."""
    await policies.put_policy(house.service, house.alice, policy(part("web-1"), part("web-2")))
    assert not (await policies.get_policy(house.service, house.alice, policy_id())).settled
    await house.settle()
    assert (await policies.get_policy(house.service, house.alice, policy_id())).settled


async def test_a_written_policy_has_only_those_firewalls_looked_at_that_it_changes(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    await house.pass_time(MINUTE)
    await house.put_only(part("web-1"), part("web-2", port(3389)), part("db-1"))
    assert set(await house.due()) == {house.machine(name).scope for name in ("web-2", "db-1")}
    assert not (await policies.get_policy(house.service, house.alice, policy_id())).settled
    await house.settle()
    assert (await policies.get_policy(house.service, house.alice, policy_id())).settled
    assert not house.reaches("web-2", port=3389)


async def test_who_writes_a_policy_may_write_every_machine_that_it_adds_or_removes(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    one = f"{house.machine('web-1').id}"
    writer = await house.add_asker("writer", "Security Admin")
    with pytest.raises(Forbidden):
        await policies.put_policy(house.service, writer, policy(part("web-1"), part("web-2"), part("db-1")))
    with pytest.raises(Forbidden):
        await policies.put_policy(house.service, writer, policy(part("web-1")))
    with pytest.raises(Forbidden):
        await policies.delete_policy(house.service, writer, policy_id())
    owner_of_one = await house.add_asker("one", "Owner", one)
    with pytest.raises(Forbidden):
        await policies.put_policy(house.service, owner_of_one, policy(part("web-1")))
    assert not house.reaches("web-2")


async def test_a_machine_that_a_write_leaves_as_it_was_needs_no_right(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    writer = await house.add_asker("writer", "Security Admin")
    await policies.put_policy(house.service, writer, policy(part("web-1"), part("web-2")))


async def test_a_stranger_cannot_tell_a_policy_that_exists_from_one_that_does_not(house: House) -> None:
    await house.put(part("web-1"))
    stranger = await house.add_asker("stranger")
    for name in ("default", "nothing"):
        for act in (policies.get_policy, policies.delete_policy):
            with pytest.raises(Forbidden):
                await act(house.service, stranger, policy_id(name))


async def test_who_may_not_write_a_machine_is_not_told_whether_it_exists(house: House) -> None:
    writer = await house.add_asker("writer", "Security Admin")
    for name in ("web-1", "nothing"):
        with pytest.raises(Forbidden):
            await policies.put_policy(house.service, writer, policy(part(name)))


async def test_the_right_to_force_protection_is_one_of_its_own(house: House) -> None:
    contributor = await house.add_asker("contributor", "Contributor")
    with pytest.raises(Forbidden):
        await policies.put_policy(house.service, contributor, policy(part("web-1")), force=True)
    await policies.put_policy(house.service, contributor, policy(part("web-1")))
    await policies.put_policy(house.service, house.alice, policy(part("web-1")), force=True)
    await house.settle()
    assert house.firewall.applied[-1].protected[key("web-1")] == Protection(force=True)


async def test_a_forced_protection_stays_forced_when_the_policy_is_written_again(house: House) -> None:
    await policies.put_policy(house.service, house.alice, policy(part("web-1")), force=True)
    await house.put(part("web-1", port(22, longest="PT1H")))
    assert house.firewall.applied[-1].protected[key("web-1")].force


async def test_policies_are_listed_page_by_page_without_a_gap(house: House) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await policies.put_policy(house.service, house.alice, policy(part("web-1"), name=name))
    names, after, pages = [], None, 0
    while pages == 0 or after:
        page = await policies.list_policies(house.service, house.alice, SUBSCRIPTION, limit=2, after=after)
        names += [view.policy.id.name for view in page.items]
        after, pages = page.after, pages + 1
    assert names == ["a", "b", "c", "d", "e"]
    assert pages == 3


async def test_policies_are_listed_by_group_and_location(house: House) -> None:
    await house.put(part("web-1"))
    listing = policies.list_policies
    for group, location, count in (("JITGATE", "global", 1), ("jitgate", "westeurope", 0), ("other", None, 0)):
        page = await listing(house.service, house.alice, SUBSCRIPTION, resource_group=group, location=location)
        assert len(page.items) == count


# --- enabling by the defaults ------------------------------------------------------------------------


async def test_enabling_all_protects_every_machine_by_the_port_of_its_system() -> None:
    async with House() as house:
        house.machines += [machine("win-1", os=OperatingSystem.WINDOWS), machine("odd-1", unsupported="no firewall")]
        await machines.take_over(house.service, house.machines, "memory")
        await house.enable()
        assert not any(house.reaches(name) for name in MACHINES)
        assert not house.reaches("win-1", port=3389)
        assert house.reaches("win-1", port=22)
        assert house.reaches("odd-1")


async def test_enabling_a_machine_never_loses_another_of_its_policy(house: House) -> None:
    """Case PV4."""
    await house.put(part("web-1", port(22, longest="PT1H"), port(3389)))
    await house.enable("web-2")
    await house.enable("db-1")
    found = (await policies.get_policy(house.service, house.alice, policy_id())).policy
    assert [one.id.name for one in found.machines] == ["web-1", "web-2", "db-1"]
    assert [rule.number for rule in found.machines[0].ports] == [22, 3389]


async def test_enabling_twice_changes_nothing(house: House) -> None:
    await house.put(part("web-1", port(3389)), name="own")
    await house.enable("web-1", "WEB-1")
    await house.enable("web-2")
    await house.enable("web-2")
    assert house.reaches("web-1", port=22)
    found = (await policies.get_policy(house.service, house.alice, policy_id())).policy
    assert [one.id.name for one in found.machines] == ["web-2"]


async def test_what_cannot_be_protected_says_why(house: House) -> None:
    house.machines.append(machine("odd-1", unsupported="it has no firewall that jitgate can drive"))
    await machines.take_over(house.service, house.machines, "memory")
    with pytest.raises(Invalid, match="no firewall that jitgate can drive"):
        await house.enable("odd-1")


async def test_several_machines_are_enabled_all_or_none(house: House) -> None:
    house.machines.append(machine("far-1", group="far"))
    await machines.take_over(house.service, house.machines, "memory")
    writer = await house.add_asker("writer", "Owner", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate")
    writer = await house.add_role(writer, "Reader", "/")
    with pytest.raises(Forbidden):
        await policies.enable_machines(house.service, writer, ["web-1", "far-1"])
    await house.settle()
    assert house.reaches("web-1")


async def test_a_stranger_learns_nothing_by_enabling_and_disabling(house: House) -> None:
    await house.enable("web-1")
    stranger = await house.add_asker("stranger")
    for name in ("web-1", "web-2", "nothing"):
        with pytest.raises(NotFound):
            await policies.enable_machines(house.service, stranger, [name])
        with pytest.raises(NotFound):
            await policies.disable_machines(house.service, stranger, [name])
    assert await policies.enable_machines(house.service, stranger, None) == ()


async def test_a_disabled_machine_is_out_of_every_policy_and_open_again(house: House) -> None:
    """Case FW16."""
    await house.put(part("web-1"), part("web-2"), name="one")
    await house.put(part("web-1", port(3389)), name="two")
    grant = await house.open("web-1")
    shown = await policies.disable_machines(house.service, house.alice, ["web-1"])
    await house.settle()
    assert shown[0].policies == ()
    assert (await house.grant(grant.uid)).reason is CloseReason.POLICY_REMOVED
    assert house.reaches("web-1", "192.0.2.1", 22)
    assert house.reaches("web-1", "192.0.2.1", 3389)
    assert not house.reaches("web-2", "192.0.2.1")


async def test_a_view_of_a_machine_tells_how_it_is_held(house: House) -> None:
    await house.enable("web-1")
    await house.open("web-1")
    view = await machines.get_machine(house.service, house.alice, "WEB-1")
    assert view.open_grants == 1
    assert view.policies == (policy_id().text,)
    assert view.protected == {key("web-1"): "", key("web-1", Protocol.UDP): ""}
    assert view.verified_at == house.clock.wall()


def key(name: str, protocol: Protocol = Protocol.TCP) -> PortKey:
    return PortKey(machine(name).uuid, 22, protocol)
