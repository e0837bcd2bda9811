"""Microsoft.Authorization over plain HTTP: definitions and assignments, in the shapes that Azure's clients send."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.contract.arm import error
from tests.server import GROUP, Server

from jitgate.core.roles import BUILT_IN, OWNER, READER
from jitgate.store import principals

PROVIDER = "/providers/Microsoft.Authorization"
Json = dict[str, Any]


class Authorization:
    """Calls as one principal."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.server, self.client = server, client
        self.subscription = f"/subscriptions/{server.subscription}"
        self.group = f"{self.subscription}/resourceGroups/{GROUP}"

    def __call__(self, method: str, path: str, body: Json | None = None, **query: str) -> httpx.Response:
        params: dict[str, str] = {"api-version": "2022-04-01", **{f"${name}": value for name, value in query.items()}}
        return self.client.request(method, path, params=params, json=body)

    def listed(self, scope: str, what: str, **query: str) -> list[Json]:
        answer = self("GET", f"{scope}{PROVIDER}/{what}", None, **query)
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["value"]
        return found

    def give(self, role: str, uid: str, scope: str, name: str = "", **more: Any) -> httpx.Response:
        properties = {
            "roleDefinitionId": f"{self.subscription}{PROVIDER}/roleDefinitions/{role}",
            "principalId": str(UUID(uid)),
            "principalType": "User",
            **more,
        }
        path = f"{scope}{PROVIDER}/roleAssignments/{name or uuid4()}"
        return self("PUT", path, {"properties": properties})

    def add(self, name: str) -> str:
        """The uid of somebody new."""
        made = self.server.call(self.server.service.store.write(lambda tx: principals.add(tx, uuid4().hex, name)))
        return made.uid

    def role(self, **changes: Any) -> Json:
        plain = {
            "roleName": "Own",
            "description": "Reads.",
            "type": "CustomRole",
            "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}],
            "assignableScopes": [self.subscription],
        }
        return {"properties": {**plain, **changes}}


@pytest.fixture
def call(server: Server) -> Iterator[Authorization]:
    with server.client() as client:
        yield Authorization(server, client)


def test_definitions_are_listed_and_found_by_name_as_az_asks(call: Authorization) -> None:
    names = {role["properties"]["roleName"] for role in call.listed(call.subscription, "roleDefinitions")}
    assert names >= set(BUILT_IN)
    [reader] = call.listed(call.subscription, "roleDefinitions", filter="roleName eq 'reader'")
    assert reader["id"] == f"{call.subscription}{PROVIDER}/roleDefinitions/{READER.id}"
    assert reader["properties"]["type"] == "BuiltInRole"
    assert reader["properties"]["permissions"][0]["actions"] == ["*/read"]
    assert call.listed("", "roleDefinitions", filter="atScopeAndBelow() and type eq 'CustomRole'") == []
    assert call("GET", reader["id"].upper().replace(READER.id.upper(), READER.id)).json()["name"] == READER.id


def test_a_definition_is_put_changed_and_deleted(call: Authorization) -> None:
    path = f"{call.subscription}{PROVIDER}/roleDefinitions/{uuid4()}"
    made = call("PUT", path, call.role())
    assert (made.status_code, made.json()["properties"]["type"]) == (201, "CustomRole")
    assert made.json()["id"] == path
    changed = call("PUT", path, call.role(description="Still reads."))
    assert changed.json()["properties"]["description"] == "Still reads."
    assert call("GET", path).json() == changed.json()
    assert [call("DELETE", path).status_code for _ in range(2)] == [200, 204]
    error(call("GET", path), 404, "RoleDefinitionDoesNotExist")


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"roleName": "Owner"}, "name"),
        ({"permissions": [{"actions": ["*"], "dataActions": ["*"]}]}, "properties.permissions[0].dataActions"),
        ({"permissions": [{"actions": "*"}]}, "properties.permissions[0].actions"),
        ({"permissions": [{}, {}]}, "properties.permissions"),
        ({"permissions": []}, "actions"),
        ({"assignableScopes": ["/nowhere"]}, "assignableScopes[0]"),
    ],
)
def test_what_is_no_definition_is_refused_by_its_field(call: Authorization, changes: Json, target: str) -> None:
    answer = call("PUT", f"{call.subscription}{PROVIDER}/roleDefinitions/{uuid4()}", call.role(**changes))
    assert error(answer, 400, "InvalidInput")["target"] == target


def test_an_assignment_is_given_found_and_deleted_by_its_id(call: Authorization) -> None:
    uid, name = call.add("assigned"), str(uuid4())
    made = call.give(READER.id, uid, call.group, name)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown["id"] == f"{call.group}{PROVIDER}/roleAssignments/{name}"
    assert shown["properties"]["principalId"] == str(UUID(uid))
    assert call.give(READER.id, uid, call.group, name).json() == shown
    error(call.give(READER.id, uid, call.group), 409, "RoleAssignmentExists")
    error(call.give(OWNER.id, uid, call.group, name), 409, "RoleAssignmentUpdateNotPermitted")
    assert call("GET", shown["id"]).json() == shown
    error(call("GET", f"{call.subscription}{PROVIDER}/roleAssignments/{name}"), 404, "RoleAssignmentNotFound")
    assert call("DELETE", f"{call.subscription}{PROVIDER}/roleAssignments/{name}").status_code == 204
    assert [call("DELETE", shown["id"]).status_code for _ in range(2)] == [200, 204]


def test_assignments_are_filtered_by_place_and_principal(call: Authorization) -> None:
    uid = call.add("filtered")
    below = call.give(READER.id, uid, call.group).json()["id"]
    here = call.give(READER.id, uid, call.subscription).json()["id"]

    def ids(**query: str) -> set[str]:
        return {one["id"] for one in call.listed(call.subscription, "roleAssignments", **query)}

    assert {below, here} <= ids()
    assert ids(filter="atScope()") & {below, here} == {here}
    assert ids(filter=f"principalId eq '{UUID(uid)}'") == {below, here}
    assert ids(filter=f"atScope() and assignedTo('{UUID(uid)}')") == {here}
    assert ids(filter=f"principalId eq '{uuid4()}'") == set()


@pytest.mark.parametrize(
    "filter", ["", "colour eq 'red'", "principalId eq 1", "atScope() or atScope()", "x" * 3000, "'"]
)
def test_a_filter_that_is_not_understood_is_refused_not_left_out(call: Authorization, filter: str) -> None:
    answer = call("GET", f"{call.subscription}{PROVIDER}/roleAssignments", filter=filter)
    if filter:
        assert error(answer, 400, "InvalidInput")["target"] == "$filter"
    else:
        assert answer.status_code == 200


def test_a_condition_is_refused_since_without_it_more_would_be_given(call: Authorization) -> None:
    uid = call.add("conditional")
    answer = call.give(READER.id, uid, call.group, condition="@Resource[a] StringEquals 'b'")
    assert error(answer, 400, "InvalidInput")["target"] == "properties.condition"


def test_long_lists_go_on_with_their_filter(call: Authorization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jitgate.web.arm.authorization.PAGE", 1)
    uid = call.add("paged")
    given = {call.give(READER.id, uid, scope).json()["id"] for scope in (call.group, call.subscription)}
    answer = call(
        "GET", f"{call.subscription}{PROVIDER}/roleAssignments", filter=f"principalId eq '{UUID(uid)}'"
    ).json()
    found = [one["id"] for one in answer["value"]]
    while "nextLink" in answer:
        answer = call.client.get(answer["nextLink"]).json()
        found += [one["id"] for one in answer["value"]]
    assert (len(found), set(found)) == (2, given)


def test_roles_are_given_through_this_face_by_the_same_rules(server: Server, call: Authorization) -> None:
    token = server.token_of("contributing", "Contributor")
    uid = call.add("wanting")
    known = call.give(READER.id, uid, call.group).json()["id"]
    with server.client(token) as client:
        contributor = Authorization(server, client)
        error(contributor.give(READER.id, uid, call.subscription), 403, "AuthorizationFailed")
        unknown = known[:-1] + ("0" if known[-1] != "0" else "1")
        there, nowhere = contributor("DELETE", known), contributor("DELETE", unknown)
        assert (there.status_code, there.json()) == (403, nowhere.json())
    with server.client(server.token_of("nobody yet")) as client:
        stranger = Authorization(server, client)
        for path in (known, unknown, f"{call.subscription}{PROVIDER}/roleDefinitions/{OWNER.id}"):
            error(stranger("GET", path), 403, "AuthorizationFailed")
