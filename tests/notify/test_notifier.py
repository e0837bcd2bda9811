"""Notifications: in order and at least once, whoever fails, hangs or dies, and held up by nobody else."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.house import HOUR, MINUTE, House, lasting
from tests.notify.receiver import Endpoint
from tests.service.test_break_glass import urgent

from jitgate.audit import Operation, Outcome
from jitgate.core import topics
from jitgate.core.approval import Step, parse_approver
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.core.topics import Topic
from jitgate.notify import receivers
from jitgate.notify.message import Address, Message
from jitgate.notify.notifier import MOST_REFUSALS, Notifier, pause_after
from jitgate.notify.receivers import Channel, Receiver, Webhook
from jitgate.service import approvals, freezes, guardrails, reminders, requests
from jitgate.service.freezes import Target
from jitgate.store import cursors
from jitgate.store.activity import Entry
from jitgate.store.approvals import Verdict
from jitgate.store.database import Tx
from jitgate.trust import links

ALL = frozenset(Topic)
SECRET = b"s" * 32
KEY = b"k" * 32
HERE = Address("https://jit.example.org", lambda: (KEY,))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with House() as made:
        await made.enable("web-1")
        yield made


@pytest.fixture
def skipped() -> list[tuple[str, str]]:
    return []


async def tell_all(house: House, receiver: Receiver, skipped: list[tuple[str, str]] | None = None) -> None:
    """Seal, and tell a receiver what it can be told now."""
    await house.make_sealer().seal_all()
    notifier = make(house, receiver, skipped)
    while await notifier.tell(receiver):
        pass


def make(house: House, receiver: Receiver, skipped: list[tuple[str, str]] | None = None) -> Notifier:
    def on_skipped(_tx: Tx, name: str, entry: Entry, why: str) -> None:
        assert skipped is not None
        skipped.append((entry.operation, f"{name}: {why}"))

    return Notifier(house.store, "first", [receiver], HERE, on_skipped)


def webhook(endpoint: Endpoint, name: str = "hook", topics: frozenset[Topic] = ALL) -> Webhook:
    return Webhook(name, topics, endpoint.url, lambda: [SECRET])


def told(endpoint: Endpoint) -> list[str]:
    return [json.loads(post.body)["data"]["properties"].get("why", "") for post in endpoint.taken]


async def freeze_and_thaw(house: House, *whys: str) -> None:
    """Two lines on record for each."""
    for why in whys:
        held = await freezes.freeze(house.service, house.alice, Target(scope="/"), why)
        await freezes.thaw(house.service, house.alice, held.freeze.uid, why)


async def test_what_happened_before_somebody_listened_is_not_told_and_what_comes_is_in_order(house: House) -> None:
    await freeze_and_thaw(house, "before")
    with Endpoint() as endpoint:
        await tell_all(house, webhook(endpoint))
        await freeze_and_thaw(house, "one", "two")
        await tell_all(house, webhook(endpoint))
        assert told(endpoint) == ["one", "one", "two", "two"]
        await tell_all(house, webhook(endpoint))
        assert len(endpoint.posts) == 4, "nothing is told twice for no reason"


async def test_a_message_is_signed_as_standard_webhooks_has_it(house: House) -> None:
    with Endpoint() as endpoint:
        await tell_all(house, webhook(endpoint))
        await freeze_and_thaw(house, "one")
        await tell_all(house, webhook(endpoint))
    post = endpoint.taken[0]
    headers = {name.lower(): value for name, value in post.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + post.body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - house.clock.wall().timestamp()) < 2
    assert json.loads(post.body)["type"] == "freeze"


async def test_a_receiver_that_fails_is_asked_again_later_each_time_and_misses_nothing(house: House) -> None:
    with Endpoint() as endpoint:
        hook = webhook(endpoint)
        await tell_all(house, hook)
        await freeze_and_thaw(house, "one", "two")
        endpoint.answers = [500, 503, 429]
        for attempt in (1, 2, 3):
            await tell_all(house, hook)
            assert len(endpoint.posts) == attempt
            await tell_all(house, hook)
            assert len(endpoint.posts) == attempt, "not before its time"
            house.clock.advance(pause_after(attempt))
        await tell_all(house, hook)
        assert told(endpoint) == ["one", "one", "two", "two"]
        ids = [post.headers["webhook-id"] for post in endpoint.posts]
        assert len(set(ids[:4])) == 1, "a repetition is known by its id"
        assert len(set(ids)) == 4


def test_the_pauses_grow_up_to_five_minutes() -> None:
    assert [pause_after(attempts).total_seconds() for attempts in (1, 2, 3, 9, 10, 99)] == [1, 2, 4, 256, 300, 300]


async def test_a_receiver_that_was_away_is_told_when_it_is_back(house: House) -> None:
    endpoint = Endpoint()
    with endpoint:
        hook = webhook(endpoint)
        await tell_all(house, hook)
    await freeze_and_thaw(house, "while it was away")
    await tell_all(house, hook)
    house.crash()
    house.clock.advance(MINUTE)
    with endpoint:
        await tell_all(house, hook)
    assert told(endpoint) == ["while it was away"] * 2


async def test_a_receiver_that_hangs_holds_up_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither another receiver, nor who asks."""
    monkeypatch.setattr(receivers, "TIMEOUT_SECONDS", 0.5)
    with Endpoint([-60.0] * 5) as dead, Endpoint() as living:
        both = [webhook(dead, "dead"), webhook(living, "living")]
        for one in both:
            await house.store.write(lambda tx, name=one.name: cursors.make_known(tx, name))  # type: ignore[misc]
        running = asyncio.create_task(Notifier(house.store, "first", both, HERE, lambda *_: None).run())
        await freeze_and_thaw(house, "one")
        await house.make_sealer().seal_all()
        async with asyncio.timeout(60):
            while len(living.taken) < 2 or not dead.posts:
                await asyncio.sleep(0.02)
                house.clock.advance(timedelta(milliseconds=20))
            await house.ask("web-1")
        assert not told(dead)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_no_answer_leads_elsewhere(house: House) -> None:
    with Endpoint() as inside, Endpoint([307, 302]) as endpoint:
        endpoint.location = inside.url
        hook = webhook(endpoint)
        await tell_all(house, hook)
        await freeze_and_thaw(house, "one")
        await tell_all(house, hook)
        assert (len(endpoint.posts), inside.posts) == (1, [])


async def test_a_message_that_is_refused_as_such_does_not_silence_a_receiver(
    house: House, skipped: list[tuple[str, str]]
) -> None:
    with Endpoint() as endpoint:
        hook = webhook(endpoint)
        await tell_all(house, hook, skipped)
        await freeze_and_thaw(house, "one")
        endpoint.answers = [400] * MOST_REFUSALS
        for _ in range(MOST_REFUSALS):
            await tell_all(house, hook, skipped)
            house.clock.advance(MINUTE)
        await tell_all(house, hook, skipped)
        assert skipped == [(Operation.FREEZE, "hook: it answers 400")]
        assert [json.loads(post.body)["data"]["operation"] for post in endpoint.taken] == [Operation.THAW]


async def test_only_one_process_at_a_time_tells_a_receiver(house: House) -> None:
    with Endpoint() as endpoint:
        hook = webhook(endpoint)
        await tell_all(house, hook)
        await freeze_and_thaw(house, "one")
        await house.make_sealer().seal_all()
        assert not await Notifier(house.store, "second", [hook], HERE, lambda *_: None).tell(hook)
        house.clock.advance(2 * MINUTE)
        assert await Notifier(house.store, "second", [hook], HERE, lambda *_: None).tell(hook)


async def test_approvers_are_told_each_with_a_link_that_works_for_them_alone(house: House) -> None:
    """Case AP16."""
    dora, egon = await house.add_approvers()
    house.service = replace(house.service, settings=replace(house.service.settings, link_keys=lambda: (KEY,)))
    rail = Guardrail("four eyes", Selector(), Limits(approvals=2))
    await guardrails.put_guardrail(house.service, house.alice, rail)
    with Endpoint() as endpoint:
        hook = webhook(endpoint, topics=frozenset({Topic.APPROVAL_NEEDED, Topic.REQUEST_DECIDED}))
        await tell_all(house, hook)
        asked = await house.ask("web-1", justification="INC-7")
        await tell_all(house, hook)
        body = json.loads(endpoint.taken[0].body)
        assert (body["type"], body["data"]["properties"]["justification"]) == ("approval.needed", "INC-7")
        named = {one["name"]: one for one in body["data"]["approvers"]}
        assert set(named) == {"dora", "egon"}
        assert named["dora"]["url"] == f"https://jit.example.org/approve#{named['dora']['link']}"
        assert links.read([KEY], named["dora"]["link"], dora.principal.uid) == asked.uid
        assert links.read([KEY], named["dora"]["link"], egon.principal.uid) is None
        for by in (dora, egon):
            link = named[by.principal.name]["link"]
            await approvals.decide_by_link(house.service, by, link, Verdict.APPROVED)
        await tell_all(house, hook)
        assert [json.loads(post.body)["type"] for post in endpoint.taken[1:]] == ["approval.needed", "request.decided"]


async def test_the_requester_hears_of_the_decision_and_of_a_wait_that_was_too_long(house: House) -> None:
    """Case AP20."""
    dora, _ = await house.add_approvers()
    rail = Guardrail("four eyes", Selector(), Limits(approvals=1, approval_wait=HOUR))
    await guardrails.put_guardrail(house.service, house.alice, rail)
    with Endpoint() as endpoint:
        hook = webhook(endpoint, topics=frozenset({Topic.REQUEST_DECIDED}))
        await tell_all(house, hook)
        denied, late = await house.ask("web-1"), await house.ask("web-1", sources=["192.0.2.1"])
        await approvals.deny(house.service, dora, denied.uid, "no")
        await house.pass_time(HOUR)
        await tell_all(house, hook)
        data = [json.loads(post.body)["data"] for post in endpoint.taken]
    assert [one["properties"].get("note", one["properties"].get("reason")) for one in data] == [
        "no",
        "approvalTimedOut",
    ]
    assert data[0]["properties"]["requestor"] == "alice"
    assert late.uid == data[1]["correlation"]


async def test_breaking_the_glass_is_told_to_everybody_who_was_passed_over(house: House) -> None:
    """Case AP19."""
    await house.add_approvers()

    with Endpoint() as endpoint:
        hook = webhook(endpoint, topics=frozenset({Topic.BREAK_GLASS}))
        await tell_all(house, hook)
        await requests.request_access(house.service, house.alice, urgent())
        await tell_all(house, hook)
        [post] = endpoint.taken
    assert {one["name"] for one in json.loads(post.body)["data"]["approvers"]} == {"dora", "egon"}


async def test_an_owner_is_reminded_once_before_the_end_and_again_once_extended(house: House) -> None:
    await reminders.remind(house.service)
    grant = await house.open("web-1", span=lasting("1h"))
    reminded: list[int] = []
    for _ in range(12):
        house.clock.advance(5 * MINUTE)
        reminded.append(await reminders.remind(house.service))
        if len(reminded) == 11:
            from jitgate.service import grants

            await grants.extend_grant(house.service, house.alice, grant.uid, lasting("30m"))
            await house.settle()
    assert reminded == [0] * 9 + [1, 0, 0]
    for _ in range(4):
        await house.pass_time(5 * MINUTE)
        reminded.append(await reminders.remind(house.service))
    assert sum(reminded) == 2
    [first, _] = await house.events(Operation.GRANT_ENDS_SOON)
    assert first.properties["requestor"] == "alice"
    assert first.properties["extend"] == f"jitgate extend {grant.uid[:8]} --for 1h"


async def test_a_step_that_is_escalated_is_told_once_to_those_who_may_decide_now(house: House) -> None:
    await house.add_approvers()
    step = Step(1, (parse_approver("user:dora", "a"),), escalate_after=HOUR)
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("rail", Selector(), Limits(steps=(step,))))
    await reminders.remind(house.service)
    asked = await house.ask("web-1")
    [made] = await house.events(Operation.REQUEST)
    assert [one["name"] for one in made.properties["approvers"]] == ["dora"]
    house.clock.advance(HOUR - MINUTE)
    assert await reminders.remind(house.service) == 0
    house.clock.advance(MINUTE)
    assert [await reminders.remind(house.service) for _ in range(2)] == [1, 0]
    [told_now] = await house.events(Operation.APPROVAL_ESCALATED)
    assert {one["name"] for one in told_now.properties["approvers"]} == {"dora", "egon"}
    assert told_now.correlation == asked.uid


async def test_however_many_wait_for_longer_does_not_hide_who_is_escalated(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "_MOST_WAITING", 2)
    await house.add_approvers()
    step = Step(1, (parse_approver("user:dora", "a"),), escalate_after=HOUR)
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("rail", Selector(), Limits(steps=(step,))))
    await reminders.remind(house.service)
    for number in range(3):
        await house.ask("web-1", sources=[f"192.0.2.{number}"])
        house.clock.advance(MINUTE)
    asked = await house.ask("web-1")
    house.clock.advance(HOUR - MINUTE)
    await reminders.remind(house.service)
    house.clock.advance(MINUTE)
    assert await reminders.remind(house.service) == 1
    newest = (await house.events(Operation.APPROVAL_ESCALATED))[-1]
    assert newest.correlation == asked.uid


async def test_people_get_a_text_in_which_what_others_wrote_makes_no_lines(house: House) -> None:
    said: list[tuple[str, str]] = []

    def tell(title: str, text: str) -> bool:
        said.append((title, text))
        return True

    channel = Channel("team", ALL, tell)
    await tell_all(house, channel)
    await freezes.freeze(house.service, house.alice, Target(scope="/"), "an\nincident\x1b[31m")
    await tell_all(house, channel)
    [(title, text)] = said
    assert title == "alice: freeze of everything"
    assert "why: an incident [31m" in text.splitlines()


async def test_a_channel_that_breaks_or_says_no_is_asked_again(house: House) -> None:
    def broken(_title: str, _text: str) -> bool:
        raise OSError("token=secret")

    for tell in (broken, lambda _title, _text: False):
        with pytest.raises(receivers.Undelivered) as refused:
            Channel("team", ALL, tell).send(Message("m", Topic.ALARM, b"", "", ""), datetime.now(UTC))
        assert "secret" not in str(refused.value)


def test_every_topic_is_about_operations_that_there_are() -> None:
    assert {str(operation) for operation in Operation} >= topics.OPERATIONS
    assert {outcome for _, outcome in topics._TOPICS} <= {str(outcome) for outcome in Outcome}
    assert set(topics._TOPICS.values()) == set(Topic)
