"""Policies: every text as it was written, found by key and by machine."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.store.rows import GROUP, SUBSCRIPTION

from jitgate.clock import ManualClock
from jitgate.core import duration
from jitgate.core.desired import Protocol
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import ANYWHERE, Prefix, parse_all
from jitgate.core.resource_id import PolicyId, group_scope, machine_id, parse_machine_id
from jitgate.store import policies
from jitgate.store.database import Store, Tx
from jitgate.store.policies import Stored

SSH = PortRule(22, Protocol.TCP, ANYWHERE, "*", duration.parse("PT3H", "d"))
RDP = PortRule(
    3389,
    Protocol.ANY,
    (Prefix("10.0.0.0/24"), Prefix("2001:db8::/32")),
    ("10.0.0.7/24", "2001:DB8::/32"),
    duration.parse("P1D", "d"),
)


def part(name: str, *ports: PortRule, public: str | None = None) -> MachinePolicy:
    return MachinePolicy(parse_machine_id(machine_id(SUBSCRIPTION, GROUP, name), "id"), ports or (SSH,), public)


def make_policy(name: str, *parts: MachinePolicy, **where: str) -> Policy:
    place = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "location": "westeurope"} | where
    return Policy(PolicyId(name=name, **place), parts or (part("web1"),))


def put(store: Store, uid: str, policy: Policy, *forced: str) -> str:
    return store.write_now(lambda tx: policies.put(tx, uid, policy, forced))


def get(store: Store, policy: Policy) -> Stored | None:
    return store.read_now(lambda tx: policies.get(tx, policy.id.key))


def test_a_policy_reads_as_it_was_put(store: Store, clock: ManualClock) -> None:
    policy = make_policy("Default", part("Web1", SSH, RDP, public="192.0.2.1"), part("db"))
    assert put(store, "1", policy, part("db").id.key) == "1"
    assert get(store, policy) == Stored("1", policy, frozenset({part("db").id.key}), clock.wall(), clock.wall())


def test_a_put_replaces_all_but_the_uid_and_the_time_of_creation(store: Store, clock: ManualClock) -> None:
    put(store, "1", make_policy("default", part("web1"), part("web2")), part("web1").id.key)
    created = clock.wall()
    clock.advance(timedelta(hours=1))
    policy = make_policy("DEFAULT", part("web3", RDP))
    assert put(store, "2", policy) == "1"
    assert get(store, policy) == Stored("1", policy, frozenset(), created, clock.wall())
    assert covered(store, "web1") == []


def test_a_policy_made_again_after_it_was_deleted_has_another_uid(store: Store) -> None:
    policy = make_policy("default")
    put(store, "1", policy)
    assert store.write_now(lambda tx: policies.remove(tx, policy.id.key))
    assert not store.write_now(lambda tx: policies.remove(tx, policy.id.key))
    assert get(store, policy) is None
    assert covered(store, "web1") == []
    assert put(store, "2", policy) == "2"


def test_lists_are_by_subscription_group_and_location(store: Store) -> None:
    other = "99999999-2222-3333-4444-555555555555"
    made = {
        "one": make_policy("one"),
        "group": make_policy("group", resource_group="Other"),
        "place": make_policy("place", location="eastus"),
        "far": make_policy("far", subscription=other),
    }
    for uid, policy in made.items():
        put(store, uid, policy)
    assert listed(store) == {"one", "group", "place", "far"}
    assert listed(store, subscription=SUBSCRIPTION.upper()) == {"one", "group", "place"}
    assert listed(store, group=group_scope(SUBSCRIPTION, "OTHER")) == {"group"}
    assert listed(store, subscription=SUBSCRIPTION, location="eastus") == {"place"}


def test_a_list_continues_where_the_last_page_ended(store: Store) -> None:
    for number in range(7):
        put(store, str(number), make_policy(f"p{number}", part(f"web{number}"), part("db", RDP)))
    found, after = [], ""
    while page := store.read_now(partial(policies.list_page, after=after, most=3)):
        found += page
        after = page[-1].policy.id.key
    assert [stored.uid for stored in found] == [str(number) for number in range(7)]
    assert found[4].policy.machines == (part("web4"), part("db", RDP))


def test_what_covers_a_machine_is_found_without_the_rest_of_the_policy(store: Store) -> None:
    put(store, "1", make_policy("one", part("web1"), part("web2"), part("db", RDP)), part("db").id.key)
    put(store, "2", make_policy("two", part("DB", SSH)))
    assert covered(store, "db") == [("1", (part("db", RDP),)), ("2", (part("DB", SSH),))]
    assert covered(store, "web1", "db") == [("1", (part("web1"), part("db", RDP))), ("2", (part("DB"),))]
    assert covered(store, "unknown") == covered(store) == []
    by_machine = store.read_now(lambda tx: policies.machine_policies(tx, [part("db").id.key, part("web2").id.key]))
    assert by_machine == {
        part("db").id.key: [(part("db", RDP), True), (part("DB"), False)],
        part("web2").id.key: [(part("web2"), False)],
    }


def test_the_parts_of_one_policy_for_some_machines(store: Store) -> None:
    policy = make_policy("one", part("web1"), part("web2"))
    put(store, "1", policy)

    def parts(tx: Tx) -> tuple[str, Policy] | None:
        return policies.for_machines(tx, policy.id.key, [part("web2").id.key, part("web3").id.key])

    assert store.read_now(parts) == ("1", make_policy("one", part("web2")))
    store.write_now(lambda tx: policies.remove(tx, policy.id.key))
    assert store.read_now(parts) is None


PREFIXES = st.one_of(
    st.just("*"),
    st.ip_addresses().map(str),
    st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds("{}/{}".format, st.ip_addresses(v=6), st.integers(0, 128)),
)


def rule(number: int, protocol: Protocol, texts: list[str], length: Mapping[str, int], single: bool) -> PortRule:
    written: str | tuple[str, ...] = texts[0] if single else tuple(texts)
    sources = parse_all(texts[:1] if single else texts, "sources")
    return PortRule(number, protocol, sources, written, duration.parse(duration.iso(timedelta(**length)), "d"))


RULES = st.builds(
    rule,
    st.integers(1, 65535),
    st.sampled_from(Protocol),
    st.lists(PREFIXES, min_size=1, max_size=4),
    st.fixed_dictionaries({"minutes": st.integers(5, 1440)}),
    st.booleans(),
)


@given(st.lists(RULES, max_size=4).map(tuple))
def test_ports_come_out_of_json_as_they_went_in(ports: tuple[PortRule, ...]) -> None:
    assert policies.decode_ports(policies.encode_ports(ports)) == ports


def listed(store: Store, **where: Any) -> set[str]:
    return {stored.uid for stored in store.read_now(lambda tx: policies.list_page(tx, **where))}


def covered(store: Store, *names: str) -> list[tuple[str, tuple[MachinePolicy, ...]]]:
    keys = [part(name).id.key for name in names]
    return [(uid, policy.machines) for uid, policy in store.read_now(lambda tx: policies.covering(tx, keys))]
