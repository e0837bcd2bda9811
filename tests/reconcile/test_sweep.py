"""The sweep: whatever a hand, a crash or a lost database has done to a firewall is found, put right and told."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.house import ELSEWHERE, HERE, HOUR, MINUTE, START, House, lasting, machine, part

from jitgate.audit import Operation
from jitgate.core.access import State
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol
from jitgate.core.prefixes import Prefix
from jitgate.reconcile.loop import SWEEP_EVERY
from jitgate.service import machines

SCOPE = "memory/web-1"


async def test_a_firewall_that_was_flushed_is_put_right_with_the_time_that_is_left(house: House) -> None:
    """Cases FW4, FW6, FW15, HO1."""
    await house.put(part("web-1"))
    await house.open("web-1", span=lasting("1h"))
    house.firewall.flush(SCOPE)
    assert house.reaches("web-1", ELSEWHERE)
    await house.pass_time(SWEEP_EVERY)
    assert not house.reaches("web-1", ELSEWHERE)
    assert house.reaches("web-1", HERE)
    house.clock.advance(HOUR - SWEEP_EVERY)
    assert not house.reaches("web-1", HERE)
    repaired = (await house.events(Operation.FIREWALL_REPAIR))[-1]
    assert (repaired.resource, repaired.outcome) == (SCOPE, "Succeeded")
    assert repaired.properties["repaired"] == ["all rules had been removed by another program"]


async def test_the_sweep_shuts_rules_that_no_grant_knows(house: House) -> None:
    """Case CL8: rules of a database that was lost."""
    await house.put(part("web-1"))
    await house.open("web-1", sources=[HERE])
    orphan = AccessKey(machine("web-1").uuid, 22, Protocol.TCP, Prefix(f"{ELSEWHERE}/32"))
    await open_behind_our_back(house, orphan)
    assert house.reaches("web-1", ELSEWHERE)
    await house.pass_time(SWEEP_EVERY)
    assert not house.reaches("web-1", ELSEWHERE)
    assert house.reaches("web-1", HERE), "what lives is not shut with it"


async def test_a_port_that_another_program_protects_in_our_name_is_given_back(house: House) -> None:
    await house.put(part("web-1"))
    stray = PortKey(machine("web-1").uuid, 8080, Protocol.TCP)
    await apply(house, access={}, protected={stray: Protection()})
    assert not house.reaches("web-1", port=8080)
    await house.pass_time(SWEEP_EVERY)
    assert house.reaches("web-1", port=8080)


async def test_a_rule_removed_by_hand_is_restored_while_its_grant_lives(house: House) -> None:
    """Case FW6."""
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    key = next(grant.keys())
    await apply(house, access={key: None})
    assert not house.reaches("web-1")
    await house.pass_time(SWEEP_EVERY)
    assert house.reaches("web-1")
    assert (await house.grant(grant.uid)).state is State.OPEN


async def test_every_firewall_is_swept_every_five_minutes_and_not_more_often(house: House) -> None:
    await house.put(part("web-1"))
    before = len([desired for desired in house.firewall.applied if desired.complete and desired.scope == SCOPE])
    for _ in range(60):
        await house.pass_time(MINUTE)
    swept = [desired for desired in house.firewall.applied if desired.complete and desired.scope == SCOPE]
    assert len(swept) - before == 12


async def test_an_opening_costs_one_small_call_and_no_sweep(house: House) -> None:
    await house.put(part("web-1"))
    for number in range(5):
        await house.open("web-1", sources=[f"192.0.2.{number}"])
    before = len(house.firewall.applied)
    await house.open("web-1", sources=[HERE])
    calls = house.firewall.applied[before:]
    assert [(desired.complete, len(desired.access)) for desired in calls] == [(False, 1)]


async def test_nothing_is_left_of_grants_that_have_ended(house: House) -> None:
    """Case CL16."""
    await house.put(part("web-1"))
    for number in range(30):
        await house.ask("web-1", sources=[f"192.0.2.{number}"], span=lasting("5m"))
    await house.pass_time(MINUTE)
    assert len(house.firewall.standing(SCOPE)) == 30
    assert await house.count("grant_key") == 30
    await house.pass_time(5 * MINUTE)
    assert not house.firewall.standing(SCOPE)
    assert await house.count("grant_key") == 0


async def test_a_sweep_shows_the_firewall_every_grant_and_no_other(house: House) -> None:
    await house.put(part("web-1"))
    await house.open("web-1", sources=["192.0.2.0/24"], span=lasting("1h"))
    await house.open("web-1", sources=["192.0.2.1"], span=lasting("2h"), by=await house.add_asker("bob", "Owner"))
    await house.open("web-1", sources=["192.0.2.9"], span=lasting("5m"), by=await house.add_asker("eve", "Owner"))
    await house.pass_time(5 * MINUTE)
    last = [desired for desired in house.firewall.applied if desired.complete and desired.scope == SCOPE][-1]
    assert {key.prefix: end for key, end in last.access.items() if end} == {
        "192.0.2.0/24": START + HOUR,
        "192.0.2.1/32": START + 2 * HOUR,
    }


async def test_a_revoked_source_stays_cut_off_across_sweeps_and_restarts(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    session = house.connect("web-1")
    house.firewall.fail_next(1)
    await house.close_early(grant.uid)
    house.crash()
    await house.pass_time(MINUTE)
    assert not house.carries(session)
    last = await swept(house)
    assert set(last.cut) == set(grant.keys())
    await house.pass_time(timedelta(days=5, seconds=1))
    assert not (await swept(house)).cut


async def test_a_revoked_source_that_is_let_in_again_is_not_cut(house: House) -> None:
    await house.put(part("web-1"))
    grant = await house.open("web-1")
    await house.close_early(grant.uid)
    await house.open("web-1")
    session = house.connect("web-1")
    assert not (await swept(house)).cut
    assert house.carries(session)


async def swept(house: House) -> Desired:
    """What the firewall was asked to hold in a sweep that happens now."""
    await house.sweep_soon("web-1")
    await house.settle()
    return [desired for desired in house.firewall.applied if desired.complete and desired.scope == SCOPE][-1]


async def open_behind_our_back(house: House, key: AccessKey) -> None:
    await apply(house, access={key: house.clock.wall() + HOUR})


async def apply(
    house: House,
    access: dict[AccessKey, object],
    protected: dict[PortKey, Protection] | None = None,
) -> None:
    """Change the firewall as somebody does who knows nothing of the database."""
    wanted = Desired(
        SCOPE,
        await house.generation("web-1"),
        house.clock.wall(),
        frozenset(),
        protected or {},
        access,  # type: ignore[arg-type]
    )
    await house.firewall.apply(await house.firewall.plan(wanted, {}))


async def test_a_port_that_somebody_kept_from_being_protected_is_tried_again_soon(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = house.firewall._report
    with monkeypatch.context() as occupied:
        occupied.setattr(
            house.firewall,
            "_report",
            lambda firewall, plan: replace(
                honest(firewall, plan), protected=dict.fromkeys(plan.desired.protected, "somebody is connected")
            ),
        )
        await house.put(part("web-1"))
        view = await machines.get_machine(house.service, house.alice, "web-1")
        assert set(view.protected.values()) == {"somebody is connected"}
    await house.pass_time(timedelta(seconds=20))
    view = await machines.get_machine(house.service, house.alice, "web-1")
    assert set(view.protected.values()) == {""}
