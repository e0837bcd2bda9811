"""Principals, groups, roles and assignments over the native API."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.server import Server

NAMES = iter(f"somebody {number}" for number in range(1000))


def made(answer: httpx.Response, status: int = 201) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def test_somebody_is_added_with_a_role_and_shown_with_it(api: httpx.Client) -> None:
    name = next(NAMES)
    account = made(api.post("principals", json={"name": name, "kind": "service"}))
    assert (account["kind"], account["disabledTimeUtc"]) == ("service", None)
    given = made(api.post("role-assignments", json={"role": "reader", "principal": name, "scope": "/"}))
    shown = made(api.get(f"principals/{account['id']}"), 200)
    assert shown["roles"] == [{"role": "Reader", "scope": "/", "via": ""}]
    assert given["principalId"] == account["id"]
    made(api.delete(f"role-assignments/{given['id']}"), 204)
    assert made(api.get(f"principals/{name}"), 200)["roles"] == []
    assert api.delete(f"role-assignments/{given['id']}").status_code == 404


def test_groups_are_made_joined_left_and_removed(api: httpx.Client, server: Server) -> None:
    name = next(NAMES)
    server.token_of("joiner")
    made(api.post("groups", json={"name": name}))
    made(api.put(f"groups/{name}/members/joiner"), 204)
    made(api.put(f"groups/{name}/members/joiner"), 204)
    assert [one["name"] for one in made(api.get(f"groups/{name}"), 200)["members"]["items"]] == ["joiner"]
    assert name in made(api.get("principals/joiner"), 200)["groups"]
    made(api.delete(f"groups/{name}/members/joiner"), 204)
    made(api.delete(f"groups/{name}"), 204)
    assert api.get(f"groups/{name}").json()["error"]["code"] == "GroupNotFound"


def test_roles_are_put_by_name_and_shown_as_they_were_put(api: httpx.Client) -> None:
    body = {"actions": ["*/read"], "notActions": ["a/*"], "assignableScopes": ["/"], "description": "Reads."}
    role = made(api.put("roles/My own role", json=body), 200)
    assert {name: role[name] for name in body} == body
    assert (role["name"], role["custom"]) == ("My own role", True)
    assert made(api.get(f"roles/{role['id']}"), 200) == role
    assert role in made(api.get("roles"), 200)["items"]
    made(api.delete("roles/my OWN role"), 204)
    made(api.delete("roles/my OWN role"), 204)


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({"actions": ["a b"], "assignableScopes": ["/"]}, "actions[0]"),
        ({"actions": ["*"], "assignableScopes": ["nowhere"]}, "assignableScopes[0]"),
        ({"actions": [], "assignableScopes": ["/"]}, "actions"),
        ({"actions": ["*"], "assignableScopes": []}, "assignableScopes"),
        ({"actions": ["*"], "assignableScopes": ["/"], "dataActions": ["*"]}, "dataActions"),
        ({"actions": ["*"] * 201, "assignableScopes": ["/"]}, "actions"),
    ],
)
def test_what_is_no_role_is_refused_by_its_field(api: httpx.Client, body: dict[str, Any], target: str) -> None:
    answer = api.put("roles/Wrong", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["target"] == target


def test_lists_come_in_pages(api: httpx.Client) -> None:
    for _ in range(3):
        made(api.post("principals", json={"name": next(NAMES)}))
        made(api.post("groups", json={"name": next(NAMES)}))
    for path in ("principals", "groups"):
        first = made(api.get(path, params={"limit": 2}), 200)
        rest = made(api.get(path, params={"after": first["after"]}), 200)
        names = [one["name"] for one in (*first["items"], *rest["items"])]
        assert names == sorted(names, key=str.lower)
        assert len(names) == len(set(names)) >= 3


def test_a_subscriptions_reader_sees_who_holds_what_there_and_nothing_of_principals(server: Server) -> None:
    with server.client(server.token_of("sub reader", "Reader", f"/subscriptions/{server.subscription}")) as client:
        assert client.get("/api/v1/roles").status_code == 200
        holders = {one["principal"] for one in client.get("/api/v1/role-assignments").json()["items"]}
        assert holders >= {"owner", "sub reader"}
        for path in ("principals", "groups", "principals/owner", "groups/x", "roles?scope=/"):
            assert client.get(f"/api/v1/{path}").status_code == 403


def test_who_can_give_roles_at_a_group_gives_them_there_and_nowhere_else(server: Server, api: httpx.Client) -> None:
    place = f"/subscriptions/{server.subscription}/resourceGroups/prod"
    server.token_of("newcomer")
    with server.client(server.token_of("group owner", "Owner", place)) as client:
        wanted = {"role": "JIT Requester", "principal": "newcomer", "scope": place}
        assert client.post("/api/v1/role-assignments", json=wanted).status_code == 201
        for scope in ("/", f"/subscriptions/{server.subscription}", place + "2"):
            assert client.post("/api/v1/role-assignments", json={**wanted, "scope": scope}).status_code == 403
        assert client.delete(f"/api/v1/role-assignments/{uuid4()}").status_code == 403


def test_outside_azure_the_right_to_ask_is_enough_on_this_face_too(server: Server, api: httpx.Client) -> None:
    """Case J7. The machine is found by its name, though it is in no list of theirs."""
    role = {"actions": ["Microsoft.Security/*"], "assignableScopes": ["/"]}
    made(api.put("roles/Security only", json=role), 200)
    token = server.token_of("security only")
    given = {"role": "Security only", "principal": "security only", "scope": "/"}
    made(api.post("role-assignments", json=given))
    with server.client(token) as client:
        ask = {"machines": [{"id": "web-1", "ports": [{"number": 22, "sources": ["203.0.113.7"]}]}]}
        assert client.post("/api/v1/requests", json=ask).status_code == 201
        assert client.get("/api/v1/machines").json()["items"] == []
        assert client.get("/api/v1/machines/web-1").status_code == 404
        # No policy covers it, so there is nothing that could be asked for.
        unknown = {"machines": [{"id": "web-2", "ports": [{"number": 22, "sources": ["203.0.113.7"]}]}]}
        assert client.post("/api/v1/requests", json=unknown).status_code == 404
