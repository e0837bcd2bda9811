"""Nobody gives what they do not hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.examples import GROUP, SUBSCRIPTION

from jitgate.core.delegation import first_beyond
from jitgate.core.roles import (
    AUDITOR,
    BUILT_IN,
    CONTRIBUTOR,
    INITIATE,
    JIT_APPROVER,
    JIT_REQUESTER,
    OWNER,
    READ_MACHINE,
    READER,
    WRITE_GUARDRAIL,
    Assignment,
    Limit,
    Principal,
    Role,
)

SUB = f"/subscriptions/{SUBSCRIPTION}"


def giver(*roles: Role, scope: str = "/", limit: Limit | None = None) -> Principal:
    return Principal("ann", "Ann", tuple(Assignment(role, scope) for role in roles), limit)


@pytest.mark.parametrize("role", BUILT_IN.values(), ids=lambda role: role.name)
def test_an_owner_gives_every_role_and_everybody_gives_their_own(role: Role) -> None:
    assert not first_beyond(giver(OWNER), role, SUB)
    assert not first_beyond(giver(role), role, SUB)


@pytest.mark.parametrize(
    ("held", "given", "beyond"),
    [
        (READER, JIT_REQUESTER, INITIATE),
        (READER, OWNER, "*"),
        (CONTRIBUTOR, OWNER, "*"),
        (CONTRIBUTOR, JIT_APPROVER, "Jitgate.Access/requests/approve/action"),
        (CONTRIBUTOR, AUDITOR, "Microsoft.Authorization/*/read"),
        (CONTRIBUTOR, JIT_REQUESTER, ""),
        (READER, AUDITOR, "Jitgate.Access/activity/export/action"),
    ],
)
def test_the_first_right_that_the_giver_lacks_is_named(held: Role, given: Role, beyond: str) -> None:
    found = first_beyond(giver(held), given, SUB)
    assert found == beyond or (beyond == "Microsoft.Authorization/*/read" and found)


def test_rights_below_or_beside_are_not_rights_here() -> None:
    assert first_beyond(giver(OWNER, scope=GROUP), READER, SUB)
    assert first_beyond(giver(OWNER, scope=GROUP + "0"), READER, GROUP)
    assert not first_beyond(giver(OWNER, scope=SUB), READER, GROUP)


def test_rights_out_of_several_roles_add_up() -> None:
    approver_who_asks = Role("both", (INITIATE, JIT_APPROVER.actions[0]))
    assert first_beyond(giver(JIT_REQUESTER), approver_who_asks, "/")
    assert not first_beyond(giver(JIT_REQUESTER, JIT_APPROVER), approver_who_asks, "/")


def test_what_is_taken_away_from_ones_own_role_does_not_come_back_in_a_pattern() -> None:
    all_but = Role("all but", ("*",), ("Jitgate.Access/*",))
    assert first_beyond(giver(all_but), Role("r", ("Jitgate.*",)), "/") == "Jitgate.*"
    assert not first_beyond(giver(all_but), Role("r", ("*",), ("Jitgate.*",)), "/")
    assert first_beyond(giver(all_but), Role("r", ("*",), ("Jitgate.Access/a",)), "/") == "*"
    # Each action that is known today would be held; one that comes tomorrow would not be.
    assert first_beyond(giver(Role("every action by name", (INITIATE,))), Role("r", (INITIATE + "*",)), "/")


@pytest.mark.parametrize("stars", ["**", "***"])
def test_what_is_taken_away_does_not_come_back_by_a_second_star(stars: str) -> None:
    """`guardrails/*/write` covers guardrails/write too, so whoever lacks that must not find a way to write it."""
    but_guardrails = Role("all but", ("*",), ("Jitgate.Access/guardrails/*/write",))
    assert not but_guardrails.allows(WRITE_GUARDRAIL)
    wider = Role("r", ("*",), (f"Jitgate.Access/guardrails/{stars}/write",))
    assert first_beyond(giver(but_guardrails), wider, "/") or not wider.allows(WRITE_GUARDRAIL)
    narrow = Role("n", (f"Jitgate.Access/guardrails/{stars}/write",))
    given = Role("r", ("Jitgate.Access/guardrails/*/write",))
    assert first_beyond(giver(narrow), given, "/") or narrow.allows(WRITE_GUARDRAIL)


STARRED = st.lists(st.sampled_from(["a", "b", "*", "**", "a*"]), min_size=1, max_size=4).map("/".join)
ACTIONS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4).map("/".join)
ROLES = st.builds(
    Role, st.just("r"), st.lists(STARRED, min_size=1, max_size=2).map(tuple), st.lists(STARRED, max_size=2).map(tuple)
)


@given(st.lists(ROLES, max_size=2), ROLES, ACTIONS)
def test_no_role_that_may_be_given_allows_what_its_giver_may_not_do(held: list[Role], role: Role, action: str) -> None:
    if not first_beyond(giver(*held), role, "/") and role.allows(action):
        assert any(own.allows(action) for own in held)


def test_a_limited_credential_gives_no_more_than_it_is_good_for() -> None:
    for limit in (Limit(("Microsoft.Authorization/*",)), Limit(("*",), GROUP)):
        assert first_beyond(giver(OWNER, limit=limit), READER, SUB) == "*/read"
    assert not first_beyond(giver(OWNER, limit=Limit((READ_MACHINE,), SUB)), Role("r", (READ_MACHINE,)), GROUP)
