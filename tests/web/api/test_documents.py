"""Policies and guardrails as plain documents; machines; the description of the API itself."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.server import Server
from tests.web.api.conftest import ask

RULE = {"number": 22, "protocol": "TCP", "sources": ["10.0.0.0/8", "2001:db8::/32"], "maxDuration": "PT24H"}
DOCUMENT = {"machines": [{"id": "web-2", "ports": [RULE]}]}


def operations(server: Server) -> Iterator[tuple[str, dict[str, Any]]]:
    with server.client("") as client:
        described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        if path.startswith("/api/v1/"):
            yield from ((f"{method.upper()} {path}", operation) for method, operation in methods.items())


def test_a_policy_comes_back_as_it_was_put(api: httpx.Client) -> None:
    answer = api.put("policies/mine", json=DOCUMENT)
    assert answer.status_code == 200, answer.text
    got = api.get("policies/mine").json()
    assert got["machines"][0]["ports"] == [RULE]
    assert got["machines"][0]["id"].endswith("/virtualMachines/web-2")
    assert api.put("policies/mine", json={"machines": got["machines"]}).json()["machines"] == got["machines"]


def test_a_policy_is_found_by_name_and_by_id_in_any_case(api: httpx.Client) -> None:
    api.put("policies/mine", json=DOCUMENT, params={"wait": 60})
    by_name = api.get("policies/mine").json()
    assert api.get(f"policies{by_name['id']}").json() == by_name
    assert api.get(f"policies{by_name['id'].upper()}").json()["machines"] == by_name["machines"]


def test_both_faces_show_the_same_policy(server: Server, api: httpx.Client) -> None:
    api.put("policies/mine", json=DOCUMENT)
    arm = api.get(f"{server.base_url}{api.get('policies/mine').json()['id']}", params={"api-version": "2020-01-01"})
    port = arm.json()["properties"]["virtualMachines"][0]["ports"][0]
    assert port["allowedSourceAddressPrefixes"] == RULE["sources"]
    assert port["maxRequestAccessDuration"] == "PT24H"


def test_a_dry_run_answers_what_would_be_kept_and_changes_nothing(server: Server, api: httpx.Client) -> None:
    before = server.rows("scope_state", "meta")
    answer = api.put("policies/other", json=DOCUMENT, params={"dryRun": True})
    assert answer.json()["machines"][0]["ports"] == [RULE]
    assert server.rows("scope_state", "meta") == before


def test_deleting_twice_is_deleting_once(api: httpx.Client) -> None:
    api.put("policies/gone", json=DOCUMENT)
    assert api.delete("policies/gone").status_code == 204
    assert api.delete("policies/gone").status_code == 204
    assert api.get("policies/gone").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("policies/bad", {"machines": [{"id": "web-2", "ports": []}]}, "machines[0].ports"),
        ("policies/bad", {"machines": [{"id": "web-2", "ports": [{"number": 0}]}]}, "machines[0].ports[0].number"),
        ("policies/bad", {"machines": [{"id": "web-2", "ports": [RULE, RULE]}]}, "machines[0].ports[1].number"),
        ("policies/bad", {"machines": DOCUMENT["machines"] * 2}, "machines[1].id"),
        (
            "policies/bad",
            {"machines": [{"id": "web-2", "ports": [{**RULE, "maxDuration": "PT25H"}]}]},
            "machines[0].ports[0].maxDuration",
        ),
        (
            "policies/bad",
            {"machines": [{"id": "web-2", "ports": [{**RULE, "sources": ["me"]}]}]},
            "machines[0].ports[0].sources",
        ),
        ("policies/bad", {}, "machines"),
        ("policies/a/b", DOCUMENT, "policy"),
        ("policies/bad%3Fname", DOCUMENT, "policy"),
        ("guardrails/bad", {}, "limits"),
        ("guardrails/bad", {"limits": {"approvals": 11}}, "limits.approvals"),
        ("guardrails/bad", {"limits": {"maxDuration": "PT0S"}}, "limits.maxDuration"),
        ("guardrails/bad", {"limits": {"sources": []}}, "limits.sources"),
        ("guardrails/bad", {"limits": {"reasonPattern": "***"}}, "limits.reasonPattern"),
        ("guardrails/bad", {"limits": {}, "selector": {"scope": "prod"}}, "selector.scope"),
        ("guardrails/bad", {"limits": {}, "selector": {"ports": [0]}}, "selector.ports[0]"),
        ("guardrails/bad", {"limits": {"approval": 1}}, "limits.approval"),
        ("guardrails/a%5Cb", {"limits": {}}, "guardrail"),
    ],
)
def test_a_bad_document_is_a_400_that_names_the_field(
    api: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    """Case PV3."""
    answer = api.put(path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].get("target") == field, answer.text


def test_a_guardrail_comes_back_as_it_was_put(api: httpx.Client) -> None:
    limits = {"approvals": 2, "sources": ["10.0.0.0/8"], "maxDuration": "PT1H", "session": "end", "callerOnly": True}
    body = {"selector": {"scope": "/", "tags": {"env": "prod"}, "ports": [9]}, "limits": limits}
    assert api.put("guardrails/strict", json=body).json() == {"name": "strict", "inForce": True}
    got = api.get("guardrails/STRICT").json()
    assert got["selector"] == body["selector"]
    assert {name: got["limits"][name] for name in limits} == limits


def test_what_loosens_a_guardrail_is_accepted_and_not_in_force(api: httpx.Client) -> None:
    body = {"selector": {"ports": [9]}, "limits": {"approvals": 2}}
    api.put("guardrails/eyes", json=body)
    answer = api.put("guardrails/eyes", json={**body, "limits": {"approvals": 1}})
    assert (answer.status_code, answer.json()["inForce"]) == (202, False)
    assert api.get("guardrails/eyes").json()["limits"]["approvals"] == 2
    assert [each["name"] for each in api.get("guardrails").json()["proposals"]] == ["eyes"]


def test_lists_come_in_pages(api: httpx.Client) -> None:
    names: list[str] = []
    after: str | None = None
    while True:
        page = api.get("machines", params={"limit": 2} | ({"after": after} if after else {})).json()
        names += [machine["name"] for machine in page["items"]]
        after = page["after"]
        if after is None:
            break
    assert names == ["web-1", "web-2", "win-1"]


def test_grants_come_in_pages_newest_first(api: httpx.Client) -> None:
    made = [api.post("requests", json=ask(sources=[f"10.0.0.{n}"])).json()["grants"][0]["id"] for n in range(3)]
    first = api.get("grants", params={"limit": 2, "mine": True}).json()
    second = api.get("grants", params={"limit": 2, "mine": True, "after": first["after"]}).json()
    assert [grant["id"] for grant in first["items"] + second["items"]][:3] == made[::-1]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"after": "x"}, {"state": "ajar"}])
def test_a_list_that_cannot_be_is_a_400(api: httpx.Client, query: dict[str, Any]) -> None:
    assert api.get("grants", params=query).status_code == 400


def test_an_export_without_the_right_is_refused_before_it_begins(server: Server) -> None:
    with server.client(server.token_of("curious", "JIT Requester")) as client:
        for form in ("csv", "jsonl"):
            assert client.get("/api/v1/activity/export", params={"format": form}).status_code == 403


@pytest.mark.parametrize(("form", "lines"), [("csv", 1), ("jsonl", 0)])
def test_an_export_that_finds_nothing_is_a_table_without_rows(api: httpx.Client, form: str, lines: int) -> None:
    found = api.get("activity/export", params={"format": form, "correlation": "nobody's"})
    assert (found.status_code, len(found.text.splitlines())) == (200, lines)


def test_every_operation_is_described_with_its_refusals(server: Server) -> None:
    refusals = {"400", "401", "403", "404", "409", "503"}
    bare = [
        name
        for name, operation in operations(server)
        if not operation.get("summary") or not operation.get("description") or refusals - operation["responses"].keys()
    ]
    assert bare == []


def test_every_name_on_the_wire_is_in_camel_case(server: Server) -> None:
    with server.client("") as client:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    names = {name for schema in schemas.values() for name in schema.get("properties", {})}
    assert [name for name in names if "_" in name or name[0].isupper()] == []
