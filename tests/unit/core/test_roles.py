"""Roles: who may do what where. The golden tables are the permissions that Microsoft documents, and ours."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.examples import (
    GROUP,
    NOW,
    SUBSCRIPTION,
    make_ask,
    make_machine,
    make_policy,
    make_principal,
    make_rule,
)

from jitgate.core import roles
from jitgate.core.access import Ask
from jitgate.core.decide import Allowed, Denied, decide
from jitgate.core.patterns import matches
from jitgate.core.roles import INITIATE, OWNER, READ_MACHINE, Assignment, Limit, Principal, Role

GOLDEN = Path(__file__).parent / "golden"
JIT = "Microsoft.Security/locations/jitNetworkAccessPolicies"

# The rows of Microsoft's permissions table, and what its script for a least-privileged role grants.
DOCUMENTED = (
    Role("configure (documented)", (f"{JIT}/write", "Microsoft.Compute/virtualMachines/write")),
    Role(
        "request access (documented)",
        (
            f"{JIT}/initiate/action",
            f"{JIT}/*/read",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Network/networkInterfaces/*/read",
            "Microsoft.Network/publicIPAddresses/read",
        ),
    ),
    Role(
        "read policies (documented)",
        (
            f"{JIT}/read",
            f"{JIT}/initiate/action",
            "Microsoft.Security/policies/read",
            "Microsoft.Security/pricings/read",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Network/*/read",
        ),
    ),
    Role(
        "JIT Access Role (script)",
        (
            f"{JIT}/read",
            f"{JIT}/initiate/action",
            "Microsoft.Security/policies/read",
            "Microsoft.Network/publicIPAddresses/read",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Network/*/read",
        ),
    ),
    Role(
        "JIT Access Role (script, -forApiOnly)",
        (
            f"{JIT}/read",
            f"{JIT}/initiate/action",
            "Microsoft.Security/policies/read",
            "Microsoft.Network/publicIPAddresses/read",
        ),
    ),
)
ACTIONS = tuple(roles.ACTIONS)
MACHINE = make_machine(provider="azure")
# What is acted on. In the golden table each is a letter.
RESOURCES = {
    "a": "/",
    "s": f"/subscriptions/{SUBSCRIPTION}",
    "g": GROUP,
    "p": make_policy().id.text,
    "m": MACHINE.id,
    "n": make_policy(group="rg10").id.text,
    "o": make_policy().id.text.replace(SUBSCRIPTION, SUBSCRIPTION[:-1] + "6"),
}
LEGEND = """\
Role × action × scope: what each role may do, by where it is assigned.
a all of jitgate   s subscription   g its group rg1   p policy in rg1   m machine in rg1
n policy in the neighbouring group rg10   o policy in another subscription   - nothing
"""
ASSIGNED = {"all": "/", "subscription": RESOURCES["s"], "group": GROUP, "machine": MACHINE.id}


def reached(role: Role, scope: str, action: str) -> str:
    principal = make_principal(role, scope)
    return "".join(letter for letter, resource in RESOURCES.items() if principal.may(action, resource)) or "-"


def matrix() -> str:
    lines = []
    for role in (*roles.BUILT_IN.values(), *DOCUMENTED):
        lines += ["", f"{role.name:<73}" + "".join(f"{level:<14}" for level in ASSIGNED)]
        for action in ACTIONS:
            cells = "".join(f"{reached(role, scope, action):<14}" for scope in ASSIGNED.values())
            lines.append(f"  {action:<71}{cells}".rstrip())
    return LEGEND + "\n".join(line.rstrip() for line in lines) + "\n"


def test_every_role_may_do_what_the_golden_table_says_and_nothing_else() -> None:
    """Case PV10. A change to the table is a change of who may do what: let somebody else read it."""
    assert matrix() == (GOLDEN / "permissions.txt").read_text(encoding="utf-8")


# --- the documented permissions suffice --------------------------------------------------------------


def ask_for_access(principal: Principal) -> Allowed | Denied:
    ask: Ask = make_ask()
    decision = decide(ask, [make_policy(make_rule())], {MACHINE.key: MACHINE}, [], principal, NOW)
    assert isinstance(decision, Allowed | Denied)
    return decision


REQUEST = DOCUMENTED[1]


@pytest.mark.parametrize("scope", [f"/subscriptions/{SUBSCRIPTION}", GROUP])
@pytest.mark.parametrize("role", [REQUEST, DOCUMENTED[3], roles.JIT_REQUESTER, roles.OWNER], ids=lambda role: role.name)
def test_the_documented_permissions_are_enough_to_ask_in_azure(role: Role, scope: str) -> None:
    assert isinstance(ask_for_access(make_principal(role, scope)), Allowed)


@pytest.mark.parametrize("left_out", [action for action in REQUEST.actions if action != f"{JIT}/*/read"])
def test_each_documented_permission_is_needed_and_the_missing_one_is_named(left_out: str) -> None:
    short = Role("short", tuple(action for action in REQUEST.actions if action != left_out))
    decision = ask_for_access(make_principal(short))
    assert isinstance(decision, Denied)
    [reason] = decision.reasons
    assert reason.code == "AuthorizationFailed"
    assert left_out.replace("/*/", "/") in reason.message


@pytest.mark.parametrize("provider", ["aws", "host", "gateway", "memory"])
def test_outside_azure_the_right_to_initiate_is_enough(provider: str) -> None:
    """Article: for AWS only the Microsoft.Security permissions matter."""
    machine = make_machine(provider=provider)
    principal = make_principal(Role("asks", (roles.INITIATE,)))
    decision = decide(make_ask(), [make_policy()], {machine.key: machine}, [], principal, NOW)
    assert isinstance(decision, Allowed)


def test_rights_from_several_assignments_add_up() -> None:
    here = [Assignment(Role(action, (action,)), GROUP) for action in REQUEST.actions]
    assert isinstance(ask_for_access(Principal("alice", "Alice", tuple(here))), Allowed)


def test_a_right_in_the_neighbouring_group_is_none_here() -> None:
    assert isinstance(ask_for_access(make_principal(roles.OWNER, GROUP + "0")), Denied)
    assert isinstance(ask_for_access(make_principal(roles.OWNER, GROUP[:-1])), Denied)


def test_who_has_no_role_may_do_nothing() -> None:
    nobody = Principal("nobody", "Nobody")
    assert not any(nobody.may(action, resource) for action in ACTIONS for resource in RESOURCES.values())


# --- patterns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "action", "matched"),
    [
        ("*", roles.INITIATE, True),
        (roles.INITIATE, roles.INITIATE.lower(), True),
        (roles.INITIATE.upper(), roles.INITIATE, True),
        # Microsoft documents the first as enough for the second; taken literally it is not.
        (f"{JIT}/*/read", roles.READ_POLICY, True),
        (f"{JIT}/*/read", f"{JIT}/requests/read", True),
        (f"{JIT}/*/read", f"{JIT}/a/b/read", True),
        (f"{JIT}/*/read", roles.WRITE_POLICY, False),
        (f"{JIT}/*/read", f"{JIT}read", False),
        (f"{JIT}/*/read", f"{JIT}/xread", False),
        (f"{JIT}/*/read", f"{JIT}/read/action", False),
        ("*/read", roles.READ_POLICY, True),
        ("*/read", roles.INITIATE, False),
        ("*/read", roles.READ_POLICY + "/action", False),
        ("*/read", roles.READ_POLICY + "write", False),
        ("*/read", "unread", False),
        ("Microsoft.Security/*", roles.INITIATE, True),
        ("Microsoft.Security/*", "Microsoft.SecurityInsights/x/read", False),
        ("Microsoft.Security/*", "MicrosoftxSecurity/x", False),
        ("Microsoft.Network/*/read", roles.READ_PUBLIC_ADDRESS, True),
        ("Jitgate.Access/*/action", roles.APPROVE, True),
        ("", roles.INITIATE, False),
        (roles.READ_POLICY, roles.READ_POLICY + "\n", False),
        # Letters that fold into ASCII only by Unicode's rules.
        (f"{JIT}/read", roles.READ_POLICY.replace("k", "\N{KELVIN SIGN}"), False),
        ("Microsoft.Security/*", roles.READ_POLICY.replace("S", "\N{LATIN SMALL LETTER LONG S}"), False),
    ],
)
def test_a_pattern_matches_whole_actions(pattern: str, action: str, *, matched: bool) -> None:
    assert matches(pattern, action) is matched


@given(st.text(max_size=40))
def test_without_a_star_a_pattern_is_no_more_than_its_text(text: str) -> None:
    literal = text.replace("*", "")
    assert matches(literal, literal)
    assert not matches(literal, literal + "x")


def test_what_is_taken_away_from_a_role_is_given_by_another() -> None:
    """`notActions` are exceptions, no denials; Azure's rule."""
    contributor = Assignment(roles.CONTRIBUTOR, "/")
    approver = Assignment(roles.JIT_APPROVER, "/")
    assert not Principal("p", "P", (contributor,)).may(roles.APPROVE, MACHINE.id)
    assert Principal("p", "P", (contributor, approver)).may(roles.APPROVE, MACHINE.id)


def test_who_may_ask_may_not_agree_and_who_may_agree_may_not_ask() -> None:
    assert not roles.JIT_REQUESTER.allows(roles.APPROVE)
    assert not roles.JIT_APPROVER.allows(roles.INITIATE)


def test_reading_roles_read() -> None:
    readers = (roles.READER, roles.SECURITY_READER, roles.AUDITOR)
    changing = [action for action in ACTIONS if not action.endswith("/read") and action != roles.EXPORT_ACTIVITY]
    assert not [(role.name, action) for role in readers for action in changing if role.allows(action)]


def test_every_action_that_is_named_says_what_it_allows() -> None:
    named = {value for name, value in vars(roles).items() if name.isupper() and isinstance(value, str)}
    assert named == set(roles.ACTIONS)


def test_built_in_roles_are_found_by_their_names() -> None:
    assert all(role.name == name for name, role in roles.BUILT_IN.items())


def limited(*actions: str, scope: str = "/") -> Principal:
    """Everybody's owner, with a credential that is good for less."""
    return Principal("1", "one", (Assignment(OWNER, "/"),), Limit(actions, scope))


def test_a_limit_takes_away_and_never_gives() -> None:
    assert limited("*/read").may(READ_MACHINE, GROUP)
    assert not limited("*/read").may(INITIATE, GROUP)
    assert not limited("*", scope=GROUP).may(READ_MACHINE, "/")
    assert not replace(limited("*"), assignments=()).may(READ_MACHINE, GROUP)


@pytest.mark.parametrize(
    ("at", "limit", "scopes"),
    [("/", GROUP, (GROUP,)), (GROUP, "/", (GROUP,)), (GROUP, "/subscriptions/other", ()), (GROUP, GROUP, (GROUP,))],
)
def test_where_a_limited_credential_reaches_is_where_both_do(at: str, limit: str, scopes: tuple[str, ...]) -> None:
    principal = Principal("1", "one", (Assignment(OWNER, at),), Limit(("*/read",), limit))
    assert principal.scopes(READ_MACHINE) == scopes
    assert principal.scopes(INITIATE) == ()
