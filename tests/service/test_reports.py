"""What auditors ask is answered by what held at the time, not by what holds now."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar

import pytest
from tests.house import HOUR, START, SUBSCRIPTION, House, part, port

from jitgate.audit import Operation
from jitgate.core.audit_report import Could
from jitgate.core.errors import Forbidden
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.record import encode
from jitgate.core.resource_id import PolicyId
from jitgate.core.roles import BUILT_IN, Kind, Role
from jitgate.core.selector import Selector
from jitgate.service import guardrails, policies, reports
from jitgate.store import groups, history, principals, roles
from jitgate.store.database import Tx
from jitgate.store.history import What

DAY = timedelta(days=1)
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"
T = TypeVar("T")


async def all_of(pages: AsyncIterator[Sequence[T]]) -> list[T]:
    return [one for page in [page async for page in pages] for one in page]


async def who_could(house: House, at: datetime) -> list[Could]:
    return await all_of(reports.who_could(house.service, house.alice, at))


async def told(house: House, at: datetime, person: str = "bob") -> list[str]:
    """Of one person: machine, port, and by which role."""
    found = await who_could(house, at)
    return [f"{one.machine.rpartition('/')[2]} {one.port} {one.role}" for one in found if one.person == person]


async def test_who_could_follows_policies_and_roles_through_time(house: House) -> None:
    await house.put(part("web-1"))
    bob = await house.add_asker("bob", "JIT Requester", GROUP)
    house.clock.advance(DAY)
    await house.put(part("web-1", port(22), port(3389)), part("web-2"))
    house.clock.advance(DAY)
    await house.strip(bob)
    house.clock.advance(DAY)
    await policies.delete_policy(house.service, house.alice, PolicyId(SUBSCRIPTION, "jitgate", "global", "default"))
    requester = BUILT_IN["JIT Requester"].name
    assert await told(house, START - HOUR) == []
    assert await told(house, START + HOUR) == [f"web-1 22 {requester}"]
    later = [f"web-1 22 {requester}", f"web-1 3389 {requester}", f"web-2 22 {requester}"]
    assert await told(house, START + DAY + HOUR) == later
    assert await told(house, START + 2 * DAY + HOUR) == []
    assert await told(house, START + 2 * DAY + HOUR, "alice") != []
    assert await told(house, START + 3 * DAY + HOUR, "alice") == []


async def test_roles_through_groups_and_custom_roles_count_as_they_were(house: House) -> None:
    await house.put(part("web-1"))
    asks = Role("Asks", ("Microsoft.Security/*",), id="11111111-0000-0000-0000-000000000000", is_custom=True)
    bob = await house.add_asker("bob")

    def give(tx: Tx) -> None:
        roles.put(tx, asks)
        principals.add(tx, "ops", "ops", Kind.GROUP)
        groups.join(tx, "ops", bob.principal.uid)
        principals.assign(tx, "a", "ops", asks.id, GROUP)

    def weaken(tx: Tx) -> None:
        roles.put(tx, Role("Asks", ("Microsoft.Security/*/read",), id=asks.id, is_custom=True))

    await house.store.write(give)
    house.clock.advance(DAY)
    await house.store.write(weaken)
    house.clock.advance(DAY)
    [one] = [one for one in await who_could(house, START + HOUR) if one.person == "bob"]
    assert (one.role, one.via, one.scope) == ("Asks", "ops", GROUP)
    assert await told(house, START + DAY + HOUR) == []


@pytest.mark.parametrize("change", ["leave", "disable", "remove group"])
async def test_who_has_left_or_is_disabled_could_nothing_from_then_on(house: House, change: str) -> None:
    await house.put(part("web-1"))
    bob = await house.add_asker("bob")

    def give(tx: Tx) -> None:
        principals.add(tx, "ops", "ops", Kind.GROUP)
        groups.join(tx, "ops", bob.principal.uid)
        principals.assign(tx, "a", "ops", "Owner", "/")

    def take(tx: Tx) -> None:
        match change:
            case "leave":
                groups.leave(tx, "ops", bob.principal.uid)
            case "disable":
                principals.disable(tx, bob.principal.uid)
            case _:
                groups.remove(tx, "ops")

    await house.store.write(give)
    house.clock.advance(DAY)
    await house.store.write(take)
    assert await told(house, START + HOUR)
    assert not await told(house, START + DAY + HOUR)


async def test_a_guardrail_of_that_time_says_whether_approval_was_needed(house: House) -> None:
    await house.put(part("web-1"))
    house.clock.advance(DAY)
    four_eyes = Guardrail("four eyes", Selector(), Limits(approvals=1, max_duration=HOUR))
    await guardrails.put_guardrail(house.service, house.alice, four_eyes)
    [before] = await who_could(house, START + HOUR)
    [after] = await who_could(house, START + DAY + HOUR)
    assert (before.needs_approval, before.longest, before.sources) == (False, "3 h", ("0.0.0.0/0", "::/0"))
    assert (after.needs_approval, after.longest) == (True, "1 h")


async def test_the_history_of_a_policy_tells_who_changed_what_of_which_machine(house: House) -> None:
    await house.put(part("web-1"))
    house.clock.advance(DAY)
    await house.put(part("web-1", port(3389)), part("web-2"))
    await house.put(part("web-2"), name="other")
    place = PolicyId(SUBSCRIPTION, "jitgate", "global", "default")
    await policies.delete_policy(house.service, house.alice, place)
    found = await all_of(reports.policy_history(house.service, house.alice, "DEFAULT"))
    assert [(one.at, one.caller, one.is_removed) for one in found] == [
        (START, "alice", False),
        (START + DAY, "alice", False),
        (START + DAY, "alice", True),
    ]
    [first] = found[0].changes
    assert (first.before, first.after) == ((), ("22 TCP from any source, 3 h",))
    changed, added = found[1].changes
    assert (changed.before, changed.after) == (("22 TCP from any source, 3 h",), ("3389 TCP from any source, 3 h",))
    assert (added.machine, added.before) == (house.machine("web-2").id, ())
    assert all(change.after == () for change in found[2].changes)
    assert len(await all_of(reports.policy_history(house.service, house.alice))) == 4


async def test_a_state_in_the_history_is_the_one_whose_digest_is_sealed(house: House) -> None:
    await house.put(part("web-1"))
    [written] = await house.events(Operation.POLICY_WRITE)
    [state] = await house.store.read(lambda tx: history.states(tx, What.POLICY))
    assert state.body is not None
    assert written.properties["sha256"] == sha256(encode(json.loads(json.dumps(state.body)))).hexdigest()


async def test_an_access_review_tells_when_each_right_was_last_used(house: House) -> None:
    await house.put(part("web-1"), part("web-2"))
    bob = await house.add_asker("bob", "JIT Requester", GROUP)
    await house.add_role(bob, "Auditor", "/")
    idle = await house.add_asker("idle", "Owner")
    bob = await house.add_role(bob, "Contributor", GROUP + "-other")
    house.clock.advance(DAY)
    await house.ask("web-1", by=bob)
    await house.store.write(lambda tx: principals.disable(tx, idle.principal.uid))
    found = {(one.person, one.role): one for one in await all_of(reports.access_review(house.service, house.alice))}
    used = found["bob", "JIT Requester"].used
    assert used is not None
    assert (used.at, used.operation) == (START + DAY, Operation.REQUEST)
    assert found["bob", "Contributor"].used is None
    assert found["bob", "Auditor"].seen == START + DAY
    assert (found["idle", "Owner"].is_disabled, found["idle", "Owner"].seen) == (True, None)


async def test_reports_are_for_those_who_may_export_and_are_on_record(house: House) -> None:
    reader = await house.add_asker("reader", "Reader")
    for pages in (
        reports.who_could(house.service, reader, START),
        reports.access_review(house.service, reader),
        reports.policy_history(house.service, reader),
    ):
        with pytest.raises(Forbidden):
            await anext(pages)
    auditor = await house.add_asker("auditor", "Auditor")
    await all_of(reports.who_could(house.service, auditor, START))
    [exported] = await house.events(Operation.ACTIVITY_EXPORT)
    assert (exported.caller, exported.properties["report"]) == ("auditor", "whoCould")
