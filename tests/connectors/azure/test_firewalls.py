"""Azure Firewalls with classic rules: a port of the firewall that leads to the machine, for whom it was granted to."""

from datetime import timedelta

import pytest
from tests.connectors.azure.scene import AzureHouse
from tests.connectors.azure.test_groups import span
from tests.connectors.azure.test_sweep import granted, swept
from tests.house import ELSEWHERE, HERE, HOUR

from jitgate.connectors.azure import overdue
from jitgate.core.access import CloseReason, State
from jitgate.service import grants
from jitgate.testing.azure.calls import Fault
from jitgate.testing.azure.messages import Json

FOREIGN: Json = {
    "name": "theirs",
    "properties": {
        "priority": 100,
        "action": {"type": "Dnat"},
        "unknown": {"kept": True},
        "rules": [
            {
                "name": "web",
                "sourceAddresses": ["*"],
                "destinationAddresses": ["203.0.113.20"],
                "destinationPorts": ["20000"],
                "protocols": ["TCP"],
                "translatedAddress": "10.0.1.9",
                "translatedPort": "443",
            }
        ],
    },
}
TAKES = timedelta(minutes=4)


@pytest.fixture
async def behind(azure: AzureHouse) -> AzureHouse:
    """Two machines behind a firewall and a group each, protected. The firewall takes four minutes for a change."""
    await build(azure, TAKES)
    await azure.enable("vm-1", "vm-2")
    return azure


async def build(azure: AzureHouse, takes: timedelta) -> None:
    """Two machines behind a firewall and a group each."""
    scene = azure.scene
    vnet = scene.vnet("net", "10.0.0.0/16")
    outside = scene.subnet(vnet, "AzureFirewallSubnet", "10.0.250.0/26")
    table = scene.route_table("by-firewall", "10.0.250.4")
    subnet = scene.subnet(vnet, "web", "10.0.1.0/24", route_table=table)
    scene.firewall("fw", outside, "10.0.250.4", scene.public_ip("fw-ip", "203.0.113.20"), FOREIGN, mystery=[1, 2])
    for at in (1, 2):
        scene.vm(f"vm-{at}", scene.nic(f"nic-{at}", subnet, f"10.0.1.{at + 3}", nsg=scene.nsg(f"nsg-{at}")))
    azure.arm.world.durations["azureFirewalls"] = takes.total_seconds()
    await azure.discover()


async def test_a_port_opens_at_the_firewall_for_its_source_and_the_group_lets_the_firewall_through(
    behind: AzureHouse,
) -> None:
    asked = await behind.ask("vm-1", span=span("PT2H"))
    await behind.settle()
    uid = asked.grants[0].grant.uid
    assert (await behind.grant(uid)).state is State.OPENING, "it takes minutes, and says so"
    await later(behind, TAKES)
    assert (await behind.grant(uid)).state is State.OPEN
    rules = nat(behind)
    assert {rule["translatedAddress"] for rule in rules} == {"10.0.1.4"}
    assert all(rule["sourceAddresses"] == [HERE] for rule in rules)
    assert behind.passes(group(behind, 1), "10.0.1.4", "10.0.250.4"), "what the machine sees is the firewall"
    assert not behind.passes(group(behind, 1), "10.0.1.4", HERE), "and nobody else"
    [connection] = (await behind.state("vm-1")).report["connections"].values()
    assert connection["address"] == "203.0.113.20"
    assert connection["mappedPorts"] == {"22": int(rules[0]["destinationPorts"][0])}


async def test_what_others_wrote_into_a_firewall_is_kept_to_the_last_unknown_field(behind: AzureHouse) -> None:
    await opened(behind)
    told = firewall(behind)["properties"]
    assert told["mystery"] == [1, 2]
    assert told["natRuleCollections"][0] == FOREIGN
    assert not {int(rule["destinationPorts"][0]) for rule in nat(behind)} & {20000}


async def test_at_the_end_the_group_shuts_at_once_and_the_firewall_has_begun_ahead(behind: AzureHouse) -> None:
    uid = await opened(behind, "PT1H")
    end = (await behind.grant(uid)).end
    assert end is not None
    while behind.clock.wall() < end - timedelta(seconds=30):
        await later(behind, timedelta(seconds=30))
    assert nat(behind) == [], "the close began as long ahead as a change takes"
    assert (await behind.grant(uid)).state is State.OPEN
    await later(behind, timedelta(seconds=31))
    assert (await behind.grant(uid)).state is State.CLOSED
    assert not behind.passes(group(behind, 1), "10.0.1.4", "10.0.250.4")


async def test_an_early_close_is_proven_by_the_group_without_waiting_for_the_firewall(behind: AzureHouse) -> None:
    uid = await opened(behind)
    closed = await behind.close_early(uid)
    assert closed.state is State.CLOSED
    assert not behind.passes(group(behind, 1), "10.0.1.4", "10.0.250.4")
    await later(behind, TAKES)
    assert nat(behind) == []


async def test_while_another_grant_needs_the_group_a_close_waits_for_the_firewall(behind: AzureHouse) -> None:
    uid = await opened(behind)
    asked = await behind.ask("vm-1", sources=[ELSEWHERE], span=span("PT2H"))
    await behind.settle()
    await later(behind, TAKES)
    assert (await behind.grant(asked.grants[0].grant.uid)).state is State.OPEN
    assert (await behind.close_early(uid)).state is State.CLOSING
    await later(behind, TAKES)
    assert (await behind.grant(uid)).state is State.CLOSED
    assert all(rule["sourceAddresses"] == [ELSEWHERE] for rule in nat(behind))


async def test_the_mapped_port_of_a_machines_port_stays_the_same(behind: AzureHouse) -> None:
    uid = await opened(behind)
    before = {rule["destinationPorts"][0] for rule in nat(behind)}
    await behind.close_early(uid)
    await later(behind, TAKES)
    await behind.begin_anew()
    await opened(behind)
    assert {rule["destinationPorts"][0] for rule in nat(behind)} == before


async def test_what_is_asked_meanwhile_goes_into_one_change(behind: AzureHouse) -> None:
    await behind.ask("vm-1", span=span("PT2H"))
    await behind.settle()
    for source in (ELSEWHERE, "198.51.100.10", "198.51.100.11"):
        await behind.ask("vm-1", "vm-2", sources=[source], span=span("PT2H"))
        await later(behind, timedelta(seconds=20))
    await later(behind, 2 * TAKES)
    assert {grant.state for grant in await behind.live()} == {State.OPEN}
    assert behind.arm.calls.count()["PUT azureFirewalls"] == 2


async def test_a_source_inside_goes_past_the_firewall(behind: AzureHouse) -> None:
    grant = await behind.open("vm-1", sources=["10.9.9.9"])
    assert grant.state is State.OPEN
    assert behind.passes(group(behind, 1), "10.0.1.4", "10.9.9.9")
    assert nat(behind) == []


async def test_what_is_shorter_than_a_change_takes_is_refused_with_the_reason(behind: AzureHouse) -> None:
    grant = await behind.open("vm-1", span=span("PT5M"))
    assert grant.state is State.CLOSED
    assert any("Ask for longer" in str(event.properties.get("detail")) for event in await behind.story())


async def test_how_long_a_change_takes_is_an_estimate_until_it_has_been_measured(behind: AzureHouse) -> None:
    asked = await behind.ask("vm-1", span=span("PT2H"))
    await behind.settle()
    uid = asked.grants[0].grant.uid
    assert "about 5 min, which is an estimate: none has been measured yet" in await detail(behind, uid)
    await later(behind, TAKES)
    assert await detail(behind, uid) == "", "it is open"
    asked = await behind.ask("vm-2", span=span("PT2H"))
    await behind.settle()
    assert "about 4 min: so long the last one took" in await detail(behind, asked.grants[0].grant.uid)


async def test_an_hour_in_which_nobody_looked_is_not_taken_for_what_a_change_takes(behind: AzureHouse) -> None:
    await behind.ask("vm-1", span=span("PT3H"))
    await behind.settle()
    await behind.begin_anew()
    behind.clock.advance(HOUR)
    await behind.settle()
    await behind.settle()
    asked = await behind.ask("vm-2", span=span("PT30M"))
    await later(behind, 2 * TAKES)
    assert (await behind.grant(asked.grants[0].grant.uid)).state is State.OPEN, "and not refused as too short"


async def test_everywhere_holds_the_inside_too_which_goes_past_the_firewall(behind: AzureHouse) -> None:
    await behind.ask("vm-1", sources=["*"], span=span("PT2H"))
    await behind.settle()
    await later(behind, TAKES)
    assert {source for rule in nat(behind) for source in rule["sourceAddresses"]} == {"0.0.0.0/0"}
    assert behind.passes(group(behind, 1), "10.0.1.4", "10.0.250.4")
    assert behind.passes(group(behind, 1), "10.0.1.4", "10.9.9.9")
    assert not behind.passes(group(behind, 1), "10.0.1.4", HERE)


async def test_a_sweep_shuts_what_is_overdue_in_a_firewall_and_nothing_else_there(
    behind: AzureHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "POLL_SECONDS", 0.001)
    await opened(behind, "PT1H")
    asked = await behind.ask("vm-2", span=span("PT3H"))
    await behind.settle()
    await later(behind, TAKES)
    assert (await behind.grant(asked.grants[0].grant.uid)).state is State.OPEN
    behind.arm.world.permissions = [granted("sweep-role.json")]
    behind.arm.world.durations["azureFirewalls"] = 0
    assert await swept(behind) == []
    behind.clock.advance(HOUR)
    told = {(each.group.rpartition("/")[2], each.error) for each in await swept(behind)}
    assert told == {("fw", ""), ("nsg-1", "")}
    assert {rule["translatedAddress"] for rule in nat(behind)} == {"10.0.1.5"}
    assert firewall(behind)["properties"]["natRuleCollections"][0] == FOREIGN
    assert firewall(behind)["properties"]["mystery"] == [1, 2]


async def test_a_sweep_leaves_a_rule_alone_whose_end_was_moved(behind: AzureHouse) -> None:
    uid = await opened(behind, "PT1H")
    await grants.extend_grant(behind.service, behind.alice, uid, span("PT2H"))
    await behind.settle()
    await later(behind, TAKES)
    behind.clock.advance(HOUR)
    assert await swept(behind) == []
    assert nat(behind)


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.CANCEL])
async def test_an_open_counts_only_once_a_change_of_the_firewall_has_ended_well(
    behind: AzureHouse, fault: Fault
) -> None:
    behind.arm.calls.fail_next("PUT azureFirewalls", fault)
    asked = await behind.ask("vm-1", span=span("PT2H"))
    await behind.settle()
    uid = asked.grants[0].grant.uid
    await later(behind, TAKES)
    assert (await behind.grant(uid)).state is State.OPENING, "it was taken, and came to nothing"
    await later(behind, TAKES)
    assert (await behind.grant(uid)).state is State.OPEN
    assert led(behind) == {HERE}


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.CANCEL])
async def test_a_close_counts_only_once_a_change_of_the_firewall_has_ended_well(
    behind: AzureHouse, fault: Fault
) -> None:
    uid = await opened(behind)
    await behind.ask("vm-1", sources=[ELSEWHERE], span=span("PT2H"))
    await behind.settle()
    await later(behind, TAKES)
    behind.arm.calls.fail_next("PUT azureFirewalls", fault)
    await behind.close_early(uid)
    await later(behind, TAKES)
    assert led(behind) == {HERE, ELSEWHERE}
    assert (await behind.grant(uid)).state is State.CLOSING
    await later(behind, TAKES)
    assert (await behind.grant(uid)).state is State.CLOSED
    assert led(behind) == {ELSEWHERE}


async def test_what_a_firewall_shuts_ahead_of_its_end_stays_open_till_then_although_a_group_fails_meanwhile(
    behind: AzureHouse,
) -> None:
    uid = await opened(behind, "PT1H")
    end = (await behind.grant(uid)).end
    assert end is not None
    [took] = (await behind.state("vm-1")).memory["took"]
    behind.arm.world.durations["azureFirewalls"] = 30.0
    behind.clock.advance(end - timedelta(seconds=took) - behind.clock.wall())
    for name in behind.ours(group(behind, 1)):
        behind.scene.remove_rule(group(behind, 1), name)
    behind.arm.calls.fail_next("PUT securityRules", Fault.REFUSE)
    await behind.settle()
    assert behind.arm.calls.count()["PUT azureFirewalls"] == 2, "the close has begun in the pass that failed"
    while behind.clock.wall() < end - timedelta(seconds=30):
        await later(behind, timedelta(seconds=10))
        assert (await behind.grant(uid)).state is State.OPEN
    await later(behind, timedelta(seconds=31))
    assert (await behind.view(uid)).grant.reason is CloseReason.EXPIRED


async def test_what_was_measured_is_known_after_a_time_in_which_the_firewall_was_for_nobody(behind: AzureHouse) -> None:
    await behind.close_early(await opened(behind))
    await later(behind, TAKES)
    await behind.sweep()
    asked = await behind.ask("vm-2", span=span("PT2H"))
    await behind.settle()
    assert "about 4 min: so long nearly all of the last 2" in await detail(behind, asked.grants[0].grant.uid)


async def opened(azure: AzureHouse, length: str = "PT3H") -> str:
    """Ask for a port of vm-1, and let the firewall take its time."""
    asked = await azure.ask("vm-1", span=span(length))
    await azure.settle()
    await later(azure, TAKES)
    grant = await azure.grant(asked.grants[0].grant.uid)
    assert grant.state is State.OPEN
    return grant.uid


async def later(azure: AzureHouse, by: timedelta) -> None:
    """Let time pass, and the reconciler look now and then."""
    steps = max(1, by // timedelta(seconds=40))
    for _ in range(steps):
        await azure.pass_time(by / steps)
    await azure.pass_time(timedelta(seconds=6))


async def detail(azure: AzureHouse, uid: str) -> str:
    """What is told of a grant that waits."""
    return (await grants.get_grant(azure.service, azure.alice, uid)).detail


def firewall(azure: AzureHouse) -> Json:
    held = azure.arm.world.resources.get(f"{_network(azure)}/azureFirewalls/fw")
    assert held is not None
    return held.body


def nat(azure: AzureHouse) -> list[Json]:
    """The DNAT rules of ours."""
    found = firewall(azure)["properties"]["natRuleCollections"]
    return [rule for each in found if each["name"] == "jitgate" for rule in each["properties"]["rules"]]


def led(azure: AzureHouse) -> set[str]:
    """Whom the firewall lets through by rules of ours, by what is in force."""
    found = azure.scene.in_force(f"{_network(azure)}/azureFirewalls/fw")["properties"]["natRuleCollections"]
    rules = [rule for each in found if each["name"] == "jitgate" for rule in each["properties"]["rules"]]
    return {source for rule in rules for source in rule["sourceAddresses"]}


def group(azure: AzureHouse, at: int) -> str:
    return f"{_network(azure)}/networkSecurityGroups/nsg-{at}"


def _network(azure: AzureHouse) -> str:
    scene = azure.scene
    return f"/subscriptions/{scene.subscription}/resourceGroups/{scene.group_name}/providers/Microsoft.Network"
