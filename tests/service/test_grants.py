"""What becomes of a grant at people's hands: closed early, extended, shortened, moved, taken over by a newer one."""

from datetime import timedelta

import pytest
from tests.house import ELSEWHERE, HERE, HOUR, MINUTE, START, House, lasting, part, policy_id, port, until

from jitgate.audit import Operation
from jitgate.core import prefixes
from jitgate.core.access import CloseReason, Span, State
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.selector import Selector
from jitgate.service import approvals, grants, guardrails
from jitgate.service.base import Asker
from jitgate.service.views import GrantView, Page
from jitgate.store import principals

ONE_MS = timedelta(milliseconds=1)


# --- closing early -----------------------------------------------------------------------------------


async def test_who_asked_can_close_early_and_the_port_shuts(house: House) -> None:
    """Case CL15."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    closed = await house.close_early(grant.uid)
    assert (closed.state, closed.reason) == (State.CLOSED, CloseReason.USER_REQUESTED)
    assert not house.reaches("web-1")


async def test_closing_twice_is_closing_once(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    first = await house.close_early(grant.uid)
    house.clock.advance(MINUTE)
    assert await house.close_early(grant.uid) == first
    assert len(await house.events(Operation.GRANT_CLOSED)) == 1


async def test_a_closed_grant_cannot_be_taken_up_again(house: House) -> None:
    """Case CL15."""
    await house.enable("web-1")
    grant = await house.open("web-1")
    await house.close_early(grant.uid)
    for act in (
        grants.extend_grant(house.service, house.alice, grant.uid, lasting("3h")),
        grants.shorten_grant(house.service, house.alice, grant.uid, lasting("1m")),
        grants.move_grant(house.service, house.alice, grant.uid, prefixes.parse(ELSEWHERE, "s")),
    ):
        with pytest.raises(Conflict):
            await act
    await house.settle()
    assert not house.reaches("web-1")


async def test_closing_early_cuts_the_session_that_expiry_would_keep(house: House) -> None:
    """Case CL14."""
    await house.enable("web-1", "web-2")
    closed, expired = await house.open("web-1", span=lasting("1h")), await house.open("web-2", span=lasting("1h"))
    sessions = {name: house.connect(name) for name in ("web-1", "web-2")}
    await house.close_early(closed.uid)
    await house.pass_time(HOUR)
    assert (await house.grant(expired.uid)).state is State.CLOSED
    assert not house.carries(sessions["web-1"])
    assert house.carries(sessions["web-2"])


async def test_somebody_else_needs_the_right_to_revoke(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    reader = await house.add_asker("reader", "Reader")
    for act in (
        grants.close_grant(house.service, reader, grant.uid),
        grants.extend_grant(house.service, reader, grant.uid, lasting("3h")),
        grants.shorten_grant(house.service, reader, grant.uid, lasting("1m")),
        grants.move_grant(house.service, reader, grant.uid, prefixes.parse(ELSEWHERE, "s")),
    ):
        with pytest.raises(Forbidden):
            await act
    assert (await house.grant(grant.uid)).state is State.OPEN
    assert (await house.events(Operation.REQUEST_CLOSE))[-1].outcome == "Refused"


async def test_a_revoked_grant_says_that_it_was_revoked(house: House) -> None:
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester")
    grant = await house.open("web-1", by=requester)
    closed = await house.close_early(grant.uid, by=house.alice)
    assert closed.reason is CloseReason.REVOKED
    assert not house.reaches("web-1")


@pytest.mark.parametrize("waits", ["scheduled", "pending"])
async def test_what_has_not_begun_can_be_withdrawn(house: House, waits: str) -> None:
    await house.enable("web-1")
    if waits == "pending":
        await needs_approval(house)
    asked = await house.ask("web-1", start=START + HOUR if waits == "scheduled" else None)
    closed = await house.close_early(asked.grants[0].grant.uid)
    assert (closed.state, closed.reason) == (State.CLOSED, CloseReason.WITHDRAWN)
    await house.pass_time(HOUR)
    assert not house.reaches("web-1")


async def test_a_grant_closed_before_it_opened_never_opens(house: House) -> None:
    await house.enable("web-1")
    asked = await house.ask("web-1")
    closed = await house.close_early(asked.grants[0].grant.uid)
    assert (closed.state, closed.opened_at) == (State.CLOSED, None)
    assert not house.reaches("web-1")


async def test_one_of_two_closed_early_leaves_the_other_to_its_own_end(house: House) -> None:
    """Case OV1."""
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester")
    first = await house.open("web-1", span=lasting("1h"))
    await house.open("web-1", span=lasting("2h"), by=bob)
    await house.close_early(first.uid)
    assert house.reaches("web-1")
    await house.pass_time(2 * HOUR - ONE_MS)
    assert house.reaches("web-1")
    await house.pass_time(ONE_MS)
    assert not house.reaches("web-1")


# --- extending and shortening ------------------------------------------------------------------------


async def test_an_extended_grant_ends_at_its_new_end_without_a_gap(house: House) -> None:
    """Case OV4."""
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("1h"))
    await house.pass_time(HOUR - MINUTE)
    await grants.extend_grant(house.service, house.alice, grant.uid, lasting("1h"))
    await house.pass_time(MINUTE)
    assert house.reaches("web-1")
    extended = await house.grant(grant.uid)
    assert (extended.state, extended.end) == (State.OPEN, START + 2 * HOUR - MINUTE)
    await house.pass_time(HOUR - MINUTE)
    assert not house.reaches("web-1")


async def test_an_extension_is_a_new_decision_by_the_same_rules(house: House) -> None:
    await house.put(part("web-1", port(22, longest="PT1H")))
    grant = await house.open("web-1")
    house.clock.advance(30 * MINUTE)
    with pytest.raises(Refused):
        await grants.extend_grant(house.service, house.alice, grant.uid, lasting("61m"))
    await grants.extend_grant(house.service, house.alice, grant.uid, lasting("60m"))
    house.clock.advance(2 * MINUTE)
    await needs_approval(house)
    longer = await grants.extend_grant(house.service, house.alice, grant.uid, until(START + 91 * MINUTE))
    assert (longer.grant.state, longer.grant.end) == (State.PENDING, START + 91 * MINUTE)
    assert (await house.grant(grant.uid)).end == START + 90 * MINUTE, "what stands stands until somebody agrees"


async def test_who_lost_the_right_to_ask_cannot_extend(house: House) -> None:
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester")
    grant = await house.open("web-1", by=requester, span=lasting("1h"))
    stripped = await house.strip(requester)
    with pytest.raises((Forbidden, Refused)):
        await grants.extend_grant(house.service, stripped, grant.uid, lasting("2h"))
    assert (await house.grant(grant.uid)).end == START + HOUR


async def test_an_extension_that_is_none_is_refused(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("2h"))
    with pytest.raises(Invalid, match="not later than"):
        await grants.extend_grant(house.service, house.alice, grant.uid, lasting("2h"))


async def test_a_scheduled_grant_is_extended_by_the_time_that_it_will_be_open(house: House) -> None:
    await house.put(part("web-1", port(22, longest="PT3H")))
    asked = await house.ask("web-1", start=START + 24 * HOUR, span=until(START + 25 * HOUR))
    uid = asked.grants[0].grant.uid
    with pytest.raises(Refused):
        await grants.extend_grant(house.service, house.alice, uid, until(START + 27 * HOUR + MINUTE))
    await grants.extend_grant(house.service, house.alice, uid, until(START + 27 * HOUR))
    await house.pass_time(27 * HOUR - ONE_MS)
    assert house.reaches("web-1")
    await house.pass_time(ONE_MS)
    assert not house.reaches("web-1")


async def test_a_duration_that_has_not_begun_cannot_be_extended(house: House) -> None:
    await house.enable("web-1")
    asked = await house.ask("web-1", start=START + HOUR, span=lasting("1h"))
    with pytest.raises(Conflict, match="has not begun"):
        await grants.extend_grant(house.service, house.alice, asked.grants[0].grant.uid, lasting("3h"))


async def test_a_shortened_grant_shuts_at_its_earlier_end(house: House) -> None:
    """Case OV5."""
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("2h"))
    await grants.shorten_grant(house.service, house.alice, grant.uid, lasting("30m"))
    await house.settle()
    house.clock.advance(30 * MINUTE)
    assert not house.reaches("web-1")
    await house.settle()
    assert (await house.grant(grant.uid)).reason is CloseReason.EXPIRED


@pytest.mark.parametrize("span", [lasting("3h"), until(START), until(START - HOUR)], ids=["later", "now", "past"])
async def test_a_grant_cannot_be_shortened_to_no_earlier_end(house: House, span: Span) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("2h"))
    with pytest.raises(Invalid):
        await grants.shorten_grant(house.service, house.alice, grant.uid, span)


async def test_a_waiting_grant_shortened_below_its_waiting_time_is_over_at_its_end(house: House) -> None:
    await house.enable("web-1")
    await needs_approval(house)
    asked = await house.ask("web-1", span=until(START + 3 * HOUR))
    uid = asked.grants[0].grant.uid
    await grants.shorten_grant(house.service, house.alice, uid, until(START + HOUR))
    await house.pass_time(HOUR)
    assert (await house.grant(uid)).state is State.CLOSED


# --- moving ------------------------------------------------------------------------------------------


async def test_a_moved_grant_opens_the_new_source_before_the_old_one_shuts(house: House) -> None:
    """Case OV9."""
    await house.enable("web-1")
    grant = await house.open("web-1", span=lasting("1h"))
    house.clock.advance(10 * MINUTE)
    moved = await grants.move_grant(house.service, house.alice, grant.uid, prefixes.parse(ELSEWHERE, "s"))
    await house.settle()
    assert house.reaches("web-1", ELSEWHERE)
    assert not house.reaches("web-1", HERE)
    assert (await house.grant(moved.grant.uid)).end == START + HOUR
    assert (await house.grant(grant.uid)).reason is CloseReason.SUPERSEDED
    order = [(event.operation.rpartition("/")[2], event.properties["sources"]) for event in await house.story()]
    assert order[-3:] == [
        ("open", [f"{ELSEWHERE}/32"]),
        ("closing", [f"{HERE}/32"]),
        ("closed", [f"{HERE}/32"]),
    ]


async def test_a_move_to_a_source_outside_the_policy_changes_nothing(house: House) -> None:
    await house.put(part("web-1", port(22, sources=[HERE])))
    grant = await house.open("web-1")
    with pytest.raises(Refused):
        await grants.move_grant(house.service, house.alice, grant.uid, prefixes.parse(ELSEWHERE, "s"))
    await house.settle()
    assert (await house.grant(grant.uid)).state is State.OPEN
    assert house.reaches("web-1", HERE)


async def test_nobody_moves_to_his_own_address_what_another_was_granted(house: House) -> None:
    """Who may revoke may shut a grant, not take it over."""
    await house.enable("web-1")
    requester = await house.add_asker("requester", "JIT Requester")
    grant = await house.open("web-1", by=requester)
    with pytest.raises(Forbidden):
        await grants.move_grant(house.service, house.alice, grant.uid, prefixes.parse(ELSEWHERE, "s"))
    assert not house.reaches("web-1", ELSEWHERE)
    moved = await grants.move_grant(house.service, requester, grant.uid, prefixes.parse(ELSEWHERE, "s"))
    assert moved.grant.principal == requester.principal.uid


async def test_what_is_not_open_cannot_be_moved(house: House) -> None:
    await house.enable("web-1")
    asked = await house.ask("web-1", start=START + HOUR)
    with pytest.raises(Conflict):
        await grants.move_grant(house.service, house.alice, asked.grants[0].grant.uid, prefixes.parse(ELSEWHERE, "s"))


async def waiting_move(house: House) -> tuple[GrantView, GrantView, Asker]:
    """A grant that is open for an hour, its move that waits since ten minutes after, and who may approve that."""
    await house.enable("web-1")
    await house.open("web-1", span=lasting("1h"))
    await needs_approval(house)
    house.clock.advance(10 * MINUTE)
    [old] = await house.live()
    new = await grants.move_grant(house.service, house.alice, old.uid, prefixes.parse(ELSEWHERE, "s"))
    await house.settle()
    dora = await house.store.read(lambda tx: principals.load(tx, "uid-dora"))
    assert dora is not None
    return await grants.get_grant(house.service, house.alice, old.uid), new, Asker(dora)


async def test_a_move_that_needs_approval_waits_while_the_old_source_stays_open(house: House) -> None:
    old, new, _ = await waiting_move(house)
    assert (new.grant.state, new.grant.end, new.grant.moved_from) == (State.PENDING, START + HOUR, old.grant.uid)
    assert new.request != old.request
    assert new.justification == old.justification
    assert (old.grant.state, old.grant.successor) == (State.OPEN, None)
    assert house.reaches("web-1", HERE)
    assert not house.reaches("web-1", ELSEWHERE)
    asked = (await house.events(Operation.REQUEST))[-1]
    assert asked.properties["movedFrom"] == old.grant.uid


async def test_an_approved_move_opens_the_new_source_before_the_old_one_shuts(house: House) -> None:
    old, new, dora = await waiting_move(house)
    await approvals.approve(house.service, dora, new.request)
    assert house.reaches("web-1", HERE), "until the new one stands"
    await house.settle()
    assert house.reaches("web-1", ELSEWHERE)
    assert not house.reaches("web-1", HERE)
    assert (await house.grant(old.grant.uid)).reason is CloseReason.SUPERSEDED
    assert (await house.grant(new.grant.uid)).end == START + HOUR


@pytest.mark.parametrize("how", ["denied", "withdrawn", "nobody answers"])
async def test_a_move_that_is_not_agreed_to_leaves_the_old_source_open_to_its_end(house: House, how: str) -> None:
    old, new, dora = await waiting_move(house)
    if how == "denied":
        await approvals.deny(house.service, dora, new.request)
    elif how == "withdrawn":
        await approvals.withdraw(house.service, house.alice, new.request)
    await house.pass_time(50 * MINUTE - ONE_MS)
    assert (await house.grant(old.grant.uid)).state is State.OPEN
    assert house.reaches("web-1", HERE)
    await house.pass_time(ONE_MS)
    assert not house.reaches("web-1", HERE)
    assert (await house.grant(old.grant.uid)).reason is CloseReason.EXPIRED
    assert (await house.grant(new.grant.uid)).state is State.CLOSED
    assert not house.reaches("web-1", ELSEWHERE)


async def test_a_move_of_what_was_closed_meanwhile_opens_nothing(house: House) -> None:
    """Who is done, or was shut out, does not come back by an approval that was on its way."""
    old, new, dora = await waiting_move(house)
    await house.close_early(old.grant.uid)
    with pytest.raises(Conflict, match="is over"):
        await approvals.approve(house.service, dora, new.request)
    await house.settle()
    assert not house.reaches("web-1", HERE)
    assert not house.reaches("web-1", ELSEWHERE)


async def test_an_approved_move_that_never_stands_leaves_the_old_source_open(house: House) -> None:
    old, new, dora = await waiting_move(house)
    await approvals.approve(house.service, dora, new.request)
    await house.close_early(new.grant.uid)
    assert (await house.grant(old.grant.uid)).state is State.OPEN
    assert house.reaches("web-1", HERE)


# --- a newer request ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["30m", "3h"], ids=["ends earlier", "ends later"])
async def test_a_newer_request_with_the_same_or_wider_source_takes_over_without_a_gap(
    house: House, length: str
) -> None:
    """Case RA17: also when its end is earlier."""
    await house.enable("web-1")
    older = await house.open("web-1", span=lasting("2h"))
    newer = await house.open("web-1", span=lasting(length), sources=["203.0.113.0/24"])
    assert (await house.grant(older.uid)).reason is CloseReason.SUPERSEDED
    assert house.reaches("web-1", HERE)
    assert newer.end is not None
    await house.pass_time(newer.end - START - ONE_MS)
    assert house.reaches("web-1", HERE)
    await house.pass_time(ONE_MS)
    assert not house.reaches("web-1", HERE)


async def test_the_older_grant_stays_until_the_newer_one_stands(house: House) -> None:
    await house.enable("web-1")
    older = await house.open("web-1", span=lasting("2h"))
    house.firewall.fail_next(1)
    newer = await house.ask("web-1", span=lasting("1h"), sources=["203.0.113.0/24"])
    await house.settle()
    assert (await house.grant(older.uid)).state is State.OPEN
    assert house.reaches("web-1")
    await house.pass_time(MINUTE)
    assert (await house.grant(older.uid)).reason is CloseReason.SUPERSEDED
    assert (await house.grant(newer.grants[0].grant.uid)).state is State.OPEN


@pytest.mark.parametrize(
    ("sources", "number", "name"),
    [(["203.0.113.7/32"], 3389, "web-1"), (["203.0.113.7/32"], 22, "web-2"), ([ELSEWHERE], 22, "web-1")],
    ids=["another port", "another machine", "a source that does not cover the older one's"],
)
async def test_what_does_not_cover_the_older_grant_lives_beside_it(
    house: House, sources: list[str], number: int, name: str
) -> None:
    """Case OV8."""
    await house.put(part("web-1", port(22), port(3389)), part("web-2"))
    older = await house.open("web-1", span=lasting("2h"))
    newer = await house.open(name, port=number, sources=sources, span=lasting("1h"))
    assert (await house.grant(older.uid)).state is State.OPEN
    assert newer.state is State.OPEN
    await house.pass_time(HOUR)
    assert (await house.grant(older.uid)).state is State.OPEN
    assert house.reaches("web-1", HERE)


async def test_a_grant_changed_just_before_a_newer_one_takes_over_still_closes(house: House) -> None:
    await house.enable("web-1")
    older = await house.open("web-1", span=lasting("3h"))
    await grants.shorten_grant(house.service, house.alice, older.uid, lasting("1h"))
    await house.open("web-1", span=lasting("2h"))
    closed = await house.grant(older.uid)
    assert (closed.state, closed.reason) == (State.CLOSED, CloseReason.SUPERSEDED)


async def test_somebody_elses_request_takes_nobodys_place(house: House) -> None:
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester")
    older = await house.open("web-1", span=lasting("2h"))
    await house.open("web-1", span=lasting("1h"), by=bob)
    assert (await house.grant(older.uid)).state is State.OPEN
    await house.pass_time(HOUR)
    assert house.reaches("web-1")


async def test_a_request_takes_nobodys_place_before_it_starts(house: House) -> None:
    await house.enable("web-1")
    later = await house.ask("web-1", start=START + HOUR, span=lasting("1h"))
    older = await house.open("web-1", span=lasting("3h"))
    assert (await house.grant(older.uid)).state is State.OPEN
    await house.pass_time(HOUR)
    assert (await house.grant(older.uid)).reason is CloseReason.SUPERSEDED
    assert (await house.grant(later.grants[0].grant.uid)).state is State.OPEN
    await house.pass_time(HOUR)
    assert not house.reaches("web-1")


async def test_a_newer_request_closed_before_it_stood_gives_the_older_its_place_back(house: House) -> None:
    await house.enable("web-1")
    older = await house.open("web-1", span=lasting("2h"))
    newer = await house.ask("web-1", span=lasting("1h"))
    await house.close_early(newer.grants[0].grant.uid)
    assert (await house.grant(older.uid)).state is State.OPEN
    again = await house.open("web-1", span=lasting("30m"))
    assert again.state is State.OPEN
    assert (await house.grant(older.uid)).reason is CloseReason.SUPERSEDED


async def test_the_newest_of_three_takes_over_though_the_second_never_stood(house: House) -> None:
    await house.enable("web-1")
    first = await house.open("web-1", span=lasting("3h"))
    second = await house.ask("web-1", span=lasting("2h"))
    third = await house.ask("web-1", span=lasting("1h"))
    await house.close_early(second.grants[0].grant.uid)
    assert (await house.grant(first.uid)).reason is CloseReason.SUPERSEDED
    assert [grant.uid for grant in await house.live()] == [third.grants[0].grant.uid]


async def test_a_grant_and_a_wider_one_end_each_at_its_own_time(house: House) -> None:
    """Case OV6."""
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester")
    await house.open("web-1", sources=["203.0.113.0/24"], span=lasting("1h"))
    await house.open("web-1", sources=[HERE], span=lasting("2h"), by=bob)
    assert house.reaches("web-1", "203.0.113.200")
    await house.pass_time(HOUR)
    assert not house.reaches("web-1", "203.0.113.200")
    assert house.reaches("web-1", HERE)
    await house.pass_time(HOUR)
    assert not house.reaches("web-1", HERE)


async def test_one_window_that_ends_where_the_next_begins_leaves_no_gap_and_no_trace(house: House) -> None:
    """Cases OV2, CK5."""
    await house.enable("web-1")
    bob = await house.add_asker("bob", "JIT Requester")
    await house.open("web-1", span=lasting("1h"))
    await house.ask("web-1", span=lasting("1h"), start=START + HOUR, by=bob)
    await house.pass_time(HOUR)
    assert house.reaches("web-1")
    await house.pass_time(HOUR - ONE_MS)
    assert house.reaches("web-1")
    await house.pass_time(ONE_MS)
    assert not house.reaches("web-1")


# --- finding and listing -----------------------------------------------------------------------------


async def test_a_grant_is_found_by_the_beginning_of_its_id_in_any_case(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    assert (await house.grant(f" {grant.uid[:6].upper()} ")).uid == grant.uid


@pytest.mark.parametrize("text", ["", "abc", "a%_b", "'; drop", "…" * 9])
async def test_what_is_not_an_id_is_refused(house: House, text: str) -> None:
    with pytest.raises(Invalid):
        await house.grant(text)


async def test_a_beginning_that_several_ids_share_asks_for_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.enable("web-1", "web-2")
    await house.rename(await house.open("web-1"), "abcd1111")
    await house.rename(await house.open("web-2"), "abcd2222")
    with pytest.raises(Invalid, match="several"):
        await house.grant("abcd")
    assert (await house.grant("abcd2")).uid == "abcd2222"


async def test_a_grant_of_somebody_else_is_not_there_for_who_may_not_read_it(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    stranger = await house.add_asker("stranger", "JIT Requester", policy_id("other").text)
    answers = set()
    for uid in (grant.uid, "0" * 32):
        for act in (grants.get_grant, grants.close_grant):
            with pytest.raises(NotFound) as missing:
                await act(house.service, stranger, uid)
            answers.add(str(missing.value).replace(uid, "…"))
    assert len(answers) == 1
    assert (await grants.list_grants(house.service, stranger)).items == ()
    with pytest.raises(NotFound):
        await grants.list_grants(house.service, stranger, machine="web-1")


async def test_grants_are_listed_newest_first_page_by_page_without_a_gap(house: House) -> None:
    await house.put(part("web-1", *(port(number) for number in range(20, 27))))
    made = []
    for number in range(20, 27):
        made.append((await house.open("web-1", port=number)).uid)
        if number % 2:
            house.clock.advance(MINUTE)
    seen: list[str] = []
    after = None
    while True:
        page = await grants.list_grants(house.service, house.alice, limit=2, after=after)
        seen += [view.grant.uid for view in page.items]
        after = page.after
        if after is None:
            break
    assert sorted(seen) == sorted(made)
    assert seen[0] == made[-1]


@pytest.mark.parametrize("after", ["nonsense", "2030-01-01_x", "_"])
async def test_a_page_that_was_never_given_out_is_refused(house: House, after: str) -> None:
    with pytest.raises(Invalid):
        await grants.list_grants(house.service, house.alice, after=after)


async def test_closed_grants_are_listed_only_when_asked_for(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    await house.close_early(grant.uid)
    assert (await grants.list_grants(house.service, house.alice)).items == ()
    listed = await grants.list_grants(house.service, house.alice, state=[State.CLOSED])
    assert [view.grant.uid for view in listed.items] == [grant.uid]


async def test_mine_are_mine_and_a_machines_are_the_machines(house: House) -> None:
    await house.enable("web-1", "web-2")
    bob = await house.add_asker("bob", "JIT Requester")
    mine, his = await house.open("web-1"), await house.open("web-2", by=bob)
    listing = grants.list_grants
    assert uids(await listing(house.service, house.alice)) == {mine.uid, his.uid}
    assert uids(await listing(house.service, house.alice, mine=True)) == {mine.uid}
    assert uids(await listing(house.service, house.alice, machine="WEB-2")) == {his.uid}
    assert uids(await listing(house.service, bob)) == {mine.uid, his.uid}


async def test_who_may_read_one_group_is_shown_the_grants_of_that_group(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    reader = await house.add_asker("reader", "Reader", f"{policy_id().text.partition('/providers/')[0]}")
    assert uids(await grants.list_grants(house.service, reader)) == {grant.uid}


async def test_a_view_says_where_to_connect_and_what_is_waited_for(house: House) -> None:
    await house.enable("web-1")
    house.firewall.fail_next(1, "the host is not reachable")
    asked = await house.ask("web-1")
    await house.settle()
    waiting = await house.view(asked.grants[0].grant.uid)
    assert (waiting.grant.state, waiting.detail) == (State.OPENING, "the host is not reachable")
    await house.pass_time(MINUTE)
    standing = await house.view(asked.grants[0].grant.uid)
    assert (standing.grant.state, standing.detail, standing.connection) == (State.OPEN, "", "10.0.0.1")
    assert standing.ends_sessions


async def test_two_requests_that_start_at_one_instant_leave_the_later_one_open(house: House) -> None:
    """Somebody has sent the same scheduled request twice."""
    await house.enable("web-1")
    first = await house.ask("web-1", start=START + HOUR, span=lasting("1h"))
    house.clock.advance(ONE_MS)
    second = await house.ask("web-1", start=START + HOUR, span=lasting("30m"))
    await house.pass_time(HOUR)
    assert house.reaches("web-1")
    assert (await house.grant(first.grants[0].grant.uid)).reason is CloseReason.SUPERSEDED
    assert (await house.grant(second.grants[0].grant.uid)).state is State.OPEN


async def needs_approval(house: House) -> None:
    await house.add_approvers()
    await guardrails.put_guardrail(house.service, house.alice, Guardrail("rail", Selector(), Limits(approvals=1)))


def uids(page: Page[GrantView]) -> set[str]:
    return {view.grant.uid for view in page.items}
