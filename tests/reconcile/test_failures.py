"""A firewall that fails: openings are given up where people see it, closes are retried for ever, and loudly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from tests.house import ELSEWHERE, HERE, HOUR, MINUTE, START, House, lasting, machine
from tests.reconcile.conftest import Running

from jitgate.audit import Operation
from jitgate.connectors.base import ConnectorError, Done, Memory, Outcome, Pending, Plan, Report
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.access import CloseReason, State
from jitgate.core.machine import Machine
from jitgate.service import grants, machines

DOWN = 10_000
"""More calls than any test makes."""


class Stubborn(MemoryConnector):
    """Fails whatever would open a port, and carries out the rest."""

    async def apply(self, plan: Plan) -> Outcome:
        if any(plan.desired.access.values()):
            raise ConnectorError("the rule is not accepted")
        return await super().apply(plan)


class Rejecting(MemoryConnector):
    """Answers that what would open a port can never be done."""

    async def apply(self, plan: Plan) -> Outcome:
        if any(plan.desired.access.values()):
            raise ConnectorError("this firewall knows no such rule", retry=False)
        return await super().apply(plan)


class Forgetful(MemoryConnector):
    """Says that all is done, and does nothing."""

    async def apply(self, plan: Plan) -> Outcome:
        return Done(Report(plan.scope, plan.desired.generation, {}, frozenset(), {}, self.capabilities, complete=False))


@dataclass
class Broken:
    """A connector that breaks in a way of its own at each call."""

    whole_ports = False

    failures: Sequence[object]
    name: str = "memory"
    calls: list[Plan] = field(default_factory=list)

    async def discover(self) -> Sequence[Machine]:
        return ()

    async def plan(self, desired: object, memory: Memory) -> Plan:
        return Plan(desired, ())  # type: ignore[arg-type]

    async def apply(self, plan: Plan) -> Outcome:
        self.calls.append(plan)
        failure = self.failures[(len(self.calls) - 1) % len(self.failures)]
        if isinstance(failure, BaseException):
            raise failure
        return failure  # type: ignore[return-value]


async def wait_for(house: House, how_long: timedelta, step: timedelta = timedelta(seconds=5)) -> None:
    """Let time pass in steps, and let the reconciler see each."""
    until = house.clock.wall() + how_long
    while house.clock.wall() < until:
        await house.pass_time(step)


# --- closing -----------------------------------------------------------------------------------------


async def test_a_close_that_fails_stays_closing_and_is_retried_until_it_is_done(house: House) -> None:
    """Cases CL5, CL6, CL7."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.firewall.fail_next(DOWN, "429 too many requests")
    closing = await house.close_early(grant.uid)
    assert (closing.state, closing.reason) == (State.CLOSING, CloseReason.USER_REQUESTED)
    await wait_for(house, 6 * HOUR, MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSING
    assert (await house.view(grant.uid)).detail == "429 too many requests"
    house.firewall.heal()
    await wait_for(house, 2 * MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSED
    assert not house.reaches("web-1")


async def test_a_late_close_is_an_alarm_within_a_minute(house: House) -> None:
    """Cases CL5, CL7."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.firewall.fail_next(DOWN)
    await house.close_early(grant.uid)
    await wait_for(house, timedelta(seconds=25), timedelta(seconds=1))
    assert not await house.events(Operation.FIREWALL_LATE)
    await wait_for(house, timedelta(seconds=10), timedelta(seconds=1))
    alarms = await house.events(Operation.FIREWALL_LATE)
    assert alarms
    assert all(alarm.properties["grants"] == [grant.uid] for alarm in alarms)


async def test_a_failing_firewall_does_not_flood_the_record(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.firewall.fail_next(DOWN)
    await house.close_early(grant.uid)
    await wait_for(house, 12 * HOUR, MINUTE)
    told = await house.events(Operation.FIREWALL_APPLY)
    failed = [event for event in told if event.outcome == "Failed" and event.resource == "memory/web-1"]
    assert 5 < len(failed) < 15
    assert 0 < len(await house.events(Operation.FIREWALL_LATE)) < 15


async def test_a_firewall_that_never_answers_raises_the_same_alarm(house: House) -> None:
    """Case CL7: an agent that is away answers nothing at all."""
    await house.enable("web-1", "web-2")
    grant = await house.open("web-1")
    house.firewall.delay_next(timedelta(seconds=5), DOWN)
    opening = (await house.ask("web-2")).grants[0].grant
    await house.close_early(grant.uid)
    await wait_for(house, HOUR)
    assert (await house.grant(grant.uid)).state is State.CLOSING
    alarms = [event for event in await house.events(Operation.FIREWALL_LATE) if event.resource == "memory/web-1"]
    assert len(alarms) == 1
    assert (await house.view(grant.uid)).detail
    assert (await house.grant(opening.uid)).reason is CloseReason.FAILED


async def test_a_close_whose_answer_was_lost_is_proven_by_asking_again(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.firewall.fail_next(1, after=True)
    await house.close_early(grant.uid)
    assert not house.reaches("web-1")
    assert (await house.grant(grant.uid)).state is State.CLOSING
    await wait_for(house, MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSED


async def test_nothing_is_proven_shut_by_a_firewall_that_only_says_so(house: House) -> None:
    """Case CL18."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.connectors["memory"] = Forgetful(house.clock)
    await house.close_early(grant.uid)
    await wait_for(house, 10 * MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSING
    assert await house.events(Operation.FIREWALL_LATE)


async def test_a_firewall_that_only_says_so_is_not_asked_in_a_busy_loop(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    forgetful = house.connectors["memory"] = Counting(house.clock)
    await house.close_early(grant.uid)
    await wait_for(house, HOUR, MINUTE)
    assert len([desired for desired in forgetful.applied if desired.scope == "memory/web-1"]) < 80


# --- opening -----------------------------------------------------------------------------------------


async def test_an_opening_that_keeps_failing_is_given_up_and_says_why(house: House) -> None:
    """Case AP22."""
    await house.enable("web-1")
    house.firewall.fail_next(DOWN, "the host is away")
    asked = (await house.ask("web-1")).grants[0].grant
    await wait_for(house, 14 * MINUTE, MINUTE)
    assert (await house.grant(asked.uid)).state is State.OPENING
    await wait_for(house, 3 * MINUTE, MINUTE)
    given_up = await house.view(asked.uid)
    assert (given_up.grant.state, given_up.grant.reason) == (State.CLOSING, CloseReason.FAILED)
    assert given_up.detail == "the host is away"
    house.firewall.heal()
    await wait_for(house, 2 * MINUTE)
    assert (await house.view(asked.uid)).grant.state is State.CLOSED
    assert (await house.view(asked.uid)).detail == "the host is away"
    assert not house.reaches("web-1")
    failed = [event for event in await house.story() if event.outcome == "Failed"]
    assert failed[0].properties["detail"] == "the host is away"


async def test_an_opening_that_fails_for_a_while_opens_in_the_end(house: House) -> None:
    await house.enable("web-1")
    house.firewall.fail_next(5)
    asked = (await house.ask("web-1", span=lasting("1h"))).grants[0].grant
    await wait_for(house, 2 * MINUTE)
    opened = await house.grant(asked.uid)
    assert (opened.state, opened.end) == (State.OPEN, START + HOUR)
    assert (await house.view(asked.uid)).detail == ""


async def test_an_opening_that_can_never_be_done_fails_at_once(house: House) -> None:
    await house.enable("web-1")
    house.connectors["memory"] = Rejecting(house.clock)
    asked = (await house.ask("web-1")).grants[0].grant
    await wait_for(house, timedelta(seconds=10), timedelta(seconds=1))
    failed = await house.view(asked.uid)
    assert (failed.grant.state, failed.grant.reason) == (State.CLOSED, CloseReason.FAILED)
    assert failed.detail == "this firewall knows no such rule"


async def test_one_source_that_a_firewall_refuses_leaves_nothing_half_open(house: House) -> None:
    await house.enable("web-1")
    key = next(k for k in (await house.open("web-1", sources=[ELSEWHERE])).keys())
    await house.close_early((await house.live())[0].uid)
    house.firewall.refuse(key, "this firewall knows no such source")
    grant = await house.open("web-1", sources=[HERE, ELSEWHERE])
    assert (grant.state, grant.reason) == (State.CLOSED, CloseReason.FAILED)
    assert (await house.view(grant.uid)).detail == "this firewall knows no such source"
    assert not house.reaches("web-1", HERE)
    assert not house.reaches("web-1", ELSEWHERE)


async def test_a_grant_that_its_firewall_holds_no_more_is_not_listed_as_open(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    house.firewall.refuse(next(grant.keys()), "the address is blocked upstream")
    await wait_for(house, 6 * MINUTE, MINUTE)
    shut = await house.view(grant.uid)
    assert (shut.grant.state, shut.grant.reason) == (State.CLOSED, CloseReason.FAILED)
    assert shut.detail == "the address is blocked upstream"
    assert not house.reaches("web-1")


async def test_what_cannot_be_opened_keeps_nothing_from_being_shut(house: House) -> None:
    """Close first: a firewall that rejects one new rule still lets the old ones go."""
    await house.enable("web-1")
    grant = await house.open("web-1", sources=[HERE])
    stubborn = Stubborn(house.clock)
    stubborn._firewalls = house.firewall._firewalls
    house.connectors["memory"] = stubborn
    opening = (await house.ask("web-1", sources=[ELSEWHERE])).grants[0].grant
    await house.close_early(grant.uid)
    await wait_for(house, 10 * timedelta(seconds=1), timedelta(seconds=1))
    assert (await house.grant(grant.uid)).state is State.CLOSED
    assert not house.reaches("web-1", HERE)
    assert (await house.grant(opening.uid)).state is State.OPENING
    await wait_for(house, 17 * MINUTE, MINUTE)
    assert (await house.grant(opening.uid)).reason is CloseReason.FAILED


async def test_one_firewall_that_fails_holds_up_no_other(house: House) -> None:
    house.machines.append(machine("bad-1", connector="broken"))
    house.connectors["broken"] = Broken([RuntimeError("bug")], name="broken")
    await machines.take_over(house.service, house.machines[-1:], "broken")
    await house.enable()
    await house.ask("bad-1")
    assert (await house.open("web-1")).state is State.OPEN


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("bug"),
        KeyError("missing"),
        OSError("no route to host"),
        TimeoutError(),
        ConnectorError("no"),
        ConnectorError("never", retry=False),
        None,
        "nonsense",
        Pending(START),
    ],
    ids=repr,
)
async def test_whatever_a_connector_does_its_scope_is_asked_again(
    house: House, running: Running, failure: object
) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    broken = Broken([failure])
    house.connectors["memory"] = broken
    await grants.close_grant(house.service, house.alice, grant.uid)
    await running.wait(2 * MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSING
    assert 1 < len(broken.calls) < 40
    house.connectors["memory"] = house.firewall
    await running.wait(2 * MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSED


async def test_an_answer_that_cannot_be_kept_is_asked_for_again(house: House, running: Running) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    broken = Broken([Pending(START, memory={"not": object()})])
    house.connectors["memory"] = broken
    await grants.close_grant(house.service, house.alice, grant.uid)
    await running.wait()
    assert (await house.grant(grant.uid)).state is State.CLOSING
    house.connectors["memory"] = house.firewall
    await running.wait(MINUTE)
    assert (await house.grant(grant.uid)).state is State.CLOSED


class Counting(Forgetful):
    """As forgetful, and counts."""

    async def apply(self, plan: Plan) -> Outcome:
        self.applied.append(plan.desired)
        return await super().apply(plan)
