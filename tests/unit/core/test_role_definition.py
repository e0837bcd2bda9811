"""Roles of an installation's own."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.examples import GROUP, SUBSCRIPTION, make_machine

from jitgate.core.errors import Invalid
from jitgate.core.resource_id import check_label, check_scope
from jitgate.core.role_definition import check_role, least_privileged
from jitgate.core.roles import OWNER, Role

MINE = Role("Mine", ("*/read",), scopes=(GROUP,), is_custom=True)


def test_a_role_that_says_what_it_allows_and_where_is_taken() -> None:
    assert check_role(MINE) == MINE


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "a" * 129}),
        ("name", {"name": " Mine"}),
        ("name", {"name": "Mi\u202ene"}),
        ("name", {"name": "OWNER"}),
        ("name", {"name": OWNER.id.upper()}),
        ("name", {"id": OWNER.id}),
        ("description", {"description": "a" * 1025}),
        ("actions", {"actions": ()}),
        ("actions[0]", {"actions": ("a b",)}),
        ("notActions[0]", {"not_actions": ("",)}),
        ("assignableScopes", {"scopes": ()}),
        ("assignableScopes", {"scopes": ("/",) * 101}),
        ("assignableScopes[0]", {"scopes": ("subscriptions",)}),
    ],
)
def test_what_no_role_can_be_is_refused_by_the_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        check_role(replace(MINE, **changes))
    assert refused.value.reason.field == field


def test_roles_are_given_everywhere_at_a_subscription_a_group_or_a_machine() -> None:
    for scope in ("/", f"/subscriptions/{SUBSCRIPTION}", GROUP, GROUP.upper().replace("RG1", "rg1"), make_machine().id):
        assert check_scope(scope) == scope
    assert check_scope(GROUP + "/") == GROUP


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "subscriptions",
        "/subscriptions",
        "/subscriptions/1",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/a*b",
        f"{GROUP}/providers/Microsoft.Security",
        f"{make_machine().id}/disks",
        "/subscriptions/*",
        "//",
    ],
)
def test_what_is_no_place_for_a_role_is_refused(scope: str) -> None:
    """The empty text above all: what got lost must not mean everywhere."""
    with pytest.raises(Invalid):
        check_scope(scope)


def test_a_label_shows_all_that_it_holds() -> None:
    assert check_label("JIT Approvers (prod), Köln", "name")
    for bad in ("a  b", "a\tb", "a\u200bb", "", "a" * 257):
        with pytest.raises(Invalid):
            check_label(bad, "name")


def test_the_least_privileged_role_is_that_of_microsofts_script() -> None:
    """Case J8: its actions, its description, its one assignable scope."""
    jit = "Microsoft.Security/locations/jitNetworkAccessPolicies"
    for_api = {
        f"{jit}/read",
        f"{jit}/initiate/action",
        "Microsoft.Security/policies/read",
        "Microsoft.Network/publicIPAddresses/read",
    }
    role = least_privileged(SUBSCRIPTION)
    assert role.name == "JIT Access Role"
    assert role.description == "Users that can enable access to Virtual Machines."
    assert role.scopes == (f"/subscriptions/{SUBSCRIPTION}",)
    assert set(role.actions) == for_api | {"Microsoft.Compute/virtualMachines/read", "Microsoft.Network/*/read"}
    assert set(least_privileged(SUBSCRIPTION, "r", for_api_only=True).actions) == for_api
    assert check_role(role) is role
