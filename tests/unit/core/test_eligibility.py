"""Whether who has asked could still ask."""

from typing import Any

import pytest
from tests.unit.core.examples import GROUP, make_grant, make_machine, make_policy, make_principal, make_rule

from jitgate.core import eligibility
from jitgate.core.machine import Machine
from jitgate.core.roles import AZURE_READS, INITIATE, READ_INTERFACE, READ_MACHINE, Principal, Role

HERE = make_machine()
NOBODY = Principal("alice", "Alice")


def why_not(principal: Principal | None = None, machine: Machine | None = HERE, **other: Any) -> str:
    policies = other.get("policies", [make_policy()])
    return eligibility.why_not(make_grant(), principal or make_principal(), machine, policies)


def test_who_could_ask_again_keeps_what_they_have() -> None:
    assert why_not() == ""


def test_whatever_is_gone_is_named() -> None:
    assert eligibility.why_not(make_grant(), None, HERE, [make_policy()]) == "who asked for it is disabled or gone"
    assert why_not(machine=None) == "the machine is gone"
    assert why_not(policies=[make_policy(make_rule(3389))]) == "no policy has this port any more"
    assert why_not(NOBODY).startswith(f"Alice lacks the right {INITIATE} at {GROUP}")


def test_one_policy_under_which_they_may_ask_is_enough() -> None:
    policies = [make_policy(name="other"), make_policy()]
    asks_under_one = make_principal(Role("asks", (INITIATE,)), make_policy().id.text)
    assert why_not(asks_under_one, policies=policies) == ""


def test_the_right_to_ask_counts_at_the_machine_too() -> None:
    assert why_not(make_principal(Role("asks", (INITIATE,)), HERE.id)) == ""
    assert why_not(make_principal(Role("asks", (INITIATE,)), HERE.id + "0"))


@pytest.mark.parametrize("gone", [READ_MACHINE, READ_INTERFACE])
def test_in_azure_a_lost_read_counts_as_well(gone: str) -> None:
    azure = make_machine(provider="azure")
    rest = tuple(action for action in (INITIATE, *AZURE_READS) if action != gone)
    assert gone in why_not(make_principal(Role("short", rest)), azure)
    assert why_not(make_principal(Role("short", rest))) == ""
