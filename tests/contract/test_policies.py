"""Policies as the contract's clients put, read and list them."""

from collections.abc import Iterator

import pytest
from tests.contract.arm import Arm, Json, error, eventually, port, rule
from tests.server import GROUP

from jitgate.web.arm.routes import PAGE

UNKNOWN = "99999999-9999-9999-9999-999999999999"


def test_the_answer_to_a_put_has_the_shape_that_was_recorded_from_the_real_service(arm: Arm) -> None:
    """Cases RA10 and RA11."""
    body = arm.policy()
    answer = arm.call("PUT", arm.path(), body)
    assert answer.status_code == 200
    assert answer.json() == {
        "kind": "Basic",
        "properties": {
            "virtualMachines": body["properties"]["virtualMachines"],
            "requests": [],
            "provisioningState": "Updating",
            "appendMode": False,
        },
        "id": arm.path(),
        "name": "default",
        "type": "Microsoft.Security/locations/jitNetworkAccessPolicies",
        "location": "westeurope",
    }
    assert not {"Location", "Azure-AsyncOperation", "Retry-After"} & set(answer.headers)
    eventually(lambda: arm.get()["properties"]["provisioningState"] == "Succeeded")
    arm.call("DELETE", arm.path())


def test_delete_answers_with_an_empty_body_and_a_missing_policy_is_no_error(arm: Arm) -> None:
    """Case RA10."""
    arm.put()
    first, second = arm.call("DELETE", arm.path()), arm.call("DELETE", arm.path())
    assert (first.status_code, first.content, first.headers["Content-Length"]) == (200, b"", "0")
    assert (second.status_code, second.content) == (204, b"")
    error(arm.call("GET", arm.path()), 404, "PolicyNotFound")


def test_a_put_without_requests_keeps_those_that_are_live(arm: Arm) -> None:
    """Case RA5; the answer itself shows none, as recorded."""
    arm.put()
    arm.initiate()
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"])
    assert arm.put()["properties"]["requests"] == []
    assert arm.statuses() == ["Initiated/UserRequested"]


def test_a_put_with_requests_forges_none_and_drops_none(arm: Arm) -> None:
    """Case RA6: what an SDK reads, changes and writes back."""
    arm.put()
    arm.initiate()
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"])
    read = arm.get()
    forged = {
        **read["properties"]["requests"][0]["virtualMachines"][0]["ports"][0],
        "number": 3389,
        "status": "Initiated",
    }
    read["properties"]["requests"][0]["virtualMachines"][0]["ports"] = [forged]
    arm.put(read)
    assert [port["number"] for port in arm.ports()] == [22]
    arm.put({**read, "properties": {**read["properties"], "requests": []}})
    assert arm.statuses() == ["Initiated/UserRequested"]


def test_a_port_that_a_put_leaves_out_loses_its_grants(arm: Arm) -> None:
    arm.put(arm.policy(rule(), rule(number=443)))
    arm.initiate(arm.ask(port(), port(number=443)))
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"] * 2)
    arm.put(arm.policy(rule()))
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested", "Revoked/UserRequested"])


def test_a_machine_that_a_put_leaves_out_loses_its_grants(arm: Arm) -> None:
    """Case PV4: put means replace."""
    arm.put()
    arm.initiate()
    eventually(lambda: arm.statuses() == ["Initiated/UserRequested"])
    arm.put(arm.policy(machine="web-2"))
    eventually(lambda: arm.statuses() == ["Revoked/UserRequested"])


@pytest.mark.parametrize("respell", [str.upper, str.lower, str.swapcase])
def test_paths_and_ids_are_read_in_any_case(arm: Arm, respell: object) -> None:
    """Case RA7."""
    assert callable(respell)
    arm.put()
    assert arm.get(respell(arm.path()))["id"] == arm.path()
    assert arm.call("POST", respell(arm.path() + "/initiate"), arm.ask()).status_code == 202
    body = arm.policy()
    body["properties"]["virtualMachines"][0]["id"] = respell(body["properties"]["virtualMachines"][0]["id"])
    answer = arm.call("PUT", respell(arm.path()), body)
    assert answer.json()["properties"]["virtualMachines"] == body["properties"]["virtualMachines"]
    assert len(arm.get(arm.list_path())["value"]) == 1


@pytest.mark.parametrize("location", ["West Europe", "WestEurope", "west europe"])
def test_a_location_is_read_in_each_of_its_spellings(arm: Arm, location: str) -> None:
    """Case RA20."""
    arm.put()
    assert arm.get(arm.path(location=location))["location"] == "westeurope"
    assert len(arm.get(arm.list_path(location=location))["value"]) == 1


def test_a_port_number_as_text_is_read_and_shown_as_a_number(arm: Arm) -> None:
    """Case RA8; no `type` and no `kind` either."""
    body = arm.policy(rule(number="22"))
    del body["kind"]
    assert arm.put(body)["properties"]["virtualMachines"][0]["ports"][0]["number"] == 22


def test_long_names_simply_work(arm: Arm) -> None:
    """Case PV5."""
    path = arm.path("p" * 200)
    arm.put(path=path)
    assert arm.initiate(path=path).status_code == 202
    eventually(lambda: arm.statuses(path) == ["Initiated/UserRequested"])


def test_odd_but_legal_names_are_shown_as_they_were_put(arm: Arm) -> None:
    path = arm.path("Zugang-für_(alle).1", group="Rg_(1).a-b")
    arm.put(path=path)
    assert arm.get(path)["name"] == "Zugang-für_(alle).1"
    assert arm.get(arm.list_path("Rg_(1).a-b"))["value"][0]["id"].endswith("/Zugang-für_(alle).1")


def test_a_default_policy_exists_per_resource_group_and_location(arm: Arm) -> None:
    paths = [
        arm.path(group=group, location=place) for group in (GROUP, "dev") for place in ("westeurope", "northeurope")
    ]
    for path in paths:
        arm.put(path=path)

    def listed(group: str = "", location: str = "") -> set[str]:
        return {found["id"] for found in arm.get(arm.list_path(group, location))["value"]}

    assert listed() == set(paths)
    assert listed("dev") == set(paths[2:])
    assert listed("DEV") == set(paths[2:])
    assert listed(location="westeurope") == {paths[0], paths[2]}
    assert listed("dev", "northeurope") == {paths[3]}
    assert listed("no-such-group") == set()


def test_a_subscription_that_nothing_is_filed_under_is_not_found(arm: Arm) -> None:
    answer = arm.call("GET", arm.list_path().replace(arm.server.subscription, UNKNOWN))
    assert arm.server.subscription in error(answer, 404, "SubscriptionNotFound")["message"]


def test_the_own_subscription_without_policies_is_an_empty_list(arm: Arm) -> None:
    assert arm.get(arm.list_path()) == {"value": []}


# --- versions and paths -------------------------------------------------------------------------------


def test_both_versions_speak_the_same(arm: Arm) -> None:
    """Case RA19."""
    arm.put()
    bodies = [arm.call("GET", arm.path(), version=version).json() for version in ("2020-01-01", "2015-06-01-preview")]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, "MissingApiVersionParameter"),
        ("", "MissingApiVersionParameter"),
        ("2019-01-01", "InvalidApiVersionParameter"),
        ("2020-01-01-preview", "InvalidApiVersionParameter"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_version_that_is_not_spoken_is_refused_with_those_that_are(
    arm: Arm, method: str, version: str | None, code: str
) -> None:
    arm.put()
    found = error(arm.call(method, arm.path(), arm.policy(rule(number=23)), version=version), 400, code)
    assert "2020-01-01 or 2015-06-01-preview" in found["message"]
    assert arm.get()["properties"]["virtualMachines"][0]["ports"][0]["number"] == 22


def test_the_name_of_the_version_is_read_in_any_case(arm: Arm) -> None:
    arm.put()
    assert arm.client.get(arm.path(), params={"Api-Version": "2020-01-01"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/subscriptions/not-a-guid/providers/Microsoft.Security/jitNetworkAccessPolicies", "subscriptionId"),
        (
            "{subscription}/resourceGroups/a!b/providers/Microsoft.Security/jitNetworkAccessPolicies",
            "resourceGroupName",
        ),
        (
            "{subscription}/resourceGroups/" + "g" * 91 + "/providers/Microsoft.Security/jitNetworkAccessPolicies",
            "resourceGroupName",
        ),
        ("{subscription}/providers/Microsoft.Security/locations/a%3Fb/jitNetworkAccessPolicies", "ascLocation"),
        (
            "{subscription}/resourceGroups/g/providers/Microsoft.Security/locations/l/jitNetworkAccessPolicies/a%23b",
            "jitNetworkAccessPolicyName",
        ),
    ],
)
def test_a_part_of_the_path_that_cannot_be_is_refused_by_name(arm: Arm, path: str, target: str) -> None:
    provider, name = "/providers/Microsoft.Security", "jitNetworkAccessPolicies"
    answer = arm.call("GET", path.format(subscription=arm.subscription, provider=provider, list=name))
    assert answer.status_code == 400
    assert answer.json()["error"]["target"] == target


# --- pages --------------------------------------------------------------------------------------------


@pytest.fixture
def many(arm: Arm) -> Iterator[set[str]]:
    paths = {arm.path(f"p{number:03}") for number in range(2 * PAGE + 1)}
    for path in paths:
        assert arm.call("PUT", path, {"properties": {"virtualMachines": []}}).status_code == 200
    yield paths
    for path in paths:
        arm.call("DELETE", path)


def rest_of(arm: Arm, page: Json) -> list[str]:
    """The policies on the pages that follow; each link is called with the other version."""
    found = []
    while "nextLink" in page:
        assert page["nextLink"].startswith(arm.server.base_url + "/subscriptions/")
        page = arm.client.get(page["nextLink"].replace("2020-01-01", "2015-06-01-preview")).json()
        found += [policy["id"] for policy in page["value"]]
    return found


def test_a_long_list_comes_in_pages_that_hold_each_policy_once(arm: Arm, many: set[str]) -> None:
    """Case RA13: any version in the link will do."""
    first = arm.get(arm.list_path())
    found = [policy["id"] for policy in first["value"]] + rest_of(arm, first)
    assert len(first["value"]) == PAGE
    assert (set(found), len(found)) == (many, len(many))


def test_a_page_survives_a_policy_that_goes_meanwhile(arm: Arm, many: set[str]) -> None:
    first = arm.get(arm.list_path())
    seen = {policy["id"] for policy in first["value"]}
    arm.call("DELETE", first["value"][-1]["id"])
    assert set(rest_of(arm, first)) == many - seen


@pytest.mark.parametrize("token", ["!", "x", "4pyT4pyT*", "a" * 5000, "/w"])
def test_a_page_that_no_link_has_named_is_refused(arm: Arm, token: str) -> None:
    params = {"api-version": "2020-01-01", "$skiptoken": token}
    answer = arm.client.get(arm.list_path(), params=params)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "$skiptoken")
