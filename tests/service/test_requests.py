"""Asking: all or nothing, refused with reasons and on record, and nothing told to a stranger."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.house import (
    ELSEWHERE,
    HERE,
    HOUR,
    MINUTE,
    START,
    House,
    ask,
    lasting,
    machine,
    part,
    policy_id,
    port,
    until,
)
from tests.trips import counted_trips

from jitgate.audit import Operation
from jitgate.core.access import Ask, CloseReason, State
from jitgate.core.decide import Allowed, Denied, NeedsApproval
from jitgate.core.errors import Forbidden, Invalid, NotFound, Refused
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.service import activity, guardrails, policies, requests
from jitgate.service.activity import Selection


async def test_who_may_ask_under_one_policy_cannot_tell_which_other_machines_exist(house: House) -> None:
    await house.put(part("web-1"))
    asker = await house.add_asker("asker")
    asker = await house.add_role(asker, "JIT Requester", policy_id().text)
    answers = []
    for name in ("web-2", "nothing"):
        with pytest.raises(Forbidden) as refused:
            await requests.initiate(house.service, asker, policy_id(), ask("web-1", name))
        answers.append(refused.value.message.replace(name, "NAME"))
    assert answers[0] == answers[1]
    await requests.initiate(house.service, asker, policy_id(), ask("web-1"))


async def test_a_request_opens_its_port_for_its_source_only(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1", sources=[HERE])
    assert grant.state is State.OPEN
    assert house.reaches("web-1", HERE)
    assert not house.reaches("web-1", ELSEWHERE)
    assert house.reaches("web-2")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_who_asks_waits_for_few_ways_to_the_database_and_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided by is asked for together, and what is written goes with the next that is asked."""
    async with House(url=url) as house:
        await house.put(part("web-1"))
        trips = counted_trips(monkeypatch)
        await requests.initiate(house.service, house.alice, policy_id(), ask("web-1"))
    assert len(trips) <= 6, trips
    assert sum(trips) >= 14, "all statements go this way"


async def test_a_port_shuts_at_its_end_and_not_before(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("1h"))
    await house.pass_time(HOUR - timedelta(milliseconds=1))
    assert house.reaches("web-1")
    assert (await house.grant(grant.uid)).state is State.OPEN
    await house.pass_time(timedelta(milliseconds=1))
    assert not house.reaches("web-1")
    ended = await house.grant(grant.uid)
    assert (ended.state, ended.reason, ended.closed_at) == (State.CLOSED, CloseReason.EXPIRED, START + HOUR)


async def test_a_request_that_names_no_time_lasts_as_long_as_the_policy_allows(house: House) -> None:
    """Cases AP12, AP13."""
    await house.put(part("web-1", port(22, longest="PT45M")))
    assert (await house.open("web-1")).end == START + timedelta(minutes=45)


async def test_a_duration_counts_from_the_moment_of_opening(house: House) -> None:
    """Case AP6: an hour that begins tomorrow is still an hour."""
    await house.enable("web-1")
    asked = await house.ask("web-1", span=lasting("1h"), start=START + 24 * HOUR)
    waiting = asked.grants[0].grant
    assert (waiting.state, waiting.end) == (State.SCHEDULED, None)
    await house.pass_time(24 * HOUR)
    assert (await house.grant(waiting.uid)).end == START + 25 * HOUR


async def test_an_absolute_end_never_moves(house: House) -> None:
    await house.enable("web-1")
    asked = await house.ask("web-1", span=until(START + 3 * HOUR), start=START + 2 * HOUR)
    await house.pass_time(2 * HOUR)
    assert (await house.grant(asked.grants[0].grant.uid)).end == START + 3 * HOUR


async def test_a_scheduled_start_opens_at_the_start_and_not_before(house: House) -> None:
    """Case CK6."""
    await house.enable("web-1")
    asked = await house.ask("web-1", span=lasting("1h"), start=START + HOUR)
    await house.settle()
    assert not house.reaches("web-1")
    await house.pass_time(HOUR - timedelta(milliseconds=1))
    assert not house.reaches("web-1")
    await house.pass_time(timedelta(milliseconds=1))
    assert house.reaches("web-1")
    await house.pass_time(HOUR)
    assert (await house.grant(asked.grants[0].grant.uid)).reason is CloseReason.EXPIRED
    assert not house.reaches("web-1")


async def test_a_start_whose_end_has_passed_meanwhile_opens_nothing(house: House) -> None:
    """Every jitgate process was down from before the start until after the end."""
    await house.enable("web-1")
    asked = await house.ask("web-1", span=until(START + 2 * HOUR), start=START + HOUR)
    before = len(house.firewall.applied)
    await house.pass_time(3 * HOUR)
    ended = await house.grant(asked.grants[0].grant.uid)
    assert (ended.state, ended.reason, ended.opened_at) == (State.CLOSED, CloseReason.EXPIRED, None)
    assert not any(any(desired.access.values()) for desired in house.firewall.applied[before:])


@pytest.mark.parametrize("start", [START - MINUTE, START + timedelta(days=31)], ids=["past", "too far ahead"])
async def test_a_start_that_is_past_or_too_far_ahead_is_refused(house: House, start: object) -> None:
    await house.enable("web-1")
    with pytest.raises(Refused) as refused:
        await house.ask("web-1", start=start, span=lasting("1h"))  # type: ignore[arg-type]
    assert {reason.field for reason in refused.value.reasons} == {"startTimeUtc"}


async def test_what_waits_for_approval_opens_nothing_and_times_out(house: House) -> None:
    """Case AP7: how long a request may wait is a limit of its own."""
    await house.add_approvers()
    await house.enable("web-1")
    await guardrails.put_guardrail(house.service, house.alice, needs_approval(wait=2 * HOUR))
    asked = await house.ask("web-1", span=lasting("1h"))
    waiting = asked.grants[0].grant
    assert (asked.approvals, waiting.state, waiting.end) == (2, State.PENDING, None)
    await house.pass_time(2 * HOUR - timedelta(milliseconds=1))
    assert (await house.grant(waiting.uid)).state is State.PENDING
    await house.pass_time(timedelta(milliseconds=1))
    ended = await house.grant(waiting.uid)
    assert (ended.state, ended.reason) == (State.CLOSED, CloseReason.APPROVAL_TIMED_OUT)
    assert not house.reaches("web-1")


async def test_what_waits_for_approval_past_its_own_end_is_over(house: House) -> None:
    await house.add_approvers()
    await house.enable("web-1")
    await guardrails.put_guardrail(house.service, house.alice, needs_approval(wait=24 * HOUR))
    asked = await house.ask("web-1", span=until(START + HOUR))
    await house.pass_time(HOUR)
    assert (await house.grant(asked.grants[0].grant.uid)).reason is CloseReason.APPROVAL_TIMED_OUT


async def test_several_machines_and_ports_are_one_request(house: House) -> None:
    await house.put(part("web-1", port(22), port(3389)), part("web-2", port(22), port(3389)))
    asked = await house.ask("web-1", "web-2", ports=(22, 3389))
    await house.settle()
    shown = await requests.get_request(house.service, house.alice, asked.uid)
    assert [(view.machine_name, view.grant.port) for view in shown.grants] == [
        ("web-1", 22),
        ("web-1", 3389),
        ("web-2", 22),
        ("web-2", 3389),
    ]
    assert {view.grant.state for view in shown.grants} == {State.OPEN}
    assert all(house.reaches(name, port=number) for name in ("web-1", "web-2") for number in (22, 3389))


async def test_all_machines_are_opened_or_none(house: House) -> None:
    await house.put(part("web-1", port(22)), part("web-2", port(22, longest="PT30M")))
    with pytest.raises(Refused) as refused:
        await house.ask("web-1", "web-2", span=lasting("1h"))
    await house.settle()
    assert [reason.code for reason in refused.value.reasons] == ["TooLong"]
    assert await house.live() == []
    assert not house.reaches("web-1")


@pytest.mark.parametrize(
    ("asked", "code", "field", "allowed"),
    [
        (ask("web-9"), "VirtualMachineNotFound", "virtualMachines[0].id", "a machine that a connector lists"),
        (ask("web-2"), "MachineNotInPolicy", "virtualMachines[0].id", "a machine of the policy"),
        (ask("web-1", ports=[23]), "PortNotInPolicy", "virtualMachines[0].ports[0].number", "22 (TCP)"),
        (
            ask("web-1", sources=[ELSEWHERE]),
            "SourceNotAllowed",
            "virtualMachines[0].ports[0].allowedSourceAddressPrefix",
            "203.0.113.0/24",
        ),
        (
            ask("web-1", span=lasting("2h")),
            "TooLong",
            "virtualMachines[0].ports[0].duration",
            "at most 1 h (PT1H), that is until 2030-01-01T01:00:00Z",
        ),
        (
            ask("web-1", span=until(START - HOUR)),
            "EndInThePast",
            "virtualMachines[0].ports[0].endTimeUtc",
            "later than 2030-01-01T00:00:00Z",
        ),
    ],
    ids=["unknown machine", "machine in no policy", "port", "source", "too long", "past end"],
)
async def test_a_refusal_names_the_failing_field_and_what_would_do(
    house: House, asked: Ask, code: str, field: str, allowed: str
) -> None:
    """Case PV2."""
    await house.put(part("web-1", port(22, sources=["203.0.113.0/24"], longest="PT1H")))
    with pytest.raises(Refused) as refused:
        await requests.request_access(house.service, house.alice, asked)
    reason = refused.value.reasons[0]
    assert (reason.code, reason.field, reason.allowed) == (code, field, allowed)
    recorded = (await house.events(Operation.REQUEST))[-1]
    assert recorded.outcome == "Refused"
    assert recorded.properties["reasons"][0]["code"] == code
    assert (recorded.caller, recorded.address, recorded.credential) == ("alice", f"{HERE}/32", "token-of-alice")
    assert await house.live() == []


async def test_a_refusal_tells_every_reason_at_once(house: House) -> None:
    await house.put(part("web-1", port(22, sources=["203.0.113.0/24"], longest="PT1H")))
    with pytest.raises(Refused) as refused:
        await house.ask("web-1", sources=[ELSEWHERE], span=lasting("5h"))
    assert [reason.code for reason in refused.value.reasons] == ["SourceNotAllowed", "TooLong"]


async def test_an_address_inside_an_allowed_range_is_allowed(house: House) -> None:
    """Case PV1."""
    await house.put(part("web-1", port(22, sources=["10.21.254.0/24", "2001:db8::/32"])))
    await house.open("web-1", sources=["10.21.254.85", "2001:db8:1::/64"])
    assert house.reaches("web-1", "10.21.254.85")
    assert house.reaches("web-1", "2001:db8:1::9")
    assert not house.reaches("web-1", "10.21.254.86")


async def test_a_dry_run_answers_as_asking_would_and_changes_nothing(house: House) -> None:
    await house.put(part("web-1"))
    events = len(await house.events())
    allowed = await requests.explain(house.service, house.alice, ask("web-1"))
    denied = await requests.explain(house.service, house.alice, ask("web-1", ports=[23]))
    assert isinstance(allowed, Allowed)
    assert isinstance(denied, Denied)
    await house.add_approvers()
    await guardrails.put_guardrail(house.service, house.alice, needs_approval(wait=HOUR))
    assert isinstance(await requests.explain(house.service, house.alice, ask("web-1")), NeedsApproval)
    assert await house.live() == []
    assert len(await house.events()) == events + 1


async def test_asking_under_a_policy_uses_that_policy_alone(house: House) -> None:
    await house.put(part("web-1", port(22)), name="one")
    await house.put(part("web-1", port(3389)), name="two")
    with pytest.raises(Refused):
        await requests.initiate(house.service, house.alice, policy_id("one"), ask("web-1", ports=[3389]))
    made = await requests.initiate(house.service, house.alice, policy_id("TWO"), ask("web-1", ports=[3389]))
    assert made.grants[0].grant.state is State.OPENING


async def test_asking_under_a_policy_that_does_not_exist_says_so(house: House) -> None:
    """Case RA4."""
    with pytest.raises(NotFound) as missing:
        await requests.initiate(house.service, house.alice, policy_id("nothing"), ask("web-1"))
    assert missing.value.code == "PolicyNotFound"


async def test_a_stranger_is_refused_before_anything_is_looked_up(house: House) -> None:
    await house.enable("web-1")
    stranger = await house.add_asker("stranger")
    answers = set()
    for name in ("default", "nothing"):
        for asked in (ask("web-1"), ask("web-9"), ask("web-1", ports=[23])):
            with pytest.raises(Forbidden) as refused:
                await requests.initiate(house.service, stranger, policy_id(name), asked)
            answers.add(str(refused.value).replace(name, "…"))
    assert len(answers) == 1


async def test_a_stranger_cannot_tell_which_machines_exist_by_asking(house: House) -> None:
    await house.enable("web-1")
    stranger = await house.add_asker("stranger")
    answers = set()
    for name in ("web-1", "web-2", "web-9"):
        with pytest.raises(Forbidden) as refused:
            await requests.request_access(house.service, stranger, ask(name))
        answers.add(str(refused.value).replace(name, "…"))
        explained = await requests.explain(house.service, stranger, ask(name, ports=[23]))
        assert isinstance(explained, Denied)
        answers.add(str(explained.reasons[0]).replace(name, "…"))
    assert len(answers) == 1


async def test_a_right_elsewhere_opens_nothing_here(house: House) -> None:
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester", f"{policy_id('other').text}")
    with pytest.raises(Forbidden):
        await house.ask("web-1", by=requester)
    assert not house.reaches("web-1")


async def test_a_request_is_shown_to_who_made_it_and_to_who_may_read_policies(house: House) -> None:
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester", policy_id().text)
    other = await house.add_asker("other", "JIT Requester", policy_id("other").text)
    made = await house.ask("web-1", by=requester)
    for reader in (requester, house.alice):
        assert (await requests.get_request(house.service, reader, made.uid)).requestor == "requester"
    with pytest.raises(NotFound):
        await requests.get_request(house.service, other, made.uid)


async def test_a_justification_is_kept_with_the_request_and_on_record(house: House) -> None:
    await house.enable("web-1")
    made = await house.ask("web-1", justification="INC-4711 disk full")
    assert (await requests.get_request(house.service, house.alice, made.uid)).justification == "INC-4711 disk full"
    assert (await house.events(Operation.REQUEST))[-1].properties["justification"] == "INC-4711 disk full"


@pytest.mark.parametrize(
    ("limits", "asked", "code"),
    [
        (Limits(reason_required=True), ask("web-1", why=" "), "JustificationRequired"),
        (Limits(reason_pattern="INC-#*"), ask("web-1", why="because"), "JustificationRequired"),
        (Limits(sources=("10.0.0.0/8",)), ask("web-1"), "SourceNotAllowed"),  # type: ignore[arg-type]
        (Limits(max_duration=HOUR), ask("web-1", span=lasting("2h")), "TooLong"),
        (Limits(caller_only=True), ask("web-1", sources=[ELSEWHERE]), "SourceNotAllowed"),
    ],
    ids=["reason", "form of the reason", "source", "longest", "caller"],
)
async def test_a_guardrail_holds_whichever_policy_grants(house: House, limits: Limits, asked: Ask, code: str) -> None:
    await house.put(part("web-1"), name="strict")
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("rail", Selector(), limits))
    await house.put(part("web-1", port(22, longest="P1D")), name="lax")
    with pytest.raises(Refused) as refused:
        await requests.request_access(house.service, house.alice, asked)
    assert {reason.code for reason in refused.value.reasons} == {code}


async def test_the_shorter_of_policy_and_guardrail_bounds_a_request_that_names_no_time(house: House) -> None:
    """Case AP11."""
    await house.put(part("web-1", port(22, longest="PT3H")))
    await guardrails.put_guardrail(
        house.service, house.alice, Guardrail("rail", Selector(), Limits(max_duration=timedelta(minutes=20)))
    )
    assert (await house.open("web-1")).end == START + timedelta(minutes=20)


@pytest.mark.parametrize(
    "asked",
    [
        Ask(()),
        ask("web-1", "WEB-1"),
        ask("web-1", ports=(22, 22)),
        ask("web-1", ports=()),
        ask("web-1", why="x" * 1001),
        replace(ask("web-1"), machines=(replace(ask("web-1", ports=range(1, 502)).machines[0]),)),
    ],
    ids=["nothing", "a machine twice", "a port twice", "no port", "a long justification", "too many ports"],
)
async def test_what_no_policy_could_allow_is_invalid(house: House, asked: Ask) -> None:
    await house.enable("web-1")
    with pytest.raises(Invalid):
        await requests.request_access(house.service, house.alice, asked)
    assert await house.live() == []


async def test_an_unsupported_machine_says_why_it_cannot_be_opened() -> None:
    async with House() as house:
        await house.enable("web-1")
        house.machines[0] = replace(machine("web-1"), unsupported="it has no firewall that jitgate can drive")
        await house.discover()
        with pytest.raises(Refused, match="no firewall that jitgate can drive"):
            await house.ask("web-1")


async def test_ended_requests_stay_listed_under_their_policy_for_their_time(house: House) -> None:
    await house.put(part("web-1"))
    ended = await house.open("web-1", span=lasting("1h"))
    await house.pass_time(HOUR)
    listed = await policies.get_policy(house.service, house.alice, policy_id())
    assert [view.grant.uid for one in listed.requests for view in one.grants] == [ended.uid]
    house.clock.advance(timedelta(days=30))
    still = await policies.get_policy(house.service, house.alice, policy_id())
    assert len(still.requests) == 1
    house.clock.advance(timedelta(milliseconds=1))
    assert (await policies.get_policy(house.service, house.alice, policy_id())).requests == ()


async def test_the_history_of_a_policy_is_bounded_and_loses_its_oldest_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MOST_LISTED", 3)
    await house.put(part("web-1"))
    live = await house.open("web-1", sources=[ELSEWHERE])
    made = []
    for _ in range(5):
        house.clock.advance(MINUTE)
        made.append((await house.open("web-1", span=lasting("5m"))).request)
        await house.pass_time(5 * MINUTE)
    listed = await policies.get_policy(house.service, house.alice, policy_id())
    assert [one.uid for one in listed.requests] == [live.request, *made[-2:]]


async def test_every_request_is_on_record_once_for_each_machine(house: House) -> None:
    await house.enable("web-1", "web-2")
    made = await house.ask("web-1", "web-2")
    accepted = [event for event in await house.events(Operation.REQUEST) if event.outcome == "Accepted"]
    assert [event.resource for event in accepted] == [house.machine("web-1").id, house.machine("web-2").id]
    assert {event.properties["request"] for event in accepted} == {made.uid}
    wanted = Selection(resource=house.machine("web-1").id.upper())
    page = await activity.list_activity(house.service, house.alice, wanted)
    assert accepted[0] in page.items


def needs_approval(wait: timedelta) -> Guardrail:
    return Guardrail("four eyes", Selector(), Limits(approvals=2, approval_wait=wait))
