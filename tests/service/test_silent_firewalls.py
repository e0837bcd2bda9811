"""What holds a firewall beside a replica, an agent or a gateway, and is silent: nothing is claimed of it."""

from datetime import timedelta

import pytest
from tests.house import House

from jitgate.audit import Operation
from jitgate.service import machines
from jitgate.store import presence
from jitgate.store.migrations import newest
from jitgate.store.presence import Replica

REPLICA = Replica("first", "1.0", newest(), "all")


@pytest.fixture(autouse=True)
async def beside(house: House) -> None:
    """The machines are held by what is beside a replica, which lives."""
    await house.store.write(lambda tx: presence.be_heard(tx, REPLICA))
    await machines.take_over(house.service, house.machines, "memory", REPLICA.name)
    await house.settle()


async def keep(house: House, *, is_heard: bool) -> None:
    await machines.keep_heard(house.service, "memory", REPLICA.name, is_heard=is_heard)


async def is_unverified(house: House, grant: str) -> bool:
    """As grant and machine say, which say the same."""
    of_grant = (await house.view(grant)).unverified
    of_machine = (await machines.get_machine(house.service, house.alice, "web-1")).unverified
    assert of_grant == of_machine
    return of_grant


async def test_a_port_behind_what_says_nothing_is_neither_open_nor_shut_but_unverified(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    await keep(house, is_heard=True)
    assert not await is_unverified(house, grant.uid)
    await keep(house, is_heard=False)
    await keep(house, is_heard=False)
    assert await is_unverified(house, grant.uid)
    silent = await house.events(Operation.HOST_SILENT)
    assert {event.resource for event in silent} == {machine.scope for machine in house.machines}, "each told once"
    await keep(house, is_heard=True)
    assert not await is_unverified(house, grant.uid)
    assert len(await house.events(Operation.HOST_HEARD)) == len(silent)


async def test_what_is_heard_again_is_compared_whole(house: House) -> None:
    await keep(house, is_heard=False)
    assert await house.settle() == 0
    await keep(house, is_heard=True)
    assert await house.settle() == len(house.machines)


async def test_what_is_beside_a_replica_that_is_gone_is_unverified_too(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    await house.store.write(lambda tx: presence.leave(tx, REPLICA.name))
    assert await is_unverified(house, grant.uid)


async def test_what_another_replica_takes_over_is_known_again(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    await keep(house, is_heard=False)
    other = Replica("second", "1.0", newest(), "all")
    await house.store.write(lambda tx: presence.be_heard(tx, other))
    await machines.take_over(house.service, house.machines, "memory", other.name)
    assert not await is_unverified(house, grant.uid)
    await keep(house, is_heard=False)
    assert not await is_unverified(house, grant.uid), "what it was beside does not speak for it any more"


async def test_what_any_replica_reaches_has_no_process_that_could_be_silent(house: House) -> None:
    await machines.take_over(house.service, house.machines, "memory")
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.clock.advance(timedelta(minutes=5))
    await keep(house, is_heard=False)
    assert not await is_unverified(house, grant.uid)
