"""Machines as their connectors told them, incarnation by incarnation."""

from dataclasses import replace
from functools import partial

from tests.store.rows import add_grant, add_request, make_machine

from jitgate.clock import ManualClock
from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.core.machine import OperatingSystem
from jitgate.core.resource_id import key
from jitgate.store import machines
from jitgate.store.database import Store, Tx
from jitgate.store.machines import Change

WEB = make_machine(
    "Web1",
    location="westeurope",
    addresses=("192.0.2.1", "2001:db8::1"),
    tags={"Env": "prod"},
    unsupported="no firewall in front",
    facts={"kernel": "6.18", "cores": 2},
    exposure=(
        Exposure(22, Protocol.TCP, Reach.SPECIFIC, ("203.0.113.0/24", "Sql"), ("nsg/allow-office",), note="why"),
    ),
)


def test_a_machine_reads_as_it_was_told(store: Store) -> None:
    assert store.write_now(lambda tx: machines.put(tx, [WEB])) == Change((WEB.uuid,), ())
    assert store.read_now(lambda tx: machines.get_many(tx, [WEB.uuid, "other"])) == {WEB.uuid: WEB}
    assert store.read_now(lambda tx: machines.ids(tx, [WEB.uuid])) == {WEB.uuid: WEB.id}
    assert store.read_now(lambda tx: machines.in_scope(tx, WEB.scope)) == [WEB]


def test_machines_are_listed_by_their_ids_byte_by_byte_whatever_the_language_of_the_database(store: Store) -> None:
    names = ["web-1", "web_1", "web1", "web.1", "über", "zoo", "web-10", "we"]
    store.write_now(lambda tx: machines.put(tx, [make_machine(name) for name in names]))
    expected = sorted(make_machine(name).key for name in names)
    found: list[str] = []

    def next_page(tx: Tx) -> list[str]:
        return [machine.key for machine in machines.list_present(tx, after=found[-1] if found else "", most=3)]

    while page := store.read_now(next_page):
        found += page
    assert found == expected


def test_a_machine_that_is_told_again_is_the_same_with_its_news(store: Store) -> None:
    store.write_now(lambda tx: machines.put(tx, [WEB]))
    changed = replace(WEB, os=OperatingSystem.WINDOWS, addresses=("192.0.2.2",), unsupported="")
    assert store.write_now(lambda tx: machines.put(tx, [changed])) == Change((), ())
    assert store.read_now(lambda tx: machines.list_present(tx)) == [changed]


def test_a_machine_made_again_under_its_id_is_another_one(store: Store) -> None:
    again = replace(WEB, uuid="again", id=WEB.id.upper())
    store.write_now(lambda tx: machines.put(tx, [WEB]))
    assert store.write_now(lambda tx: machines.put(tx, [again])) == Change(("again",), (WEB.uuid,))
    assert store.read_now(lambda tx: machines.by_keys(tx, [WEB.key])) == {WEB.key: again}
    assert store.read_now(lambda tx: machines.get_many(tx, [WEB.uuid])) == {WEB.uuid: WEB}


def test_a_machine_may_be_renamed_and_two_may_swap_their_ids(store: Store) -> None:
    one, two = make_machine("one"), make_machine("two")
    store.write_now(lambda tx: machines.put(tx, [one, two]))
    swapped = [replace(one, id=two.id, name="two"), replace(two, id=one.id, name="one")]
    assert store.write_now(lambda tx: machines.put(tx, swapped)) == Change((), ())
    assert store.read_now(lambda tx: machines.by_keys(tx, [one.key, two.key])) == {
        one.key: swapped[1],
        two.key: swapped[0],
    }


def test_what_a_connector_tells_no_more_is_removed_and_nothing_of_others(store: Store) -> None:
    one, two, other = make_machine("one"), make_machine("two"), make_machine("other", connector="azure")
    store.write_now(lambda tx: machines.put(tx, [one, two, other]))
    assert store.write_now(lambda tx: machines.remove_missing(tx, "hosts", {one.uuid})) == [two.uuid]
    assert store.write_now(lambda tx: machines.remove_missing(tx, "hosts", {one.uuid})) == []
    assert store.read_now(lambda tx: machines.list_present(tx)) == [one, other]


def test_a_machine_that_comes_back_is_the_one_it_was(store: Store) -> None:
    store.write_now(lambda tx: machines.put(tx, [WEB]))
    store.write_now(lambda tx: machines.remove(tx, [WEB.uuid]))
    assert store.read_now(lambda tx: machines.find(tx, WEB.name)) == []
    assert store.write_now(lambda tx: machines.put(tx, [WEB])) == Change((), ())
    assert store.read_now(lambda tx: machines.find(tx, WEB.name)) == [WEB]


def test_people_find_a_machine_by_id_uuid_or_name_in_any_case(store: Store) -> None:
    """Case UI9."""
    store.write_now(lambda tx: machines.put(tx, [WEB, make_machine("db")]))
    for text in (WEB.id, WEB.id.upper(), WEB.uuid, "web1", "WEB1"):
        assert store.read_now(partial(machines.find, text=text)) == [WEB]
    assert store.read_now(lambda tx: machines.find(tx, "web")) == []


def test_a_name_that_several_machines_share_finds_all_of_them(store: Store) -> None:
    other = replace(WEB, uuid="other", id=WEB.id.replace("/rg/", "/rg2/"))
    store.write_now(lambda tx: machines.put(tx, [WEB, other]))
    assert store.read_now(lambda tx: machines.find(tx, "web1")) == [WEB, other]


def test_a_list_continues_where_the_last_page_ended(store: Store) -> None:
    made = [make_machine(f"m{n:02}", connector="azure" if n % 2 else "hosts") for n in range(10)]
    store.write_now(lambda tx: machines.put(tx, made))
    pages, after = [], ""
    while page := store.read_now(partial(machines.list_present, after=after, most=3)):
        pages += page
        after = page[-1].key
    assert pages == made
    assert store.read_now(lambda tx: machines.list_present(tx, connector="azure")) == made[1::2]
    assert key(made[0].id) == made[0].key


def test_open_grants_are_counted_for_each_machine(store: Store, clock: ManualClock) -> None:
    store.write_now(add_request)
    store.write_now(lambda tx: add_grant(tx, "opening"))
    assert store.read_now(lambda tx: machines.open_grants(tx, ["uuid-web1"])) == {}
    for uid in ("one", "two"):
        store.write_now(partial(add_grant, uid=uid, previous="opening", state="open"))
    assert store.read_now(lambda tx: machines.open_grants(tx, ["uuid-web1", "other"])) == {"uuid-web1": 2}
    assert store.read_now(lambda tx: machines.open_grants(tx, [])) == {}
