"""Configuring machines: tried out before it is saved, and never at the cost of another machine."""

from dataclasses import replace

import pytest
from tests.house import SUBSCRIPTION, House, lasting, part, policy, policy_id, port

from jitgate.audit import Operation
from jitgate.core.access import CloseReason, State
from jitgate.core.desired import SessionEnd
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from jitgate.core.guardrail import Limits
from jitgate.core.policy import PortRule, Selection
from jitgate.core.selector import Selector
from jitgate.service import configuration, freezes, guardrails, policies
from jitgate.service.base import Asker
from jitgate.service.freezes import Target

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"


async def mark(house: House, *names: str, by: Asker | None = None) -> str:
    return configuration.mark_of(await configuration.read(house.service, by or house.alice, names))


async def save(house: House, *names: str, ports: tuple[PortRule, ...] = (port(),), by: Asker | None = None) -> None:
    asker = by or house.alice
    await configuration.configure(house.service, asker, names, ports, await mark(house, *names, by=asker))
    await house.settle()


async def numbers(house: House, name: str) -> list[int]:
    (found,) = await configuration.read(house.service, house.alice, [name])
    return [rule.number for rule in found.ports]


async def test_several_machines_are_configured_together_and_others_of_the_policy_stay(house: House) -> None:
    """azure-jit.md, traps 2 and 19."""
    await house.put(part("db-1", port(5432)))
    await save(house, "web-1", "web-2", ports=(port(22), port(8443)))
    assert await numbers(house, "web-1") == await numbers(house, "web-2") == [22, 8443]
    assert await numbers(house, "db-1") == [5432]
    assert not house.reaches("web-2", port=8443)
    written = (await house.events(Operation.POLICY_WRITE))[-1]
    assert written.resource == policy_id().text


async def test_a_preview_says_which_grants_close_and_leaves_everything_as_it_is(house: House) -> None:
    await house.put(part("web-1", port(22), port(8443)))
    closing = await house.open("web-1", port=8443, span=lasting("1h"))
    staying = await house.open("web-1", span=lasting("1h"))
    before = await house.count("history"), await house.count("activity"), await house.generation("web-1")
    seen = await configuration.preview(house.service, house.alice, ["web-1"], (port(22),), await mark(house, "web-1"))
    assert [view.grant.uid for view in seen.closes] == [closing.uid]
    assert [view.grant.uid for view in seen.stays] == [staying.uid]
    await house.settle()
    assert (await house.count("history"), await house.count("activity"), await house.generation("web-1")) == before
    assert (await house.grant(closing.uid)).state is State.OPEN
    await save(house, "web-1", ports=(port(22),))
    assert (await house.grant(closing.uid)).reason is CloseReason.POLICY_REMOVED
    assert (await house.grant(staying.uid)).state is State.OPEN


async def test_the_preview_of_a_removal_says_what_closes_and_removes_nothing(house: House) -> None:
    await house.enable("web-1", "web-2")
    grant = await house.open("web-1")
    seen = await configuration.preview_removal(house.service, house.alice, ["web-1"])
    assert ([view.grant.uid for view in seen.closes], seen.stays) == ([grant.uid], ())
    assert await numbers(house, "web-1") == [22]


async def test_what_somebody_changed_meanwhile_is_not_written_over(house: House) -> None:
    await house.put(part("web-1", port(22)))
    seen = await mark(house, "web-1")
    await save(house, "web-1", ports=(port(8443),))
    for change in (configuration.configure, configuration.preview):
        with pytest.raises(Conflict, match="changed this since"):
            await change(house.service, house.alice, ["web-1"], (port(22),), seen)
    assert await numbers(house, "web-1") == [8443]


async def test_a_change_to_another_machine_of_the_policy_is_no_conflict(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    seen = await mark(house, "web-1")
    await save(house, "web-2", ports=(port(8443),))
    await configuration.configure(house.service, house.alice, ["web-1"], (port(22), port(23)), seen)
    assert (await numbers(house, "web-1"), await numbers(house, "web-2")) == ([22, 23], [8443])


async def test_a_machine_in_two_policies_is_changed_in_the_default_one_and_told_of_the_other(house: House) -> None:
    await house.put(part("web-1", port(8443)), name="a-first")
    await house.put(part("web-1"))
    await save(house, "web-1", ports=(port(23),))
    (found,) = await configuration.read(house.service, house.alice, ["web-1"])
    assert [rule.number for rule in found.ports] == [23]
    assert found.others == (policy_id("a-first").text,)
    assert not house.reaches("web-1", port=8443)


async def test_who_may_not_write_is_told_so_by_the_preview_already(house: House) -> None:
    reader = await house.add_asker("reader", "Reader")
    stranger = await house.add_asker("stranger")
    seen = await mark(house, "web-1")
    with pytest.raises(Forbidden):
        await configuration.preview(house.service, reader, ["web-1"], (port(),), seen)
    with pytest.raises(Forbidden):
        await configuration.configure(house.service, reader, ["web-1"], (port(),), seen)
    with pytest.raises(NotFound):
        await configuration.read(house.service, stranger, ["web-1"])


async def test_a_frozen_machine_keeps_its_ports(house: House) -> None:
    await house.put(part("web-1", port(22), port(8443)))
    bert = await house.add_asker("bert", "Owner")
    await freezes.freeze(house.service, bert, Target(machine="web-1"), "forensics")
    with pytest.raises(Refused, match="frozen"):
        await configuration.preview(house.service, house.alice, ["web-1"], (port(22),), await mark(house, "web-1"))


async def test_no_ports_at_all_and_too_many_machines_are_refused(house: House) -> None:
    with pytest.raises(Invalid, match="at least one port"):
        await configuration.configure(house.service, house.alice, ["web-1"], (), await mark(house, "web-1"))
    with pytest.raises(Invalid, match="together"):
        await configuration.read(house.service, house.alice, ["web-1"] * 201)
    with pytest.raises(Invalid, match="together"):
        await configuration.read(house.service, house.alice, [])


async def test_guardrails_of_the_machines_own_tighten_at_once_and_loosen_with_a_second_administrator(
    house: House,
) -> None:
    await house.enable("web-1")
    strict = Limits(approvals=1, session=SessionEnd.END)
    found = await configuration.read(house.service, house.alice, ["web-1"])
    assert await configuration.guard(house.service, house.alice, found, strict) == 0
    found = await configuration.read(house.service, house.alice, ["web-1"])
    assert (found[0].own.approvals, found[0].held.session) == (1, SessionEnd.END)
    assert await configuration.guard(house.service, house.alice, found, strict) == 0
    assert await configuration.guard(house.service, house.alice, found, Limits()) == 1
    (again,) = await configuration.read(house.service, house.alice, ["web-1"])
    assert again.held.asked_steps
    assert len(await guardrails.list_proposals(house.service, house.alice)) == 1


async def test_setting_a_guardrail_keeps_what_it_demands_besides(house: House) -> None:
    await house.enable("web-1")
    found = await configuration.read(house.service, house.alice, ["web-1"])
    await configuration.guard(house.service, house.alice, found, Limits(reason_required=True))
    (one,) = await configuration.read(house.service, house.alice, ["web-1"])
    assert one.own.reason_required
    assert not one.held.asked_steps


async def test_what_a_selection_took_in_stays_selected_unless_its_ports_change(house: House) -> None:
    selecting = replace(policy(), selections=(Selection(Selector(GROUP), (port(),)),))
    await policies.put_policy(house.service, house.alice, selecting)
    await save(house, "web-1", ports=(port(),))
    await save(house, "web-2", ports=(port(8443),))
    kept = (await policies.get_policy(house.service, house.alice, policy_id())).policy
    assert {one.id.name: one.selected for one in kept.machines} == {"db-1": True, "web-1": True, "web-2": False}
    assert kept.selections == selecting.selections
