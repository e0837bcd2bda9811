"""A firewall that takes its time: it is asked again when it said, is told what it wanted remembered, and says when."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.house import HOUR, MINUTE, START, House, lasting, part

from jitgate.audit import Operation
from jitgate.connectors.base import Done, Memory, Outcome, Pending, Plan
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.access import State
from jitgate.core.desired import Desired
from jitgate.service import grants
from jitgate.store import scopes

SCOPE = "memory/web-1"


class Slow(MemoryConnector):
    """Has it stand only when it is asked a second time, and counts by what it wanted remembered."""

    told: Mapping[str, Any]

    async def plan(self, desired: Desired, memory: Memory) -> Plan:
        self.told = memory
        return await super().plan(desired, memory)

    async def apply(self, plan: Plan) -> Outcome:
        asked = self.told.get("asked", 0) + 1
        if asked < 2:
            return Pending(self._clock.wall() + 5 * MINUTE, {"asked": asked})
        outcome = await super().apply(plan)
        assert isinstance(outcome, Done)
        return Done(outcome.report, {"asked": 0, "stood": self.told.get("stood", 0) + 1})


async def test_a_slow_firewall_is_asked_again_when_it_said_and_not_before(house: House) -> None:
    await house.put(part("web-1"))
    house.firewall.delay_next(5 * MINUTE)
    asked = (await house.ask("web-1", span=lasting("1h"))).grants[0].grant
    await house.settle()
    calls = _calls(house)
    await house.pass_time(5 * MINUTE - timedelta(milliseconds=1))
    assert (await house.grant(asked.uid)).state is State.OPENING
    assert _calls(house) == calls
    await house.pass_time(timedelta(milliseconds=1))
    opened = await house.grant(asked.uid)
    assert (opened.state, opened.end) == (State.OPEN, START + HOUR)


async def test_an_acknowledgement_has_it_looked_at_at_once(house: House) -> None:
    await house.put(part("web-1"))
    house.firewall.delay_next(5 * MINUTE)
    asked = (await house.ask("web-1")).grants[0].grant
    await house.settle()
    await house.store.write(lambda tx: scopes.wake(tx, SCOPE))
    await house.settle()
    assert (await house.grant(asked.uid)).state is State.OPEN


async def test_what_a_connector_wants_remembered_is_told_again_also_after_a_crash(house: House) -> None:
    await house.put(part("web-1"))
    slow = house.connectors["memory"] = Slow(house.clock)
    slow._firewalls = house.firewall._firewalls
    await house.ask("web-1")
    await house.settle()
    assert (await house.state("web-1")).memory == {"asked": 1}
    house.crash()
    await house.pass_time(5 * MINUTE)
    assert (await house.state("web-1")).memory == {"asked": 0, "stood": 1}
    assert house.reaches("web-1")


async def test_a_close_that_takes_its_time_is_closed_only_when_it_is_proven(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    house.firewall.delay_next(20 * timedelta(seconds=1))
    closing = await house.close_early(grant.uid)
    assert closing.state is State.CLOSING
    await house.pass_time(timedelta(seconds=20))
    assert (await house.grant(grant.uid)).state is State.CLOSED
    assert not await house.events(Operation.FIREWALL_LATE)


async def test_a_close_asked_for_meanwhile_does_not_wait_for_an_opening_that_takes_its_time(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1", sources=["192.0.2.1"])
    house.firewall.delay_next(5 * MINUTE)
    await house.ask("web-1", sources=["192.0.2.2"])
    await house.settle()
    assert (await house.close_early(grant.uid)).state is State.CLOSED
    assert not house.reaches("web-1", "192.0.2.1")


async def test_an_extension_that_does_not_stand_yet_says_why(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1", span=lasting("1h"))
    house.firewall.fail_next(1, "the host does not answer")
    await grants.extend_grant(house.service, house.alice, grant.uid, lasting("2h"))
    await house.settle()
    assert (await house.view(grant.uid)).detail == "the host does not answer"
    await house.pass_time(MINUTE)
    assert (await house.view(grant.uid)).detail == ""
    house.clock.advance(HOUR)
    assert house.reaches("web-1")


def _calls(house: House) -> int:
    """How often the firewall was asked; those beside it are swept meanwhile, each at its own moment."""
    return sum(desired.scope == SCOPE for desired in house.firewall.applied)
