"""Selections: a policy takes machines in by what they are, also later ones, and lets none go by itself."""

from dataclasses import replace

import pytest
from tests.house import SUBSCRIPTION, House, machine, part, policy, policy_id, port

from jitgate.audit import Operation
from jitgate.core.access import State
from jitgate.core.errors import Conflict, Forbidden
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.plan import Plan, SubPlan, Tier
from jitgate.core.policy import MachinePolicy, Policy, Selection
from jitgate.core.selector import Selector
from jitgate.service import plans, policies

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"
PROD = Selector(GROUP, {"env": "prod"})


def selecting(*parts: MachinePolicy, selector: Selector = PROD, os: OperatingSystem | None = None) -> Policy:
    return replace(policy(*parts), selections=(Selection(selector, (port(22),), os),))


async def write(house: House, wanted: Policy, *, as_arm: bool = False) -> None:
    await policies.put_policy(house.service, house.alice, wanted, keep_selections=as_arm)
    await house.settle()


async def appear(house: House, *found: Machine) -> None:
    names = {each.name for each in found}
    house.machines = [*(each for each in house.machines if each.name not in names), *found]
    await house.discover()
    await house.settle()


async def test_a_policy_takes_in_the_machines_that_are_there_by_their_tags(house: House) -> None:
    await appear(house, machine("web-1", tags={"ENV": "prod"}))
    await write(house, selecting())
    assert not house.reaches("web-1")
    assert house.reaches("web-2")
    await house.open("web-1")
    assert house.reaches("web-1")


async def test_a_machine_that_appears_later_is_taken_in_at_once_and_that_is_on_record(house: House) -> None:
    await write(house, selecting(part("db-1")))
    await appear(house, machine("web-3", tags={"env": "prod"}), machine("web-4", tags={"env": "test"}))
    assert not house.reaches("web-3")
    assert house.reaches("web-4")
    [event] = await house.events(Operation.POLICY_SELECT)
    assert event.properties["machines"] == [house.machine("web-3").id]


async def test_a_machine_that_is_tagged_later_is_taken_in(house: House) -> None:
    await write(house, selecting())
    await appear(house, machine("web-1", tags={"env": "prod"}))
    assert not house.reaches("web-1")


async def test_a_tag_that_goes_bares_no_port_until_the_policy_is_written_again(house: House) -> None:
    """Whoever may set tags is not for that somebody who may write policies."""
    await appear(house, machine("web-1", tags={"env": "prod"}))
    await write(house, selecting())
    await appear(house, machine("web-1"))
    assert not house.reaches("web-1")
    await write(house, selecting())
    assert house.reaches("web-1")


async def test_systems_and_scopes_narrow_what_is_taken_in(house: House) -> None:
    windows = machine("win-1", os=OperatingSystem.WINDOWS)
    other = machine("far-1", group="elsewhere")
    await appear(house, windows, other, machine("odd-1", unsupported="no firewall"))
    await write(house, selecting(selector=Selector(GROUP), os=OperatingSystem.WINDOWS))
    taken = (await policies.get_policy(house.service, house.alice, policy_id())).policy.machines
    assert [each.id.name for each in taken] == ["win-1"]
    await write(house, selecting(selector=Selector(GROUP)))
    taken = (await policies.get_policy(house.service, house.alice, policy_id())).policy.machines
    assert {each.id.name for each in taken} == {"web-1", "web-2", "db-1", "win-1"}


async def test_writing_the_same_again_drops_no_live_grant(house: House) -> None:
    await appear(house, machine("web-1", tags={"env": "prod"}))
    await write(house, selecting())
    grant = await house.open("web-1")
    await write(house, selecting())
    await appear(house, machine("web-3", tags={"env": "prod"}))
    assert (await house.grant(grant.uid)).state is State.OPEN
    assert house.reaches("web-1")


async def test_who_names_a_machine_decides_its_ports(house: House) -> None:
    await appear(house, machine("web-1", tags={"env": "prod"}))
    await write(house, selecting(part("web-1", port(3389))))
    assert house.reaches("web-1", port=22)
    assert not house.reaches("web-1", port=3389)


async def test_of_a_port_the_first_selection_that_has_it_counts(house: House) -> None:
    await appear(house, machine("web-1", tags={"env": "prod"}))
    first, second = Selection(PROD, (port(22, longest="PT1H"),)), Selection(Selector(GROUP), (port(22), port(3389)))
    await write(house, replace(policy(), selections=(first, second)))
    found = (await policies.get_policy(house.service, house.alice, policy_id())).policy
    taken = next(each for each in found.machines if each.id.name == "web-1")
    assert [(rule.number, rule.max_duration.text) for rule in taken.ports] == [(22, "PT1H"), (3389, "PT3H")]


async def test_a_write_through_azures_contract_keeps_what_the_policy_selects(house: House) -> None:
    """A client that reads, changes and writes back knows no selections, and must not freeze or lose them."""
    await appear(house, machine("web-1", tags={"env": "prod"}))
    await write(house, selecting(part("db-1")))
    read = (await policies.get_policy(house.service, house.alice, policy_id())).policy
    await write(house, Policy(read.id, (*read.machines, part("web-2"))), as_arm=True)
    found = (await policies.get_policy(house.service, house.alice, policy_id())).policy
    assert {each.id.name: each.selected for each in found.machines} == {"db-1": False, "web-1": True, "web-2": False}
    await write(house, policy(part("db-1")), as_arm=True)
    assert not house.reaches("web-1")
    assert house.reaches("web-2")


async def test_who_selects_may_write_every_machine_that_it_could_ever_take_in(house: House) -> None:
    bob = await house.add_asker("bob", "Owner", f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web-1")
    bob = await house.add_role(bob, "Security Admin", GROUP)
    with pytest.raises(Forbidden):
        await policies.put_policy(house.service, bob, selecting())
    await write(house, selecting())
    with pytest.raises(Forbidden):
        await policies.put_policy(house.service, bob, policy())
    with pytest.raises(Forbidden):
        await policies.delete_policy(house.service, bob, policy_id())


async def test_a_selected_machine_is_not_disabled_by_itself_because_it_would_come_back(house: House) -> None:
    await appear(house, machine("web-1", tags={"env": "prod"}))
    await write(house, selecting())
    with pytest.raises(Conflict, match="Change what the policy selects"):
        await policies.disable_machines(house.service, house.alice, ["web-1"])
    assert not house.reaches("web-1")


async def test_what_no_plan_allows_is_taken_in_once_the_plan_does(house: House) -> None:
    whole = f"/subscriptions/{SUBSCRIPTION}"
    await write(house, selecting())
    await plans.put_plan(house.service, house.alice, Plan(whole, Tier.FREE, None))
    await appear(house, machine("web-1", tags={"env": "prod"}))
    assert house.reaches("web-1")
    await plans.put_plan(house.service, house.alice, Plan(whole, Tier.STANDARD, SubPlan.P2))
    await house.settle()
    assert not house.reaches("web-1")
    await plans.disable_jit(house.service, house.alice, GROUP, "moving out")
    await appear(house, machine("web-2", tags={"env": "prod"}))
    assert house.reaches("web-2")
    await plans.enable_jit(house.service, house.alice, GROUP)
    await house.settle()
    assert not house.reaches("web-2")
