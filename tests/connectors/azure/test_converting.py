"""A user's rule in front of our deny is changed only when somebody has agreed, and given back exactly."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.azure.scene import AzureHouse, allow
from tests.connectors.azure.test_groups import ADDRESS, one_machine
from tests.house import HERE, HOUR

from jitgate.connectors.azure.converting import without
from jitgate.connectors.azure.rules import covers_port
from jitgate.service import alterations, machines, policies
from jitgate.testing.azure.calls import Fault

RULE = "vendor"


async def outranked(azure: AzureHouse, port: str, **more: Any) -> str:
    """A machine that is protected, and a rule of a user's in front of whatever we write. Its group."""
    nsg = await one_machine(azure)
    azure.scene.remove_rule(nsg, "SSH")
    azure.scene.add_rule(nsg, allow(RULE, 101, port, description="the vendor's", **more))
    await azure.discover()
    await azure.enable("vm-1")
    return nsg


async def agree(azure: AzureHouse) -> None:
    found = await alterations.get_alterations(azure.service, azure.alice, "vm-1")
    await alterations.agree(azure.service, azure.alice, "vm-1", found.digest)
    await azure.settle()


async def disable(azure: AzureHouse) -> None:
    await policies.disable_machines(azure.service, azure.alice, ["vm-1"])


async def problem(azure: AzureHouse) -> str:
    view = await machines.get_machine(azure.service, azure.alice, "vm-1")
    return "".join(view.protected.values())


def told(azure: AzureHouse, nsg: str) -> Mapping[str, Any]:
    """The user's rule, less what Azure adds to it."""
    return {name: value for name, value in azure.scene.rules(nsg)[RULE].items() if value not in ([], "", None)}


@pytest.mark.parametrize(
    ("port", "left", "access"),
    [("20-30", {"20-21", "23-30"}, "Allow"), ("*", {"0-21", "23-65535"}, "Allow"), ("22", {"22"}, "Deny")],
)
async def test_with_consent_the_port_is_taken_out_of_it_and_without_protection_it_is_as_it_was(
    azure: AzureHouse, port: str, left: set[str], access: str
) -> None:
    nsg = await outranked(azure, port)
    original = told(azure, nsg)
    assert "jitgate machine agree" in await problem(azure)
    await azure.pass_time(HOUR)
    assert told(azure, nsg) == original, "nobody has agreed"
    assert azure.passes(nsg, ADDRESS, HERE)
    await agree(azure)
    assert await problem(azure) == ""
    assert not azure.passes(nsg, ADDRESS, HERE)
    standing = told(azure, nsg)
    ports = standing.get("destinationPortRanges") or [standing["destinationPortRange"]]
    assert (set(ports), standing["access"]) == (left, access)
    await azure.pass_time(HOUR)
    assert told(azure, nsg) == standing
    await azure.open("vm-1")
    assert azure.passes(nsg, ADDRESS, HERE)
    await disable(azure)
    await azure.settle()
    assert told(azure, nsg) == original


async def test_what_would_be_done_is_said_before_with_all_that_it_counts_for(azure: AzureHouse) -> None:
    await outranked(azure, "20-30")
    [waiting] = (await alterations.get_alterations(azure.service, azure.alice, "vm-1")).kept
    assert waiting.alteration.what.endswith("the rule vendor at priority 101 lets in at 20-21, 23-30 only")
    assert waiting.alteration.concerns == (azure.machine("vm-1").id,)


async def test_a_rule_that_others_put_back_is_converted_again_and_one_that_they_edit_is_theirs(
    azure: AzureHouse,
) -> None:
    nsg = await outranked(azure, "20-30")
    await agree(azure)
    azure.scene.add_rule(nsg, allow(RULE, 101, "20-30", description="the vendor's"))
    await azure.pass_time(HOUR)
    assert not azure.passes(nsg, ADDRESS, HERE), "a template was applied again: that is what was agreed to"
    azure.scene.add_rule(nsg, allow(RULE, 101, "20-40", description="the vendor's"))
    await azure.pass_time(HOUR)
    assert azure.passes(nsg, ADDRESS, HERE), "that is another rule, to which nobody has agreed"
    assert "jitgate machine agree" in await problem(azure)
    await disable(azure)
    await azure.settle()
    assert told(azure, nsg)["destinationPortRange"] == "20-40"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STICK])
async def test_whatever_becomes_of_a_call_it_is_converted_and_given_back(azure: AzureHouse, fault: Fault) -> None:
    nsg = await outranked(azure, "20-30")
    original = told(azure, nsg)
    found = await alterations.get_alterations(azure.service, azure.alice, "vm-1")
    await alterations.agree(azure.service, azure.alice, "vm-1", found.digest)
    azure.arm.calls.fail_next("PUT securityRules", fault)
    for _ in range(3):
        await azure.pass_time(HOUR)
    assert not azure.passes(nsg, ADDRESS, HERE)
    await disable(azure)
    azure.arm.calls.fail_next("PUT securityRules", fault)
    await azure.begin_anew()
    for _ in range(3):
        await azure.pass_time(HOUR)
    assert told(azure, nsg) == original


async def test_microsofts_own_rules_are_not_offered(azure: AzureHouse) -> None:
    nsg = await one_machine(azure)
    azure.scene.remove_rule(nsg, "SSH")
    azure.scene.add_rule(nsg, allow("MicrosoftDefenderForCloud-JITRule-1-2", 101))
    await azure.discover()
    await azure.enable("vm-1")
    assert not (await alterations.get_alterations(azure.service, azure.alice, "vm-1")).kept


@given(
    st.sets(st.sampled_from(["22", "20-30", "3389", "0-65535", "*", "80-443"]), min_size=1),
    st.sets(st.sampled_from([0, 20, 21, 22, 30, 80, 3389, 65535])),
)
def test_just_the_ports_that_are_taken_out_are_gone(ports: set[str], holes: set[int]) -> None:
    left = without(ports, holes)
    for port in [*range(100), 442, 443, 444, 3388, 3389, 3390, 65534, 65535]:
        assert covers_port(left, port) == (covers_port(ports, port) and port not in holes)
