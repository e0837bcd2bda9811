"""The catalogue looks at no more machines than it shows, however many there are."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from tests.store.plans import plan_of
from tests.store.rows import SUBSCRIPTION, make_machine

from jitgate.core.catalogue import Order, Sought, Standing
from jitgate.core.resource_id import machine_id
from jitgate.store import catalogue, machines
from jitgate.store.database import Store, Tx

FLEET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
FEW = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/few"


@pytest.fixture
def kind() -> str:
    """SQLite, which tells how it would look things up. What pages hold is tried on both kinds in tests/service."""
    return "sqlite"


@pytest.fixture
def many(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A hundred machines in one group, three in another; more than ten are many."""
    monkeypatch.setattr(catalogue, "FEW", 10)
    some = [make_machine(f"m{number:03}") for number in range(100)]
    some += [replace(make_machine(f"f{one}"), id=machine_id(SUBSCRIPTION, "few", f"f{one}")) for one in range(3)]
    store.write_now(lambda tx: machines.put(tx, some))
    return store


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("place", ["/", FLEET])
def test_a_tab_is_a_walk_along_its_orders_index(
    many: Store, url: str, statements: list[tuple[str, object]], order: Order, place: str
) -> None:
    sought = Sought(Standing.NOT_CONFIGURED)
    first = many.read_now(lambda tx: catalogue.page(tx, sought, [place], order, None, 5))
    statements.clear()
    many.read_now(lambda tx: catalogue.page(tx, sought, [place], order, first[-1].mark, 5))
    plan = plan_of(url, *statements[-1])
    assert "SCAN machine" not in plan
    assert "TEMP B-TREE" not in plan, plan


@pytest.mark.parametrize("order", list(Order))
def test_who_sees_few_machines_has_those_taken_out_by_their_ids(
    many: Store, url: str, statements: list[tuple[str, object]], order: Order
) -> None:
    found = many.read_now(lambda tx: catalogue.page(tx, Sought(Standing.NOT_CONFIGURED), [FEW], order, None, 5))
    assert [one.machine.name for one in found] == (["f2", "f1", "f0"] if order is Order.ACCESS else ["f0", "f1", "f2"])
    plan = plan_of(url, *statements[-1])
    assert "SCAN machine" not in plan
    assert "uq_machine_id_key_present" in plan
    assert "ix_machine_by" not in plan, plan


@pytest.mark.parametrize("place", ["/", FLEET])
def test_what_can_be_asked_for_is_a_walk_along_the_names(
    many: Store, url: str, statements: list[tuple[str, object]], place: str
) -> None:
    many.read_now(lambda tx: catalogue.askable(tx, "", [place], [["/"]], 5))
    plan = plan_of(url, *statements[-1])
    assert "USING INDEX ix_machine_by_name" in plan
    assert "TEMP B-TREE FOR" not in plan, plan


def test_a_machine_is_found_by_any_of_its_names_without_a_look_at_the_others(
    many: Store, url: str, statements: list[tuple[str, object]]
) -> None:
    wanted = many.read_now(lambda tx: machines.find(tx, "M007"))[0]
    for text in (wanted.uuid, wanted.id.upper()):
        assert many.read_now(partial(machines.find, text=text)) == [wanted]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        names = "SELECT 1 FROM machine WHERE name_key = 'm007' AND removed_at IS NULL"
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {names}").fetchall()
    assert "SEARCH machine USING INDEX ix_machine_name" in plan[3]


def test_counting_ends_at_a_bound(many: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MOST_COUNTED", 20)

    def counted(tx: Tx) -> tuple[int, int]:
        return catalogue.count(tx, Sought(), ["/"]), catalogue.count(tx, Sought(), [FEW])

    assert many.read_now(counted) == (21, 3)


def test_connectors_are_found_by_leaps(many: Store) -> None:
    other = make_machine("other", connector="aws")
    many.write_now(lambda tx: machines.put(tx, [other]))
    assert many.read_now(lambda tx: catalogue.connectors(tx)) == ["aws", "hosts"]
