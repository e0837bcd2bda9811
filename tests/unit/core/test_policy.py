"""Policies: what could not work, or would leave open which rule holds, is refused with its field."""

from datetime import timedelta

import pytest
from tests.unit.core.examples import ALICE, DAY, SUBSCRIPTION, length, make_policy, make_rule

from jitgate.core import policy
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.errors import Invalid
from jitgate.core.policy import MachinePolicy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import machine_id, parse_machine_id

FIELD = "properties.virtualMachines[0].ports"


def make_part(name: str, *rules: PortRule) -> MachinePolicy:
    return MachinePolicy(parse_machine_id(machine_id(SUBSCRIPTION, "rg1", name), "id"), rules or (make_rule(),))


@pytest.mark.parametrize("number", [1, 22, 3389, 65535])
def test_every_real_port_can_be_protected(number: int) -> None:
    assert policy.check_number(number, "number") == number


@pytest.mark.parametrize("number", [-1, 0, 65536, 10**30])
def test_port_0_and_what_lies_beyond_65535_are_refused(number: int) -> None:
    """The contract's schema lets 0 pass; no packet has it."""
    with pytest.raises(Invalid) as refusal:
        policy.check_number(number, f"{FIELD}[0].number")
    assert refusal.value.reason.field == f"{FIELD}[0].number"
    assert refusal.value.reason.allowed == "1 to 65535"


@pytest.mark.parametrize("text", ["PT5M", "PT3H", "PT24H", "P1D"])
def test_a_maximum_lies_between_five_minutes_and_a_day(text: str) -> None:
    assert policy.check_max_duration(length(text), "field").text == text


@pytest.mark.parametrize("text", ["PT0S", "PT4M59S", "PT24H1S", "P2D", "P9999W"])
def test_a_maximum_outside_is_refused_with_what_is_allowed(text: str) -> None:
    """Case CK3."""
    with pytest.raises(Invalid) as refusal:
        policy.check_max_duration(length(text), "field")
    assert text in refusal.value.reason.message
    assert refusal.value.reason.allowed == "5 min to 24 h"


def test_an_installation_may_allow_more_than_a_day() -> None:
    """Case PV11."""
    assert policy.check_max_duration(length("P2D"), "field", longest=2 * DAY).length == timedelta(days=2)


@pytest.mark.parametrize(
    "rules",
    [
        [make_rule(22, Protocol.TCP), make_rule(22, Protocol.UDP)],
        [make_rule(22, Protocol.ANY), make_rule(23, Protocol.ANY)],
        [make_rule(22, Protocol.TCP), make_rule(2222, Protocol.TCP)],
    ],
)
def test_each_port_and_protocol_may_stand_once(rules: list[PortRule]) -> None:
    policy.check_ports(rules, FIELD)


@pytest.mark.parametrize(
    "rules",
    [
        [make_rule(22, Protocol.TCP), make_rule(22, Protocol.TCP)],
        [make_rule(22, Protocol.TCP), make_rule(22, Protocol.ANY)],
        [make_rule(22, Protocol.ANY), make_rule(22, Protocol.UDP)],
        [make_rule(22, Protocol.ANY), make_rule(22, Protocol.ANY)],
    ],
)
def test_a_port_twice_or_tcp_beside_a_star_is_refused_and_both_places_are_named(rules: list[PortRule]) -> None:
    with pytest.raises(Invalid) as refusal:
        policy.check_ports(rules, FIELD)
    assert refusal.value.reason.field == f"{FIELD}[1].number"
    assert f"{FIELD}[0]" in refusal.value.reason.message


def test_a_machine_without_ports_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        policy.check_ports([], FIELD)
    assert refusal.value.reason.field == FIELD


@pytest.mark.parametrize("count", [0, policy.MOST_SOURCES + 1])
def test_a_port_has_at_least_one_source_and_a_bounded_number(count: int) -> None:
    sources = tuple(Prefix(f"198.51.{n // 256}.{n % 256}/32") for n in range(count))
    with pytest.raises(Invalid) as refusal:
        policy.check_ports([make_rule(sources=sources)], FIELD)
    assert refusal.value.reason.field == f"{FIELD}[0].allowedSourceAddressPrefixes"
    assert str(count) in refusal.value.reason.message


@pytest.mark.parametrize("count", [1, policy.MOST_SOURCES])
def test_one_source_and_as_many_as_are_allowed_pass(count: int) -> None:
    sources = tuple(Prefix(f"198.51.{n // 256}.{n % 256}/32") for n in range(count))
    policy.check_ports([make_rule(sources=sources)], FIELD)


def test_the_field_of_a_source_is_the_one_that_was_written() -> None:
    written_as_one = PortRule(22, Protocol.TCP, (), "", length("PT3H"))
    with pytest.raises(Invalid) as refusal:
        policy.check_ports([written_as_one], FIELD)
    assert refusal.value.reason.field == f"{FIELD}[0].allowedSourceAddressPrefix"


def test_a_machine_twice_is_refused_in_whatever_case_it_is_written() -> None:
    with pytest.raises(Invalid) as refusal:
        policy.check_machines([make_part("web-1"), make_part("db-1"), make_part("WEB-1")], "virtualMachines")
    assert refusal.value.reason.field == "virtualMachines[2].id"
    assert "virtualMachines[0]" in refusal.value.reason.message


def test_different_machines_may_stand_in_one_policy() -> None:
    policy.check_machines([make_part("web-1"), make_part("web-10")], "virtualMachines")


def test_a_star_protects_both_protocols() -> None:
    tcp, udp = PortKey("m", 22, Protocol.TCP), PortKey("m", 22, Protocol.UDP)
    assert list(make_rule(22, Protocol.ANY).keys("m")) == [tcp, udp]
    assert list(make_rule(22, Protocol.UDP).keys("m")) == [udp]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, [Protocol.TCP, Protocol.UDP]),
        (Protocol.TCP, [Protocol.TCP]),
        (Protocol.UDP, [Protocol.UDP]),
        (Protocol.ANY, []),
    ],
)
def test_a_rule_is_found_when_it_allows_all_that_is_asked(asked: Protocol | None, found: list[Protocol]) -> None:
    part = make_part("web-1", make_rule(22, Protocol.TCP), make_rule(22, Protocol.UDP), make_rule(23, Protocol.ANY))
    assert [rule.protocol for rule in part.rules(22, asked)] == found


def test_a_star_allows_either_protocol() -> None:
    part = make_part("web-1", make_rule(22, Protocol.ANY))
    assert all(part.rules(22, asked) for asked in (None, *Protocol))


def test_a_policy_finds_its_machine_by_key_alone() -> None:
    default = make_policy(make_rule(sources=(ALICE,)))
    assert default.machine(default.machines[0].id.key) is default.machines[0]
    assert default.machine(default.machines[0].id.key + "0") is None
