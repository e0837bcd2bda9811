"""Which replica looks at a firewall: the one that its agent talks to, or any after a minute."""

from datetime import timedelta

from tests.house import HOUR, House, lasting, part

from jitgate.core.access import State
from jitgate.service import machines
from jitgate.store import scopes
from jitgate.store.scopes import LEFT_LYING_AFTER

SCOPE = "memory/web-1"


async def test_a_firewall_whose_agent_talks_to_another_replica_is_left_to_that_one(house: House) -> None:
    await house.put_only(part("web-1"))
    await house.store.write(lambda tx: scopes.make_home(tx, SCOPE, "there"))
    here, there = house.make_reconciler("here"), house.make_reconciler("there")
    assert not await here.reconcile(SCOPE)
    assert SCOPE not in await house.store.read(lambda tx: scopes.due(tx, ["memory"], 10, "here"))
    assert await there.reconcile(SCOPE)
    assert not house.reaches("web-1")


async def test_what_a_dead_replica_leaves_lying_is_ended_on_record_by_another_a_minute_later(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1", span=lasting("1h"))
    await house.store.write(lambda tx: scopes.make_home(tx, SCOPE, "dead"))
    other = house.make_reconciler("other")
    house.clock.advance(HOUR + LEFT_LYING_AFTER - timedelta(seconds=1))
    await house.store.write(lambda tx: scopes.hasten(tx, SCOPE, tx.now))
    house.clock.advance(LEFT_LYING_AFTER)
    await other.reconcile_all_due()
    assert (await house.grant(grant.uid)).state is State.CLOSED


async def test_a_replica_takes_over_nothing_of_what_is_beside_another(house: House) -> None:
    await machines.take_over(house.service, house.machines, "memory", "there")
    await machines.take_over(house.service, [], "memory", "here")
    present = await house.store.read(lambda tx: scopes.get_many(tx, [one.scope for one in house.machines]))
    assert {state.home for state in present.values()} == {"there"}
    assert (await machines.get_machine(house.service, house.alice, "web-1")).machine.name == "web-1"
