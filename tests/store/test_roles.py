"""Groups, roles of an installation's own, and who holds which role."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError
from tests.store.rows import GROUP, SUBSCRIPTION, make_machine

from jitgate.core.roles import OWNER, READER, Assignment, Kind, Role
from jitgate.store import groups, principals, roles
from jitgate.store.database import Store, Tx

SUB = f"/subscriptions/{SUBSCRIPTION}"
RG = f"{SUB}/resourceGroups/{GROUP}"
ISSUER = "https://people.example"
MINE = Role("Mine", ("*/read",), ("a/*",), "What for", "0a", ("/",), is_custom=True)


def begin(tx: Tx) -> None:
    for uid in ("ann", "bob"):
        principals.add(tx, uid, uid.title())
    principals.add(tx, "g", "Admins", Kind.GROUP)
    principals.add(tx, "c", "Claimed", Kind.CLAIMED_GROUP, ISSUER)


def test_a_member_holds_what_the_group_was_given_for_as_long_as_it_is_one(store: Store) -> None:
    store.write_now(begin)
    store.write_now(lambda tx: principals.assign(tx, "1", "g", "Owner", "/"))
    store.write_now(lambda tx: principals.assign(tx, "2", "ann", "Reader", SUB))
    assert store.write_now(lambda tx: groups.join(tx, "g", "ann"))
    assert not store.write_now(lambda tx: groups.join(tx, "g", "ann"))
    ann = store.read_now(lambda tx: principals.load(tx, "ann"))
    assert ann is not None
    assert set(ann.assignments) == {Assignment(OWNER, "/", "Admins"), Assignment(READER, SUB)}
    assert ann.groups == {"admins"}
    assert store.write_now(lambda tx: groups.leave(tx, "g", "ann"))
    assert not store.write_now(lambda tx: groups.leave(tx, "g", "ann"))
    left = store.read_now(lambda tx: principals.load(tx, "ann"))
    assert left is not None
    assert (left.assignments, left.groups) == ((Assignment(READER, SUB),), frozenset())


def test_a_group_asks_for_nothing_itself(store: Store) -> None:
    store.write_now(begin)
    assert store.read_now(lambda tx: principals.load(tx, "g")) is None
    assert store.read_now(lambda tx: principals.find(tx, "Admins")) is None
    assert not store.write_now(lambda tx: principals.disable(tx, "g"))
    assert [account.uid for account in store.read_now(principals.list_all)] == ["ann", "bob"]
    assert [one.uid for one in store.read_now(lambda tx: principals.list_page(tx, groups=True))] == ["g", "c"]


def test_members_are_listed_page_by_page(store: Store) -> None:
    store.write_now(begin)
    for uid in ("ann", "bob"):
        store.write_now(lambda tx, uid=uid: groups.join(tx, "g", uid))  # type: ignore[misc]
    assert [one.uid for one in store.read_now(lambda tx: groups.members(tx, "g", most=1))] == ["ann"]
    assert [one.uid for one in store.read_now(lambda tx: groups.members(tx, "g", after="ann"))] == ["bob"]


def test_a_claim_decides_over_claimed_groups_and_no_others(store: Store) -> None:
    store.write_now(begin)
    said = ["CLAIMED", "claimed", "Admins", "Ann", "nobody's"]
    assert store.write_now(lambda tx: groups.follow_claim(tx, "ann", ISSUER, said)) == (["c"], [])
    store.write_now(lambda tx: groups.join(tx, "g", "ann"))
    assert store.write_now(lambda tx: groups.follow_claim(tx, "ann", ISSUER, [])) == ([], ["c"])
    assert [group.uid for group in store.read_now(lambda tx: groups.of(tx, "ann"))] == ["g"]


def test_a_group_goes_with_all_that_was_given_to_it(store: Store) -> None:
    store.write_now(begin)
    store.write_now(lambda tx: principals.assign(tx, "1", "g", "Owner", "/"))
    store.write_now(lambda tx: groups.join(tx, "g", "ann"))
    store.write_now(lambda tx: groups.remove(tx, "g"))
    assert store.read_now(lambda tx: principals.find_any(tx, "Admins")) is None
    assert store.read_now(principals.list_assignments) == []


def test_a_custom_role_is_kept_and_held_as_it_was_written(store: Store) -> None:
    store.write_now(begin)
    store.write_now(lambda tx: roles.put(tx, MINE))
    store.write_now(lambda tx: principals.assign(tx, "1", "ann", MINE.id, RG))
    ann = store.read_now(lambda tx: principals.load(tx, "ann"))
    assert ann is not None
    assert ann.assignments == (Assignment(MINE, RG),)
    changed = replace(MINE, name="MINE", actions=("b",))
    store.write_now(lambda tx: roles.put(tx, changed))
    assert store.read_now(lambda tx: roles.find(tx, "mine")) == changed
    assert store.read_now(roles.list_custom) == [changed]
    store.write_now(lambda tx: roles.remove(tx, MINE.id))
    assert store.read_now(lambda tx: roles.get(tx, MINE.id)) is None


def test_built_in_roles_are_found_by_name_and_by_id(store: Store) -> None:
    for text in ("owner", OWNER.id, OWNER.id.upper()):
        assert store.read_now(lambda tx, text=text: roles.find(tx, text)) == OWNER  # type: ignore[misc]
    assert store.read_now(lambda tx: roles.get(tx, OWNER.id)) == OWNER


def test_one_role_is_given_to_one_at_one_place_once_in_any_case(store: Store) -> None:
    store.write_now(begin)
    store.write_now(lambda tx: principals.assign(tx, "1", "ann", "Owner", RG))
    with pytest.raises(IntegrityError):
        store.write_now(lambda tx: principals.assign(tx, "2", "ann", "Owner", RG.upper()))
    same = store.read_now(lambda tx: roles.same_assignment(tx, "ann", OWNER.id, RG.upper()))
    assert same is not None
    assert same.uid == "1"


def test_assignments_are_listed_at_above_and_below_a_place(store: Store) -> None:
    store.write_now(begin)
    places = ["/", SUB, RG, make_machine().id, RG + "0", SUB[:-1] + "6"]
    for at, place in enumerate(places):
        store.write_now(lambda tx, at=at, place=place: principals.assign(tx, str(at), "ann", "Owner", place))  # type: ignore[misc]

    def listed(scope: str, *, below: bool = True) -> str:
        return "".join(
            one.uid for one in store.read_now(lambda tx: roles.list_assignments(tx, scope=scope, below=below))
        )

    assert listed("/") == "012345"
    assert listed("/", below=False) == "0"
    assert listed(SUB.upper()) == "01234"
    assert listed(RG) == "0123"
    assert listed(RG, below=False) == "012"
    assert listed(make_machine().id) == "0123"
    only = store.read_now(lambda tx: roles.list_assignments(tx, scope="/", holders=["bob"]))
    assert only == []
    page = store.read_now(lambda tx: roles.list_assignments(tx, scope="/", after="1", most=2))
    assert [one.uid for one in page] == ["2", "3"]


def test_another_issuer_that_claims_the_same_name_gives_nothing(store: Store) -> None:
    store.write_now(begin)
    store.write_now(lambda tx: principals.add(tx, "old", "Of nobody", Kind.CLAIMED_GROUP))
    said = ["Claimed", "Of nobody"]
    for issuer in ("https://other.example", ISSUER + "/", ""):
        follow = partial(groups.follow_claim, member="ann", issuer=issuer, names=said)
        assert store.write_now(follow) == ([], [])
    assert store.write_now(lambda tx: groups.follow_claim(tx, "bob", ISSUER, said)) == (["c"], [])


def test_somebody_can_give_roles_while_an_enabled_principal_holds_the_right_everywhere(store: Store) -> None:
    def somebody() -> bool:
        return store.read_now(roles.somebody_can_assign)

    store.write_now(begin)
    store.write_now(lambda tx: principals.assign(tx, "0", "bob", "Owner", SUB))
    store.write_now(lambda tx: principals.assign(tx, "1", "bob", "Contributor", "/"))
    assert not somebody()
    store.write_now(lambda tx: principals.assign(tx, "2", "c", "Owner", "/"))
    store.write_now(lambda tx: groups.follow_claim(tx, "ann", ISSUER, ["claimed"]))
    assert not somebody(), "an identity provider may say something else tomorrow"
    store.write_now(lambda tx: principals.assign(tx, "3", "g", "Owner", "/"))
    assert not somebody(), "nobody is in the group"
    store.write_now(lambda tx: groups.join(tx, "g", "ann"))
    assert somebody()
    store.write_now(lambda tx: principals.disable(tx, "ann"))
    assert not somebody()
    store.write_now(lambda tx: principals.enable(tx, "ann"))
    assert somebody()
