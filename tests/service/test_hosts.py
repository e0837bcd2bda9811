"""Hosts elsewhere: who may join, under which name, and what becomes of what they tell."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.house import ELSEWHERE, HERE, HOUR, MINUTE, SUBSCRIPTION, House

from jitgate.audit import Operation
from jitgate.connectors.memory import MemoryConnector
from jitgate.core.access import CloseReason, State
from jitgate.core.desired import Protocol
from jitgate.core.errors import Conflict, Forbidden, Invalid, JitgateError, NotFound, Unauthenticated
from jitgate.core.exposure import Reach
from jitgate.core.prefixes import of_address
from jitgate.service import hosts, machines
from jitgate.service.hosts import Claim
from jitgate.store import credentials, principals
from jitgate.store import hosts as stored
from jitgate.store.attempts import Attempt
from jitgate.store.database import Tx
from jitgate.store.hosts import Host, Membership
from jitgate.trust import signatures

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/jitgate"
SCOPE = "fleet/jitgate/mail-1"


def claim(name: str = "mail-1", *addresses: str, key: str = "") -> Claim:
    told = addresses or ("192.0.2.1",)
    return Claim(name, key or signatures.make().public, told, of_address(ELSEWHERE))


async def token(house: House, **options: Any) -> str:
    made = await hosts.make_join_token(house.service, house.alice, **{"lifetime": HOUR, **options})
    return made.token.text


async def joined(house: House, name: str = "mail-1") -> Host:
    """A member, whose firewall is in memory."""
    house.connectors["fleet"] = MemoryConnector(house.clock, name="fleet")
    host = await hosts.join(house.service, await token(house), claim(name))
    assert host.state is Membership.JOINED
    await house.settle()
    return host


# --- tokens -------------------------------------------------------------------------------------------


async def test_a_token_serves_as_often_as_it_says_and_no_more(house: House) -> None:
    text = await token(house, uses=2)
    for name in ("mail-1", "mail-2"):
        assert (await hosts.join(house.service, text, claim(name))).state is Membership.JOINED
    with pytest.raises(Unauthenticated):
        await hosts.join(house.service, text, claim("mail-3"))
    refused = await house.events(Operation.SIGN_IN_REFUSED)
    assert [event.properties["why"] for event in refused] == ["the join token is used up"]


async def test_a_token_that_is_late_revoked_wrong_or_no_join_token_joins_nobody(house: House) -> None:
    late, revoked = await token(house), await token(house, lifetime=2 * HOUR)
    house.clock.advance(HOUR)
    await house.store.write(lambda tx: credentials.revoke(tx, revoked.split("_")[1]))
    wrong = (await token(house))[:-4] + "AAAA"
    messages = set()
    for text in (late, revoked, wrong, "", "jg_nonsense", "x" * 100_000):
        with pytest.raises(Unauthenticated) as refused:
            await hosts.join(house.service, text, claim())
        messages.add(refused.value.message)
    assert len(messages) == 1, "what is wrong is for the record"
    assert await house.count("host") == 0


@pytest.mark.parametrize("gone", ["role", "principal"])
async def test_a_token_counts_no_longer_than_the_right_of_who_made_it(house: House, gone: str) -> None:
    maker = await house.add_asker("maker", "Owner", GROUP)
    made = await hosts.make_join_token(house.service, maker, lifetime=HOUR)
    if gone == "role":
        await house.strip(maker)
    else:
        await house.store.write(lambda tx: principals.disable(tx, maker.principal.uid))
    with pytest.raises(Unauthenticated):
        await hosts.join(house.service, made.token.text, claim())


async def test_who_lacks_the_right_makes_no_token_and_it_is_on_record(house: House) -> None:
    reader = await house.add_asker("reader", "Reader")
    with pytest.raises(Forbidden):
        await hosts.make_join_token(house.service, reader, lifetime=HOUR)
    assert (await house.events(Operation.HOST_TOKEN))[0].outcome == "Refused"


@pytest.mark.parametrize(
    "wrong", [{"lifetime": timedelta(seconds=59)}, {"lifetime": timedelta(days=31)}, {"uses": 0}, {"uses": 10_001}]
)
async def test_a_token_has_bounds(house: House, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await token(house, **wrong)


async def test_a_token_is_kept_as_a_hash_and_proves_nobody(house: House) -> None:
    text = await token(house)
    secret = text.split("_", 2)[2]
    kept = b"".join(path.read_bytes() for path in house.directory.glob("jitgate.db*"))
    assert secret.encode() not in kept
    with pytest.raises(Unauthenticated):
        await house.service.bearers.prove(house.store, text, house.clock.wall(), None)


# --- names --------------------------------------------------------------------------------------------


async def test_joining_twice_with_one_key_is_joining_once(house: House) -> None:
    """The answer may have been lost, and the token is used up by then."""
    text, same = await token(house), claim()
    first = await hosts.join(house.service, text, same)
    assert await hosts.join(house.service, text, same) == first
    with pytest.raises(Unauthenticated):
        await hosts.join(house.service, await token(house), same)


async def test_a_known_name_waits_whatever_its_case_and_changes_nothing(house: House) -> None:
    member = await joined(house)
    newcomer = await hosts.join(house.service, await token(house), claim("MAIL-1"))
    assert newcomer.state is Membership.WAITING
    assert await hosts.member(house.service, newcomer.uuid) is None
    assert (await machines.get_machine(house.service, house.alice, "mail-1")).machine.uuid == member.uuid


async def test_no_more_than_a_few_wait_under_one_name(house: House) -> None:
    await joined(house)
    text = await token(house, uses=9)
    for _ in range(5):
        await hosts.join(house.service, text, claim())
    with pytest.raises(Conflict, match="Too many"):
        await hosts.join(house.service, text, claim())


async def test_an_approved_newcomer_is_another_machine_without_the_grants_of_the_former(house: House) -> None:
    member = await joined(house)
    await house.enable("mail-1")
    grant = await house.open("mail-1")
    newcomer = await hosts.join(house.service, await token(house), claim())
    await hosts.approve_host(house.service, house.alice, "mail-1")
    await house.settle()
    assert await hosts.member(house.service, member.uuid) is None
    assert (await hosts.member(house.service, newcomer.uuid)) is not None
    assert (await house.grant(grant.uid)).reason is CloseReason.MACHINE_REMOVED
    assert (await machines.get_machine(house.service, house.alice, "mail-1")).machine.uuid == newcomer.uuid


async def test_the_name_of_another_connectors_machine_is_not_to_be_had(house: House) -> None:
    group = house.machine("web-1").id.split("/")[4]
    with pytest.raises(Conflict, match="another name"):
        await hosts.join(house.service, await token(house, resource_group=group), claim("web-1"))
    assert await house.count("host") == 0


async def test_a_host_joins_the_group_of_its_token_which_only_who_may_there_can_make(house: House) -> None:
    subscription = house.machine("web-1").id.split("/")[2]
    edge = f"/subscriptions/{subscription}/resourceGroups/edge"
    local = await house.add_asker("lena", "Owner", edge)
    with pytest.raises(Forbidden):
        await hosts.make_join_token(house.service, local, lifetime=HOUR)
    made = await hosts.make_join_token(house.service, local, lifetime=HOUR, resource_group="edge")
    house.connectors["fleet"] = MemoryConnector(house.clock, name="fleet")
    member = await hosts.join(house.service, made.token.text, claim())
    assert member.resource_group == "edge"
    found = await machines.get_machine(house.service, house.alice, "mail-1")
    assert found.machine.id.lower().startswith(edge.lower() + "/")
    assert (await machines.get_machine(house.service, local, "mail-1")).machine.uuid == member.uuid


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 261, "a\u202eb"])
async def test_what_is_no_name_is_refused(house: House, name: str) -> None:
    with pytest.raises(Invalid):
        await hosts.join(house.service, await token(house), claim(name))


async def test_a_removed_host_is_no_member_and_its_key_joins_no_more(house: House) -> None:
    text, same = await token(house, uses=5), claim()
    member = await hosts.join(house.service, text, same)
    await hosts.remove_host(house.service, house.alice, member.uuid)
    assert await hosts.member(house.service, member.uuid) is None
    with pytest.raises(NotFound):
        await machines.get_machine(house.service, house.alice, "mail-1")
    with pytest.raises(Unauthenticated):
        await hosts.join(house.service, text, same)


@pytest.mark.parametrize("act", [hosts.approve_host, hosts.confirm_addresses, hosts.remove_host])
async def test_who_may_only_read_hosts_changes_none(house: House, act: Any) -> None:
    await joined(house)
    await hosts.join(house.service, await token(house), claim())
    reader = await house.add_asker("reader", "Reader")
    with pytest.raises(JitgateError) as refused:
        await act(house.service, reader, "mail-1")
    assert isinstance(refused.value, Forbidden)


# --- what they tell -----------------------------------------------------------------------------------


async def test_a_host_alone_does_not_decide_where_people_are_sent(house: House) -> None:
    await joined(house)
    await hosts.report_facts(house.service, SCOPE, {"addresses": ["198.51.100.66"]}, "")
    [view] = await hosts.list_hosts(house.service, house.alice)
    assert view.machine is not None
    assert (view.machine.addresses, view.reported) == (("192.0.2.1",), ("198.51.100.66",))
    assert len(await house.events(Operation.HOST_ADDRESSES)) == 1
    await hosts.report_facts(house.service, SCOPE, {"addresses": ["198.51.100.66"]}, "")
    assert len(await house.events(Operation.HOST_ADDRESSES)) == 1, "what is known is not told again"
    confirmed = await hosts.confirm_addresses(house.service, house.alice, "mail-1")
    assert confirmed.machine is not None
    assert (confirmed.machine.addresses, confirmed.reported) == (("198.51.100.66",), ())


async def test_a_silent_host_is_neither_open_nor_shut_but_unverified(house: House) -> None:
    member = await joined(house)
    await house.enable("mail-1")
    grant = await house.open("mail-1", span=None)
    await hosts.keep_heard(house.service, {member.uuid: timedelta()})
    house.clock.advance(MINUTE)
    await hosts.keep_heard(house.service, {})
    assert not (await house.view(grant.uid)).unverified
    house.clock.advance(timedelta(seconds=1))
    await hosts.keep_heard(house.service, {})
    await hosts.keep_heard(house.service, {})
    assert (await house.view(grant.uid)).unverified
    assert (await machines.get_machine(house.service, house.alice, "mail-1")).unverified
    assert len(await house.events(Operation.HOST_SILENT)) == 1, "told once"
    await hosts.keep_heard(house.service, {member.uuid: timedelta()})
    assert not (await house.view(grant.uid)).unverified
    assert len(await house.events(Operation.HOST_HEARD)) == 1


async def test_when_very_many_were_heard_is_kept_some_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_MOST_HEARD", 2)
    member = await joined(house)
    house.clock.advance(2 * MINUTE)
    real = stored.heard
    together: list[int] = []

    def heard(tx: Tx, times: Mapping[str, datetime]) -> list[Host]:
        together.append(len(times))
        return real(tx, times)

    monkeypatch.setattr(stored, "heard", heard)
    others = [f"stranger-{number}" for number in range(4)]
    await hosts.keep_heard(house.service, dict.fromkeys([*others, member.uuid], timedelta()))
    assert together == [2, 2, 1]
    assert not await house.events(Operation.HOST_SILENT), "nobody is silent whose turn is last"


async def test_attempts_from_elsewhere_are_told_with_an_open_grant_and_forgotten(house: House) -> None:
    await joined(house)
    await house.enable("mail-1")
    grant = await house.open("mail-1", span=None)

    def seen(machine: str) -> list[Attempt]:
        now = house.clock.wall()
        return [Attempt(machine, 22, Protocol.TCP, source, now) for source in (ELSEWHERE, HERE)]

    await hosts.report_attempts(house.service, SCOPE, seen)
    view = await house.view(grant.uid)
    assert view.grant.state is State.OPEN
    assert [attempt.source for attempt in view.attempts] == [ELSEWHERE], "who is let in was turned away before that"
    house.clock.advance(10 * MINUTE)
    assert (await house.view(grant.uid)).attempts == ()


async def test_what_a_stranger_tells_counts_for_nothing(house: House) -> None:
    await hosts.report_facts(house.service, "fleet/jitgate/nobody", {"addresses": ["192.0.2.9"]}, "")
    await hosts.report_attempts(house.service, "fleet/jitgate/nobody", lambda _: [])
    await hosts.keep_heard(house.service, {"nobody": timedelta()})
    assert await house.count("host") == 0


async def test_a_management_port_counts_as_exposed_until_it_is_really_shut(house: House) -> None:
    await joined(house)
    facts = {"addresses": ["192.0.2.1"], "listening": ["tcp/22 on ::", "tcp/3389 on 127.0.0.1"]}
    await hosts.report_facts(house.service, SCOPE, facts, "")

    async def exposed() -> list[tuple[int, Reach, bool]]:
        found = await machines.get_machine(house.service, house.alice, "mail-1")
        return [(one.port, one.reach, one.effective_deny) for one in found.machine.exposure]

    assert await exposed() == [(22, Reach.ANYONE, False)]
    await house.enable("mail-1")
    assert await exposed() == [(22, Reach.ANYONE, True)]
    await hosts.report_facts(house.service, SCOPE, {**facts, "listening": ["udp/3389 on ::"]}, "")
    assert await exposed() == [(3389, Reach.ANYONE, False)], "another port is not held"
