"""The record: whoever does or is refused something is on it, and reading all of it is too."""

import pytest
from tests.house import HERE, HOUR, START, House, lasting, part

from jitgate.audit import Operation
from jitgate.core.errors import Forbidden, Invalid, Refused
from jitgate.service import activity, grants
from jitgate.service.activity import Selection


async def test_a_port_opened_and_shut_is_told_step_by_step(house: House) -> None:
    await house.enable("web-1")
    await house.open("web-1", span=lasting("1h"))
    await house.pass_time(HOUR)
    told = [
        (event.operation.partition("/")[2] or event.operation, event.outcome, event.at)
        for event in await house.events()
        if event.resource in (house.machine("web-1").id, house.machine("web-1").scope)
    ]
    end = START + HOUR
    assert [one for one in told if one[0] != "machines/found"] == [
        ("locations/jitNetworkAccessPolicies/initiate/action", "Accepted", START),
        ("scopes/apply", "Started", START),
        ("grants/open", "Succeeded", START),
        ("scopes/apply", "Succeeded", START),
        ("grants/closing", "Succeeded", end),
        ("scopes/apply", "Started", end),
        ("grants/closed", "Succeeded", end),
        ("scopes/apply", "Succeeded", end),
    ]


async def test_a_change_is_on_record_with_who_did_it_from_where_and_by_what(house: House) -> None:
    await house.enable("web-1")
    grant = await house.open("web-1")
    await grants.close_grant(house.service, house.alice, grant.uid)
    closed = (await house.events(Operation.REQUEST_CLOSE))[-1]
    assert (closed.principal, closed.caller, closed.address) == ("uid-alice", "alice", f"{HERE}/32")
    assert (closed.credential, closed.correlation) == ("token-of-alice", "asked-by-alice")
    assert closed.properties["grant"] == grant.uid


async def test_a_refusal_is_on_record_though_everything_else_was_undone(house: House) -> None:
    await house.put(part("web-1"))
    with pytest.raises(Refused):
        await house.ask("web-1", "web-2")
    assert [event.outcome for event in await house.events(Operation.REQUEST)] == ["Refused"]
    assert await house.live() == []


async def test_the_record_is_read_newest_first_page_by_page_without_a_gap(house: House) -> None:
    await house.enable("web-1", "web-2")
    await house.open("web-1")
    everything = [event.id for event in await house.events()]
    seen: list[int] = []
    after = None
    while True:
        page = await activity.list_activity(house.service, house.alice, limit=3, after=after)
        seen += [event.id for event in page.items]
        after = page.after
        if after is None:
            break
    assert seen == everything[::-1]


async def test_an_export_is_whole_in_order_and_on_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "_PAGE", 2)
    await house.enable("web-1")
    before = [event.id for event in await house.events()]
    exported = [event async for page in activity.export_activity(house.service, house.alice) for event in page]
    assert [event.id for event in exported[:-1]] == before
    assert exported[-1].operation == Operation.ACTIVITY_EXPORT


async def test_the_record_is_narrowed_by_time_operation_and_resource(house: House) -> None:
    await house.enable("web-1", "web-2")
    await house.open("web-1", span=lasting("1h"))
    await house.pass_time(HOUR)
    listing = activity.list_activity
    late = await listing(house.service, house.alice, Selection(since=START + HOUR))
    early = await listing(house.service, house.alice, Selection(until=START + HOUR))
    assert {event.at for event in late.items} == {START + HOUR}
    assert {event.at for event in early.items} == {START}
    opened = await listing(house.service, house.alice, Selection(operation=str(Operation.GRANT_OPEN)))
    assert len(opened.items) == 1
    mine = await listing(house.service, house.alice, Selection(person="ALICE"))
    assert {event.caller for event in mine.items} == {"alice"}
    itself = await listing(house.service, house.alice, Selection(person="jitgate", outcomes=("Started",)))
    assert {(event.caller, event.outcome) for event in itself.items} == {("jitgate", "Started")}
    assert not (await listing(house.service, house.alice, Selection(person="nobody"))).items
    other = await listing(house.service, house.alice, Selection(resource=house.machine("web-2").id))
    assert {event.resource for event in other.items} == {house.machine("web-2").id}


async def test_what_a_firewall_did_is_found_by_its_name(house: House) -> None:
    await house.enable("web-1")
    await house.open("web-1")
    page = await activity.list_activity(house.service, house.alice, Selection(resource="memory/web-1"))
    assert {event.operation for event in page.items} == {Operation.FIREWALL_APPLY}
    group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/jitgate"
    local = await house.add_asker("local", "Auditor", group)
    with pytest.raises(Forbidden):
        await activity.list_activity(house.service, local, Selection(resource="memory/web-1"))


async def test_who_may_not_read_the_record_reads_none_of_it(house: House) -> None:
    requester = await house.add_asker("requester", "JIT Requester")
    with pytest.raises(Forbidden):
        await activity.list_activity(house.service, requester)
    with pytest.raises(Forbidden):
        _ = [page async for page in activity.export_activity(house.service, requester)]


@pytest.mark.parametrize("after", ["-1", "x", "1" * 30, "١"])
async def test_a_page_of_the_record_that_was_never_given_out_is_refused(house: House, after: str) -> None:
    with pytest.raises(Invalid):
        await activity.list_activity(house.service, house.alice, after=after)
