"""Freezes: what is open shuts, what is asked is refused, at every door, until somebody else thaws it."""

from dataclasses import replace

import pytest
from tests.house import HOUR, MINUTE, START, SUBSCRIPTION, House, ask, lasting, part, policy_id, port

from jitgate.audit import Operation
from jitgate.core.access import CloseReason, State
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from jitgate.core.freeze import Freeze
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.service import (
    approvals,
    assignments,
    credentials,
    freezes,
    grants,
    groups,
    guardrails,
    policies,
    principals,
    requests,
)
from jitgate.service.freezes import Target
from jitgate.store import freezes as rows

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"


@pytest.mark.parametrize(
    "target",
    [
        Target(machine="web-1"),
        Target(scope=GROUP.upper()),
        Target(scope=f"/subscriptions/{SUBSCRIPTION}/"),
        Target(scope="/"),
        Target(person="Bob"),
    ],
    ids=["a machine", "a group", "a subscription", "everything", "a person"],
)
async def test_what_is_frozen_shuts_and_is_refused_until_it_is_thawed(house: House, target: Target) -> None:
    await house.enable("web-1", "web-2")
    bob = await house.add_asker("bob", "JIT Requester")
    opened = await house.open("web-1", by=bob)
    later = await house.ask("web-1", by=bob, start=START + HOUR, sources=["192.0.2.1"])
    held = await freezes.freeze(house.service, house.alice, target, "an incident")
    await house.settle()
    assert not house.reaches("web-1")
    view = await house.view(opened.uid)
    assert (view.grant.state, view.grant.reason, view.detail) == (
        State.CLOSED,
        CloseReason.REVOKED,
        "frozen: an incident",
    )
    assert (await house.grant(later.grants[0].grant.uid)).reason is CloseReason.REVOKED
    with pytest.raises(Refused, match="frozen since 2030-01-01T00:00:00Z: an incident") as refused:
        await house.ask("web-1", by=bob)
    assert [reason.code for reason in refused.value.reasons] == ["Frozen"]
    await freezes.thaw(house.service, house.alice, held.freeze.uid[:8], "it is over")
    await house.settle()
    assert not house.reaches("web-1"), "thawing opens nothing"
    await house.open("web-1", by=bob)
    assert house.reaches("web-1")


async def test_nobody_else_is_concerned(house: House) -> None:
    await house.enable("web-1", "web-2")
    bob = await house.add_asker("bob", "JIT Requester")
    await house.open("web-1")
    await freezes.freeze(house.service, house.alice, Target(person="bob"), "an incident")
    await freezes.freeze(house.service, house.alice, Target(machine="web-2"), "maintenance")
    await house.settle()
    assert house.reaches("web-1")
    await house.ask("web-1")
    for name, by in (("web-2", house.alice), ("web-1", bob)):
        with pytest.raises(Refused):
            await house.ask(name, by=by)


async def test_a_freeze_holds_at_each_later_step_too(house: House) -> None:
    """Extending, moving, a scheduled start, an approval, and breaking the glass are the same decision."""
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("1h"))
    await quietly_freeze_everything(house)
    for act in (
        grants.extend_grant(house.service, house.alice, grant.uid, lasting("2h")),
        grants.move_grant(house.service, house.alice, grant.uid, grant.sources),
    ):
        with pytest.raises(Refused, match="frozen"):
            await act
    breaking = replace(ask("web-1", span=lasting("1h")), break_glass=True)
    with pytest.raises(Refused, match="frozen"):
        await requests.request_access(house.service, house.alice, breaking)


async def test_what_was_asked_for_before_does_not_open_at_its_start_nor_when_approved(house: House) -> None:
    """Also where the freeze has not closed it, as for who got it by another way."""
    dora, _ = await house.add_approvers()
    await house.enable("web-1")
    scheduled = await house.ask("web-1", start=START + HOUR)
    rail = Guardrail("four eyes", Selector(), Limits(approvals=1))
    await guardrails.put_guardrail(house.service, house.alice, rail)
    pending = await house.ask("web-1", sources=["192.0.2.1"])
    await quietly_freeze_everything(house)
    with pytest.raises(Conflict, match="frozen"):
        await approvals.approve(house.service, dora, pending.uid)
    await house.pass_time(HOUR)
    ended = await house.view(scheduled.grants[0].grant.uid)
    assert (ended.grant.reason, "frozen" in ended.detail) == (CloseReason.REVOKED, True)


async def test_who_is_frozen_thaws_nobody(house: House) -> None:
    second = await house.add_asker("second", "Owner")
    held = await freezes.freeze(house.service, second, Target(person="alice"), "is it she?")
    with pytest.raises(Forbidden, match="frozen"):
        await freezes.thaw(house.service, house.alice, held.freeze.uid, "yes")
    await freezes.thaw(house.service, second, held.freeze.uid, "it is")
    assert list(await freezes.list_freezes(house.service, second)) == []


async def test_who_is_frozen_changes_nothing_for_others_and_gets_nobody_to_thaw_them(house: House) -> None:
    """No second account with rights, no rules that are looser, and nobody shut out who could go on investigating."""
    second = await house.add_asker("second", "Owner")
    await house.add_asker("puppet", "Owner")
    await house.enable("web-1")
    await freezes.freeze(house.service, second, Target(person="alice"), "is it she?")
    service, alice = house.service, house.alice
    for act in (
        freezes.freeze(service, alice, Target(person="second"), "first come"),
        principals.add_principal(service, alice, "new"),
        principals.disable_principal(service, alice, "second"),
        assignments.assign_role(service, alice, "0" * 32, role="Owner", holder="puppet", scope="/"),
        groups.add_group(service, alice, "friends"),
        credentials.make_secret(service, alice, "puppet", credentials.Wanted("ci", HOUR)),
        guardrails.put_guardrail(service, alice, Guardrail("mine", Selector(), Limits(approvals=1))),
        policies.disable_machines(service, alice, ["web-1"]),
    ):
        with pytest.raises(Forbidden, match="alice is frozen"):
            await act


async def test_who_is_frozen_may_still_give_up_what_is_theirs(house: House) -> None:
    second = await house.add_asker("second", "Owner")
    token = await credentials.make_token(house.service, house.alice, credentials.Wanted("mine", HOUR))
    await freezes.freeze(house.service, second, Target(person="alice"), "is it she?")
    await credentials.revoke_credential(house.service, house.alice, token.held.id)


async def test_nobody_freezes_themselves(house: House) -> None:
    with pytest.raises(Forbidden, match="themselves"):
        await freezes.freeze(house.service, house.alice, Target(person="ALICE"), "to see what happens")


async def test_who_has_the_right_at_a_group_freezes_nothing_beyond(house: House) -> None:
    local = await house.add_asker("local", "Owner", GROUP)
    for target in (Target(scope="/"), Target(person="alice"), Target(scope=f"/subscriptions/{SUBSCRIPTION}")):
        with pytest.raises(Forbidden):
            await freezes.freeze(house.service, local, target, "because")
    held = await freezes.freeze(house.service, local, Target(scope=GROUP), "because")
    stranger = await house.add_asker("stranger", "Contributor")
    for uid in (held.freeze.uid, "0" * 32):
        with pytest.raises(Forbidden):
            await freezes.thaw(house.service, stranger, uid, "because")
    with pytest.raises(Forbidden):
        await freezes.list_freezes(house.service, stranger)


async def test_what_cannot_be_frozen_or_thawed_is_refused(house: House) -> None:
    for target in (Target(), Target(person="a", scope="/"), Target(scope="web-1"), Target(scope="/" + "x" * 3000)):
        with pytest.raises(Invalid):
            await freezes.freeze(house.service, house.alice, target, "because")
    for why in ("", " ", "x" * 1001):
        with pytest.raises(Invalid):
            await freezes.freeze(house.service, house.alice, Target(scope="/"), why)
    with pytest.raises(NotFound):
        await freezes.freeze(house.service, house.alice, Target(person="nobody"), "because")
    held = await freezes.freeze(house.service, house.alice, Target(scope="/"), "because")
    with pytest.raises(Conflict):
        await freezes.freeze(house.service, house.alice, Target(scope="/"), "again")
    await freezes.thaw(house.service, house.alice, held.freeze.uid, "enough")
    with pytest.raises(Conflict):
        await freezes.thaw(house.service, house.alice, held.freeze.uid, "again")
    with pytest.raises(NotFound):
        await freezes.thaw(house.service, house.alice, "0000", "again")


async def test_many_freezes_are_each_found(house: House) -> None:
    """More than are looked at in one go."""
    await house.enable("web-1", "web-2")
    for number in range(12):
        scope = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/other-{number}"
        await freezes.freeze(house.service, house.alice, Target(scope=scope), "maintenance")
    await house.ask("web-1")
    await freezes.freeze(house.service, house.alice, Target(machine="web-1"), "maintenance")
    with pytest.raises(Refused, match="frozen"):
        await house.ask("web-1")
    await house.ask("web-2")
    bob = await house.add_asker("bob", "JIT Requester")
    await freezes.freeze(house.service, house.alice, Target(person="bob"), "an incident")
    with pytest.raises(Refused, match="bob is frozen"):
        await house.ask("web-2", by=bob)


async def test_freezes_and_thaws_are_on_record_with_what_they_shut(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.clock.advance(MINUTE)
    held = await freezes.freeze(house.service, house.alice, Target(scope="/"), "an incident")
    await freezes.thaw(house.service, house.alice, held.freeze.uid, "it is over")
    [frozen] = await house.events(Operation.FREEZE)
    assert (frozen.resource, frozen.properties["closed"], frozen.properties["grants"]) == ("/", 1, [grant.uid])
    [thawed] = await house.events(Operation.THAW)
    assert thawed.properties["why"] == "it is over"
    [kept] = await freezes.list_freezes(house.service, house.alice, ended=True)
    assert (kept.by, kept.thawed_by, kept.thaw_why) == ("alice", "alice", "it is over")


async def quietly_freeze_everything(house: House) -> None:
    """A freeze that has closed nothing: what comes later is to be refused all the same."""
    uid = house.alice.principal.uid
    await house.store.write(lambda tx: rows.add(tx, Freeze("f" * 32, "an incident", tx.now, scope="/"), uid))


@pytest.mark.parametrize("way", ["disable", "delete", "write"])
async def test_no_policy_takes_its_protection_off_what_is_frozen(house: House, way: str) -> None:
    """A port that no policy holds is open to everybody, which is the opposite of what was asked for."""
    await house.put(part("web-1", port(22), port(3389)), part("web-2", port(22)))
    held = await freezes.freeze(house.service, house.alice, Target(machine="web-1"), "an incident")

    async def act() -> None:
        if way == "disable":
            await policies.disable_machines(house.service, house.alice, ["web-1"])
        elif way == "delete":
            await policies.delete_policy(house.service, house.alice, policy_id())
        else:
            await house.put_only(part("web-1", port(3389)), part("web-2", port(22)))

    with pytest.raises(Refused, match="frozen since"):
        await act()
    await house.put_only(part("web-1", port(22), port(3389), port(5985)))
    await freezes.thaw(house.service, house.alice, held.freeze.uid, "it is over")
    await act()
