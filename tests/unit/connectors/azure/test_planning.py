"""Where rules go in a group, and in which order they are written."""

from dataclasses import replace

import pytest

from jitgate.connectors.azure.names import describe
from jitgate.connectors.azure.planning import Delete, Put, plan
from jitgate.connectors.azure.rules import Nsg, Rule, Wanted

ADDRESS = "10.0.0.4"


def rule(name: str, priority: int, access: str = "allow", ports: str = "22", to: str = "*", source: str = "*") -> Rule:
    shown = frozenset({ports})
    return Rule(f"id/{name}", name, priority, "inbound", access, "tcp", frozenset({source}), frozenset({to}), shown)


def deny(ports: str = "22") -> Wanted:
    return wanted("jitgate-deny-0123456789ab-tcp-v4", "deny", ports, "*")


def allow(source: str = "203.0.113.7", port: str = "22") -> Wanted:
    return wanted(f"jitgate-allow-0123456789ab-{port}-tcp-v4", "allow", port, source)


def wanted(name: str, access: str, port: str, source: str) -> Wanted:
    return Wanted(name, access, "tcp", frozenset({source}), frozenset({ADDRESS}), frozenset({port}), "")


def nsg(*rules: Rule) -> Nsg:
    return Nsg("/id", "web", {each.name.lower(): each for each in rules})


def priorities(*rules: Rule, want: tuple[Wanted, ...] = (deny(), allow())) -> list[int]:
    return [write.priority for write in plan(nsg(*rules), want, (), {}).writes if isinstance(write, Put)]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), [1000, 100]),
        ((rule("ssh", 300),), [299, 100]),
        ((rule("ssh", 1000),), [999, 100]),
        ((rule("ssh", 2000),), [1000, 100]),
        ((rule("web", 300, ports="443"),), [1000, 100]),
        ((rule("other", 300, to="10.0.0.5"),), [1000, 100]),
        ((rule("tag", 300, to="VirtualNetwork"),), [299, 100]),
        ((rule("shut", 100, access="deny"),), [1000, 101]),
        ((rule("ssh", 300), rule("at", 299, ports="443")), [298, 100]),
    ],
)
def test_a_deny_goes_in_front_of_what_others_let_through_and_what_opens_before_it(
    others: tuple[Rule, ...], expected: list[int]
) -> None:
    assert priorities(*others) == expected


def test_a_deny_that_finds_no_number_in_front_says_what_outranks_it() -> None:
    ssh = rule("ssh", 105)
    found = plan(nsg(ssh), [deny()], (), {})
    assert found.outranked == {deny().name: [ssh]}
    assert [write.priority for write in found.writes if isinstance(write, Put)] == [1000]


@pytest.mark.parametrize("name", ["jitgate-server-in", "jitgate-allow-ssh", allow().name])
def test_a_rule_that_only_has_a_name_like_ours_counts_as_anybodys(name: str) -> None:
    assert priorities(rule(name, 200), want=(deny(),)) == [199]
    first = rule(name, 105)
    assert plan(nsg(first), [deny()], (), {}).outranked == {deny().name: [first]}


def test_a_rule_of_ours_is_in_nobodys_way() -> None:
    ours = replace(rule(allow().name, 105), description=describe("Opens 22 of vm-1.", "scope"))
    assert not plan(nsg(ours), [deny()], (), {}).outranked
    spoiled = rule(allow().name, 105)
    assert not plan(nsg(spoiled), [deny()], [spoiled.name], {}).outranked, "it goes"
    assert not plan(nsg(spoiled), [deny(), allow()], (), {}).outranked, "it is written anew"


def test_a_number_once_given_stays() -> None:
    held = Rule("", deny().name, 777, "inbound", "deny", "tcp", *((deny().sources, deny().destinations, deny().ports)))
    assert plan(nsg(held), [deny()], (), {}).writes == ()
    assert priorities(held, rule("ssh", 300), want=(deny(),)) == [299]


def test_what_shuts_is_written_before_what_opens() -> None:
    stands = rule("jitgate-allow-aaaaaaaaaaaa-22-tcp-v4", 101, to=ADDRESS)
    found = plan(nsg(stands), [deny(), allow()], [stands.name], {})
    assert [type(write) for write in found.writes] == [Delete, Put, Put]
    assert found.writes[-1].name == allow().name


def test_what_a_rule_hands_over_to_another_is_never_shut_in_between() -> None:
    stands = rule("jitgate-allow-0123456789ab-22-any-v4", 101, to=ADDRESS)
    found = plan(nsg(stands), [allow()], [stands.name], {})
    assert [write.name for write in found.writes] == [allow().name, stands.name]


def test_a_full_group_refuses_to_open_and_still_shuts() -> None:
    full = [rule(f"r{number}", 1000 + number, ports="443") for number in range(999)]
    stands = rule("jitgate-allow-aaaaaaaaaaaa-22-tcp-v4", 101, to=ADDRESS)
    found = plan(nsg(*full, stands), [allow()], (), {})
    assert "as many as Azure allows" in found.refused[allow().name]
    assert [write.name for write in plan(nsg(*full, stands), [], [stands.name], {}).writes] == [stands.name]


def test_too_many_addresses_are_refused_with_the_limit() -> None:
    full = Wanted("x", "allow", "tcp", frozenset(map(str, range(4000))), frozenset({ADDRESS}), frozenset({"22"}), "")
    held = Rule("", "x", 200, "inbound", "allow", "tcp", full.sources, full.destinations, full.ports)
    assert "4000" in plan(nsg(held), [allow()], (), {}).refused[allow().name]


@pytest.mark.parametrize("state", ["failed", "canceled"])
@pytest.mark.parametrize("want", [deny(), allow()])
def test_a_rule_that_is_told_as_it_must_be_is_written_again_where_its_last_change_ended_badly(
    want: Wanted, state: str
) -> None:
    stands = replace(standing(want), state=state)
    [write] = plan(nsg(stands), [want], (), {}).writes
    assert write.name == want.name
    assert write.shuts, "nobody knows what it lets through"


def test_a_deny_that_a_lock_keeps_is_written_again_where_its_last_change_ended_badly() -> None:
    stands = replace(standing(deny()), name=allow().name, state="failed")
    assert len(plan(nsg(stands), (), [stands.name], {}, locked=True).writes) == 1
    assert not plan(nsg(replace(stands, state="succeeded")), (), [stands.name], {}, locked=True).writes


def test_a_rule_that_is_told_as_it_must_be_while_it_changes_is_waited_for_and_not_written() -> None:
    stands = replace(standing(allow()), state="updating")
    found = plan(nsg(stands), [allow()], (), {})
    assert not found.writes
    assert found.awaited == {allow().name}


def standing(want: Wanted) -> Rule:
    """A rule that stands just as it is wanted."""
    priority = 1000 if want.access == "deny" else 100
    told = replace(rule(want.name, priority, want.access), sources=want.sources, destinations=want.destinations)
    return replace(told, ports=want.ports, description=want.description)
