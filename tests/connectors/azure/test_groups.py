"""Network security groups: protecting, opening, closing; by one group, two, and one that many machines share."""

from datetime import timedelta

import pytest
from tests.connectors.azure.scene import AzureHouse, allow
from tests.house import ELSEWHERE, HERE, HOUR, part, port

from jitgate.audit import Operation
from jitgate.connectors.azure import names
from jitgate.core import duration
from jitgate.core.access import Span, State
from jitgate.core.desired import Protocol
from jitgate.service import alterations, policies
from jitgate.store import scopes
from jitgate.testing.azure.calls import Call, Fault
from jitgate.testing.azure.scene import Scene

ADDRESS = "10.0.0.4"
OTHER = "22222222-2222-2222-2222-222222222222"


async def test_a_protected_port_opens_for_its_source_and_shuts_at_its_end(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    assert azure.passes(nsg, ADDRESS)
    await azure.enable("vm-1")
    assert not azure.passes(nsg, ADDRESS)
    grant = await azure.open("vm-1")
    assert grant.state is State.OPEN
    assert azure.passes(nsg, ADDRESS, HERE)
    assert not azure.passes(nsg, ADDRESS, ELSEWHERE)
    await azure.pass_time(timedelta(hours=3))
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert (await azure.grant(grant.uid)).state is State.CLOSED
    assert len(azure.ours(nsg)) == 1, "the deny is all that is left"


async def test_nothing_that_others_wrote_is_changed_or_renumbered(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    before = azure.scene.rules(nsg)["SSH"]
    await azure.enable("vm-1")
    await azure.open("vm-1")
    await azure.pass_time(4 * HOUR)
    assert azure.scene.rules(nsg)["SSH"] == before


async def test_of_two_grants_of_a_port_each_lasts_to_its_own_end_in_one_rule(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1", sources=[HERE], span=span("PT1H"))
    await azure.open("vm-1", sources=[ELSEWHERE], span=span("PT2H"))
    [rule] = opened(azure, nsg)
    assert set(rule["sourceAddressPrefixes"]) == {HERE, ELSEWHERE}
    assert "until 2030-01-01T01:00:00Z" in rule["description"], "the earliest end"
    await azure.pass_time(HOUR)
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    [rule] = opened(azure, nsg)
    assert "until 2030-01-01T02:00:00Z" in rule["description"]
    await azure.pass_time(HOUR)
    assert opened(azure, nsg) == []


async def test_a_machine_without_ipv6_is_opened_to_everywhere_and_not_to_an_ipv6_source(azure: AzureHouse) -> None:
    """Everywhere is of both families; of the one that it has no address of, there is nothing to open."""
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    grant = await azure.open("vm-1", sources=["*"], span=span("PT1H"))
    assert grant.state is State.OPEN
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    await azure.pass_time(HOUR)
    assert (await azure.grant(grant.uid)).state is State.CLOSED
    assert not azure.passes(nsg, ADDRESS, ELSEWHERE)
    assert (await azure.open("vm-1", sources=["2001:db8::7"])).state is State.CLOSED


async def test_a_wide_source_and_one_inside_of_it_are_open_each_to_its_own_end(azure: AzureHouse) -> None:
    """Case OV6. Azure refuses a rule in which two overlap."""
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    bob = await azure.add_asker("bob", "Owner")
    await azure.open("vm-1", sources=[HERE], span=span("PT2H"), by=bob)
    grant = await azure.open("vm-1", sources=["203.0.113.0/24"], span=span("PT1H"))
    assert grant.state is State.OPEN
    assert azure.passes(nsg, ADDRESS, "203.0.113.200")
    [rule] = opened(azure, nsg)
    assert (rule["sourceAddressPrefix"], "until 2030-01-01T01:00:00Z" in rule["description"]) == (
        "203.0.113.0/24",
        True,
    )
    await azure.pass_time(HOUR)
    assert azure.passes(nsg, ADDRESS, HERE)
    assert not azure.passes(nsg, ADDRESS, "203.0.113.200")
    await azure.open("vm-1", sources=["203.0.113.0/24"], span=span("PT3H"))
    await azure.pass_time(HOUR)
    assert azure.passes(nsg, ADDRESS, HERE), "by the wide one"
    await azure.pass_time(2 * HOUR)
    assert not azure.passes(nsg, ADDRESS, HERE)


async def test_an_early_close_of_one_leaves_the_other(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    first = await azure.open("vm-1", sources=[HERE])
    await azure.open("vm-1", sources=[ELSEWHERE])
    await azure.close_early(first.uid)
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)


async def test_with_a_group_at_interface_and_subnet_the_deny_is_at_one_and_allows_are_in_both(
    azure: AzureHouse,
) -> None:
    scene = azure.scene
    outer, inner = scene.nsg("outer"), scene.nsg("inner", allow("SSH", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24", nsg=outer)
    scene.vm("vm-1", scene.nic("nic-1", subnet, ADDRESS, nsg=inner))
    await azure.discover()
    await azure.enable("vm-1")
    assert azure.ours(outer) == {}
    assert len(azure.ours(inner)) == 1
    grant = await azure.open("vm-1")
    assert azure.passes(outer, ADDRESS)
    assert azure.passes(inner, ADDRESS)
    await azure.close_early(grant.uid)
    assert azure.ours(outer) == {}
    assert not azure.passes(inner, ADDRESS)


async def test_machines_that_share_a_group_have_a_deny_each_and_open_apart(azure: AzureHouse) -> None:
    nsg = await shared(azure, 3)
    await azure.enable("vm-1", "vm-2", "vm-3")
    assert len(azure.ours(nsg)) == 3
    await azure.open("vm-2")
    assert [azure.passes(nsg, f"10.0.0.{at}") for at in (4, 5, 6)] == [False, True, False]
    assert len({rule["priority"] for rule in azure.scene.rules(nsg).values()}) == len(azure.scene.rules(nsg))


async def test_same_set_ups_have_the_same_priorities(azure: AzureHouse) -> None:
    first = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1")
    rules = sorted(rule["priority"] for rule in azure.ours(first).values())
    assert rules == [100, 299], "what opens first, then the deny, in front of the user's 300"


async def test_secondary_and_ipv6_addresses_and_other_interfaces_are_shut_and_opened_as_well(
    azure: AzureHouse,
) -> None:
    scene = azure.scene
    inner, other = scene.nsg("inner", allow("all", 300, "*")), scene.nsg("other", allow("all", 300, "*"))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16", "fd00::/48"), "default", "10.0.0.0/24", "fd00::/64")
    first = scene.nic("nic-1", subnet, ADDRESS, "10.0.0.5", "fd00::4", nsg=inner)
    scene.vm("vm-1", first, scene.nic("nic-2", subnet, "10.0.0.6", nsg=other))
    await azure.discover()
    await azure.enable("vm-1")
    places = [(inner, ADDRESS), (inner, "10.0.0.5"), (other, "10.0.0.6")]
    assert not any(azure.passes(nsg, address) for nsg, address in places)
    assert not azure.passes(inner, "fd00::4", "2001:db8::7")
    await azure.open("vm-1")
    assert all(azure.passes(nsg, address) for nsg, address in places)
    assert not azure.passes(inner, "fd00::4", "2001:db8::7")
    await azure.open("vm-1", sources=["2001:db8::7"])
    assert azure.passes(inner, "fd00::4", "2001:db8::7")


async def test_an_ipv6_source_of_a_machine_without_ipv6_is_refused_with_the_reason(azure: AzureHouse) -> None:
    await one_machine(azure)
    await azure.enable("vm-1")
    grant = await azure.open("vm-1", sources=["2001:db8::7"])
    assert grant.state is State.CLOSED
    assert any(event.properties.get("detail") == "vm-1 has no IPv6 address" for event in await azure.story())


async def test_an_address_that_changes_during_a_grant_is_followed(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1")
    scene = azure.scene
    nic = scene.nic("nic-1", f"{net(azure)}/subnets/default", "10.0.0.9", nsg=nsg)
    assert nic
    azure.clock.advance(timedelta(minutes=2))
    await azure.discover()
    await azure.settle()
    assert azure.passes(nsg, "10.0.0.9", HERE)
    assert not azure.passes(nsg, "10.0.0.9", ELSEWHERE)
    assert all(rule["destinationAddressPrefix"] == "10.0.0.9" for rule in azure.ours(nsg).values())


async def test_tcp_and_udp_ports_are_shut_by_as_few_rules_as_hold_them(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.put(part("vm-1", port(22), port(3389), port(53, Protocol.UDP)))
    denies = azure.ours(nsg)
    assert sorted(rule["protocol"] for rule in denies.values()) == ["Tcp", "Udp"]
    await azure.put(part("vm-1", port(22, Protocol.ANY), port(3389, Protocol.ANY)))
    [rule] = azure.ours(nsg).values()
    assert (rule["protocol"], rule["destinationPortRanges"]) == ("*", ["22", "3389"])


async def test_rules_say_whose_they_are_and_until_when_within_azures_limits(azure: AzureHouse) -> None:
    name = "v" * 64
    nsg = await one_machine(azure, name)
    await azure.enable(name)
    await azure.open(name)
    for rule_name, rule in azure.ours(nsg).items():
        assert len(rule_name) <= 80
        assert len(rule["description"]) <= 140
        mark = names.mark_of(rule["description"])
        assert mark is not None
        assert mark.scope == names.tag(azure.machine(name).scope)


async def test_a_group_that_is_written_whole_by_others_is_put_right_by_the_sweep_and_told(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1")
    for name in azure.ours(nsg):
        azure.scene.remove_rule(nsg, name)
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    await azure.pass_time(timedelta(minutes=5))
    assert not azure.passes(nsg, ADDRESS, ELSEWHERE)
    assert azure.passes(nsg, ADDRESS, HERE)
    [told] = await azure.events(Operation.FIREWALL_REPAIR)
    assert len(told.properties["repaired"]) == 2


async def test_a_rule_that_is_edited_by_hand_is_put_right(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    grant = await azure.open("vm-1")
    name = names.allow_name(grant.machine, 22, "any", 4)
    edited = {**azure.scene.rules(nsg)[name], "sourceAddressPrefix": "*"}
    azure.scene.add_rule(nsg, {"name": name, "properties": edited})
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    await azure.pass_time(timedelta(minutes=5))
    assert not azure.passes(nsg, ADDRESS, ELSEWHERE)
    assert azure.passes(nsg, ADDRESS, HERE)


async def test_what_merely_looks_like_ours_is_left_alone(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    alike = allow("jitgate-allow-0123456789ab-22-tcp-v4", 3000)
    azure.scene.add_rule(nsg, alike)
    azure.scene.add_rule(nsg, allow("old", 3001, description="[jitgate 0123456789ab until 2001-01-01T00:00:00Z]"))
    await azure.enable("vm-1")
    await azure.sweep()
    assert {"old", alike["name"]} <= azure.scene.rules(nsg).keys()


async def test_where_nothing_can_be_deleted_a_port_is_shut_by_a_deny(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    azure.scene.lock(nsg)
    await azure.discover()
    await azure.enable("vm-1")
    assert any("lock forbids deleting" in notice for notice in notices(azure))
    grant = await azure.open("vm-1")
    await azure.close_early(grant.uid)
    assert (await azure.grant(grant.uid)).state is State.CLOSED
    assert not azure.passes(nsg, ADDRESS)
    again = await azure.open("vm-1", sources=[ELSEWHERE])
    assert again.state is State.OPEN
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    assert not azure.passes(nsg, ADDRESS, HERE)


async def test_a_lock_that_appears_between_is_met_the_same_way(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    grant = await azure.open("vm-1")
    azure.scene.lock(nsg)
    await azure.close_early(grant.uid)
    assert (await azure.grant(grant.uid)).state is State.CLOSED
    assert not azure.passes(nsg, ADDRESS)


async def test_an_allow_of_others_that_no_number_is_in_front_of_is_told_and_the_port_is_not_called_protected(
    azure: AzureHouse,
) -> None:
    nsg = await one_machine(azure)
    azure.scene.add_rule(nsg, allow("SSH", 100))
    azure.clock.advance(timedelta(seconds=10))
    await azure.enable("vm-1")
    [why] = set((await azure.state("vm-1")).report["protected"].values()) - {""}
    assert "the rule SSH at priority 100" in why
    assert nsg in why
    azure.scene.remove_rule(nsg, "SSH")
    await azure.pass_time(timedelta(minutes=5))
    assert set((await azure.state("vm-1")).report["protected"].values()) == {""}


async def test_an_allow_of_others_with_a_name_like_ours_is_in_the_way_like_any_other(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    azure.scene.add_rule(nsg, allow("jitgate-server-in", 200))
    azure.clock.advance(timedelta(seconds=10))
    await azure.enable("vm-1")
    assert not azure.passes(nsg, ADDRESS), "the deny goes in front of it"
    azure.scene.add_rule(nsg, allow("jitgate-ssh", 100))
    await azure.pass_time(timedelta(minutes=5))
    [why] = set((await azure.state("vm-1")).report["protected"].values()) - {""}
    assert "the rule jitgate-ssh at priority 100" in why
    view = await alterations.get_alterations(azure.service, azure.alice, "vm-1")
    assert ["jitgate-ssh" in each.alteration.what for each in view.kept] == [True]


async def test_a_rule_of_ours_that_lost_its_mark_is_put_right_and_nobody_is_asked_about_it(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    grant = await azure.open("vm-1")
    for number in (22, 2222):
        name = names.allow_name(grant.machine, number, "any", 4)
        azure.scene.add_rule(nsg, allow(name, 100 + number, "22", HERE))
    await azure.pass_time(timedelta(minutes=5))
    assert len(opened(azure, nsg)) == 1
    assert set((await azure.state("vm-1")).report["protected"].values()) == {""}
    assert not (await alterations.get_alterations(azure.service, azure.alice, "vm-1")).kept


async def test_an_allow_of_others_that_comes_in_front_later_makes_the_deny_move(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1", sources=[ELSEWHERE])
    azure.scene.add_rule(nsg, allow("wide", 200))
    await azure.pass_time(timedelta(minutes=5))
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)


async def test_a_machine_that_is_deleted_leaves_no_rule_behind(azure: AzureHouse) -> None:
    nsg = await shared(azure, 2)
    await azure.enable("vm-1", "vm-2")
    grant = await azure.open("vm-1")
    vm = azure.machine("vm-1").id
    azure.scene.remove(vm)
    await azure.discover()
    await azure.settle()
    assert (await azure.grant(grant.uid)).state is State.CLOSED
    assert len(azure.ours(nsg)) == 1, "the other machine's deny"


async def test_a_machine_that_is_released_has_no_rule_of_ours(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.put(part("vm-1", port(22)))
    await azure.put(part("vm-1", port(3389)))
    [rule] = azure.ours(nsg).values()
    assert rule["destinationPortRange"] == "3389"
    await policies.disable_machines(azure.service, azure.alice, ["vm-1"])
    await azure.settle()
    assert azure.ours(nsg) == {}


async def test_bastion_is_let_in_where_that_is_wished_and_told_of_where_not(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    subnet = azure.scene.subnet(net(azure), "AzureBastionSubnet", "10.0.9.0/26")
    azure.scene.bastion("bastion", subnet)
    await azure.discover()
    assert any("Azure Bastion" in notice and "bastion=allow" in notice for notice in notices(azure))
    await azure.enable("vm-1")
    assert not azure.passes(nsg, ADDRESS, "10.0.9.5")
    azure.settings["bastion"] = "allow"
    await azure.begin_anew()
    await azure.discover()
    assert azure.passes(nsg, ADDRESS, "10.0.9.5")
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert not any("Bastion" in notice for notice in notices(azure))


@pytest.mark.parametrize("name", ["MicrosoftDefenderForCloud-JITRule_-1_abc", "SecurityCenter-JITRule-77-abc"])
async def test_microsofts_own_rules_are_recognised(azure: AzureHouse, name: str) -> None:
    nsg = await one_machine(azure)
    azure.scene.add_rule(nsg, allow(name, 4000))
    await azure.discover()
    assert any("Microsoft's own just-in-time access" in notice for notice in notices(azure))


async def test_a_close_that_azure_has_taken_counts_only_once_it_has_ended_well(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    grant = await azure.open("vm-1", sources=[HERE])
    await azure.open("vm-1", sources=[ELSEWHERE])
    azure.arm.calls.fail_next("PUT securityRules", Fault.FAIL)
    azure.arm.calls.fail_next("GET operations", Fault.DROP)
    assert (await azure.close_early(grant.uid)).state is State.CLOSING, "nobody has seen how it ended"
    assert azure.passes(nsg, ADDRESS, HERE)
    await azure.pass_time(timedelta(minutes=1))
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert (await azure.grant(grant.uid)).state is State.CLOSED


async def test_an_open_that_azure_is_at_still_is_waited_for_where_its_answer_was_lost(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    azure.arm.world.durations["networkSecurityGroups"] = 20.0
    azure.arm.calls.fail_next("PUT securityRules", Fault.LOSE)
    grant = await azure.open("vm-1")
    await azure.pass_time(timedelta(seconds=5))
    assert not azure.passes(nsg, ADDRESS, HERE)
    assert (await azure.grant(grant.uid)).state is State.OPENING
    for _ in range(4):
        await azure.pass_time(timedelta(seconds=5))
    assert (await azure.grant(grant.uid)).state is State.OPEN
    assert azure.passes(nsg, ADDRESS, HERE)


async def test_what_is_in_a_subscription_that_was_dropped_never_counts_as_shut(azure: AzureHouse) -> None:
    scene = Scene(azure.arm, subscription=OTHER, group="far")
    nsg = scene.nsg("web", allow("SSH", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24")
    scene.vm("vm-far", scene.nic("nic-1", subnet, ADDRESS, nsg=nsg))
    azure.settings = {"subscriptions": OTHER}
    await azure.begin_anew()
    await azure.discover()
    await azure.enable("vm-far")
    grant = await azure.open(azure.machine("vm-far").id)
    assert azure.passes(nsg, ADDRESS, HERE)
    azure.settings = {}
    await azure.begin_anew()
    await azure.discover()
    await azure.pass_time(HOUR)
    assert azure.passes(nsg, ADDRESS, HERE), "it was not shut"
    assert (await azure.grant(grant.uid)).state is State.CLOSING, "so nobody says that it was"
    state = await azure.store.read(lambda tx: scopes.get(tx, grant.scope))
    assert state is not None
    assert f"subscription {OTHER} is no part of this connector any more" in state.error
    azure.settings = {"subscriptions": OTHER}
    await azure.begin_anew()
    assert azure.ours(nsg) == {}
    assert (await azure.grant(grant.uid)).state is State.CLOSED


async def one_machine(azure: AzureHouse, name: str = "vm-1") -> str:
    """A machine with a group at its interface, in which a user lets everybody in to SSH."""
    scene = azure.scene
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/24")
    nsg = scene.nsg("web", allow("SSH", 300))
    scene.vm(name, scene.nic("nic-1", subnet, ADDRESS, nsg=nsg))
    await azure.discover()
    return nsg


async def shared(azure: AzureHouse, count: int) -> str:
    """Machines in one subnet, whose group governs them all."""
    scene = azure.scene
    nsg = scene.nsg("shared", allow("SSH", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "default", "10.0.0.0/20", nsg=nsg)
    for at in range(count):
        scene.vm(f"vm-{at + 1}", scene.nic(f"nic-{at + 1}", subnet, f"10.0.{at // 200}.{at % 200 + 4}"))
    await azure.discover()
    return nsg


def opened(azure: AzureHouse, nsg: str) -> list[dict[str, str]]:
    """What lets sources through for a time."""
    return [dict(rule) for name, rule in azure.ours(nsg).items() if rule["access"] == "Allow"]


def notices(azure: AzureHouse) -> list[str]:
    found = azure.machine("vm-1").facts["notices"]
    assert isinstance(found, list)
    return found


def net(azure: AzureHouse) -> str:
    group = f"/subscriptions/{azure.scene.subscription}/resourceGroups/{azure.scene.group_name}"
    return f"{group}/providers/Microsoft.Network/virtualNetworks/net"


def span(text: str) -> Span:
    return Span(duration=duration.parse(text, "span"))


async def test_a_rule_is_only_written_over_where_it_is_the_one_that_was_seen(azure: AzureHouse) -> None:
    """Somebody changes it between the look and the write: it is looked at again, and put right."""
    nsg = await one_machine(azure)
    await azure.enable("vm-1")
    await azure.open("vm-1")
    await azure.begin_anew()
    [name] = [each for each in azure.ours(nsg) if "-allow-" in each]

    def meddle(call: Call) -> None:
        if call.name == "PUT securityRules" and not meddled:
            meddled.append(call)
            change = {**azure.scene.rules(nsg)[name], "sourceAddressPrefix": "192.0.2.1"}
            azure.scene.add_rule(nsg, {"name": name, "properties": change})

    meddled: list[Call] = []
    puts = azure.arm.calls.count()["PUT securityRules"]
    azure.arm.calls.fail_when(meddle)
    azure.clock.advance(timedelta(minutes=2))
    await azure.open("vm-1", sources=[ELSEWHERE])
    assert azure.arm.calls.count()["PUT securityRules"] == puts + 2, "the first was refused"
    assert azure.passes(nsg, ADDRESS, HERE)
    assert azure.passes(nsg, ADDRESS, ELSEWHERE)
    assert not azure.passes(nsg, ADDRESS, "192.0.2.1")
